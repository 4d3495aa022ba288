"""`recipelang schema`: it accepts every recipe with its values written out, or all findings, and nothing beside."""

import copy
import json
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator

from recipelang.methods import METHODS
from recipelang.reference.attributes import NAMES, blocks
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.canonical import spec_form
from recipelang.spec.optimizers import OPTIMIZERS

from ..cases.test_diagnostics import CASES, read
from ..reading import SOUND, TEXTS, files_of, found_in, recipe_of, sound
from .command import command

SCHEMA = json.loads(command("schema").out)
VALIDATOR = Draft202012Validator(SCHEMA)


def everything() -> str:
    """A recipe that gives every attribute the example of its page, and apart what does not go with the others."""
    inside = {kind: [] for _, kind, _ in blocks()}
    alone = ("streaming", "shuffle_buffer", "reconstruct")
    for _, kind, spec in blocks():
        # no plug-in is installed here
        named = [(name, a) for name, a in spec.attributes().items() if name not in ("requires", *alone)]
        inside[kind] = [f"{name} = {a.example}" for name, a in named]
    text = 'recipe 1 "everything"\n' + "\n".join(inside[""])
    text += '\ndata calibration { train = "x.json" }\n'
    of_data = BLOCKS[""]["data"].attributes()
    streamed = "\n".join(f"{name} = {of_data[name].example}" for name in alone if name in of_data)
    text += f'data streamed {{\ntrain = "x.jsonl"\n{streamed}\n}}\n'
    text += "data mixed {\nmix one {\n" + "\n".join(inside["mix"]).replace("30%", "100%") + "\n}\n}\n"
    text += (
        "stage slim {\nlength = 1500 steps, batch = 1, learning_rate = 1e-3\nshrink body {\n"
        + "\n".join(inside["shrink"])
        .replace("[ffn -> 50%,", "[ffn,")
        .replace("parameters -> 60%", "speedup(onnx) -> 2")
        + "\n}\n}\n"
    )
    rebuilt = BLOCKS["stage"]["prune"].attributes()["reconstruct"].example
    text += "stage tuned {\nlength = 5 steps, batch = 1, learning_rate = 1e-3\nprune weights {\n"
    text += "targets = @linear, method = magnitude, sparsity = 50%\n}\nadapter low {\n"
    text += "\n".join(inside["adapter"]) + "\n}\n}\n"
    text += "stage shot {\nmode = one_shot\nprune weights {\ntargets = @linear, method = wanda, sparsity = 50%\n"
    text += f"reconstruct = {rebuilt}\n}}\n}}\n"
    text += "stage dense { length = 1 epoch + 5 steps, batch = 1, learning_rate = 1e-3 }\n"
    for kind, label, children in (
        ("meta", "", ()),
        ("model", "", ()),
        ("data", "", ("columns",)),
        ("stage", "sparse", ("prune", "distill", "freeze", "group", "drop")),
        ("evaluate", "dev", ()),
        ("harness", "arc", ()),
        ("export", "", ()),
    ):
        lines = list(inside[kind])
        for child in children:
            lines.append(f"{child}{NAMES.get(child, '')} {{\n" + "\n".join(inside[child]) + "\n}")
        text += f"{kind} {label} {{\n" + "\n".join(lines) + "\n}\n"
    return text + CLAIMS


CLAIMS = """
let warm = 2 epochs
require warm >= 1 epoch and not (warm > 3 epochs), "leave room"
expect sparsity(@linear & !@norm & layers(0..-1)) in 89%..91%
expect sparsity(@linear except re".*x" | "a.**") == 90% ± 0.1% or params(@head) < 5
expect pattern(@linear) == 2:4
prefer if dev.f1 > 50% then dev.f1 >= 2 * stage.dense.dev.f1 - 0.5 / 3 else -dev.f1 <= 0
"""

RECIPES = {n: t for n, t in TEXTS.items() if found_in(n).recipe} | {"sound": SOUND, "everything": everything()}
RECIPES |= {
    "block": sound(("never ", "pattern = block(4, 1)\n    never ")),
    "n of m": sound(("never ", "pattern = 2:4\n    never ")),
    "plain": sound(("linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)", "1 / 3")),
    "shapes": sound(
        (
            "linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)",
            "[constant(1e-3, over = 0..1 epoch), step(1e-3 -> 1e-4, at = 1 epoch),"
            " polynomial(1e-4 -> 0, power = 1 / 2, over = 1 epoch + 3 steps..end)]",
        )
    ),
    "terms": sound(
        (
            "temperature = 5.5",
            "temperature = 5.5, on = [logits(weight = 2), hidden(1 -> 3, 0..2,"
            " weight = linear(1 -> 0, over = start..end)), attention]",
        )
    ),
    "sgd": sound(("batch ", "optimizer = sgd(momentum = 0.9)\n  clip = none\n  batch ")),
}


def form(name: str) -> dict:
    return spec_form(recipe_of(RECIPES[name]), {"hf://owner/teacher": "sha256:" + "0" * 64})


def test_schema_is_one_and_says_which():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"] == "https://recipelang.dev/schema/recipe-1.json"


def test_every_reference_inside_it_is_defined_and_every_definition_used():
    named = {part.partition('"')[0] for part in json.dumps(SCHEMA).split('"#/$defs/')[1:]}
    assert named == set(SCHEMA["$defs"])


@pytest.mark.parametrize("name", RECIPES)
def test_document_of_a_recipe_is_accepted(name):
    assert [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(form(name))] == []


def places(value: object) -> Iterator[object]:
    """Every object and list inside a document, itself included."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from places(inner)


def test_unknown_key_is_refused_wherever_it_stands():
    document = form("everything")
    count = sum(isinstance(place, dict) for place in places(document))
    assert count > 50
    for index in range(count):
        changed = copy.deepcopy(document)
        [p for p in places(changed) if isinstance(p, dict)][index]["nonsense"] = "x"
        assert not VALIDATOR.is_valid(changed), index


def test_json_number_is_refused_wherever_it_stands():
    document = form("everything")
    leaves = [
        (i, key)
        for i, place in enumerate(places(document))
        for key in (place if isinstance(place, dict) else range(len(place)))
        if isinstance(place[key], str)
    ]
    assert len(leaves) > 80
    for index, key in leaves:
        changed = copy.deepcopy(document)
        list(places(changed))[index][key] = 7
        assert not VALIDATOR.is_valid(changed), key


def test_what_a_recipe_must_have_a_document_must_have():
    document = form("sound")
    for path in (("model",), ("stages",), ("model", "base"), ("stages", 0, "length"), ("stages", 0, "name")):
        changed = copy.deepcopy(document)
        place = changed
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        assert not VALIDATOR.is_valid(changed), path


def test_every_attribute_and_method_is_described():
    text = json.dumps(SCHEMA, ensure_ascii=False)
    for _, kind, spec in blocks():
        for name, attribute in spec.attributes().items():
            if attribute.digest != "-":
                assert f'"{name}"' in text and attribute.doc in text, f"{kind}.{name}"
    for signature in (*METHODS.values(), *OPTIMIZERS.values()):
        assert f'"{signature.name}"' in text and signature.doc in text


# ------------------------------------------------------------------------ findings
FINDINGS = json.loads(command("schema", "--of", "diagnostics").out)
OF_FINDINGS = Draft202012Validator(FINDINGS)


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> dict:
    """What `validate` and `lint` say of every recipe that a case file shows, in one document."""
    folder = tmp_path_factory.mktemp("cases")
    for path in CASES:
        (folder / path.stem).mkdir()
        files_of(read(path).recipe, folder / path.stem)
    names = [str(folder / path.stem / "a.recipe") for path in CASES]
    documents = [json.loads(command(c, "--format", "json", *names).out) for c in ("validate", "lint")]
    return {"validate": documents[0], "lint": documents[1]}


def test_schema_of_findings_is_one_and_says_which():
    Draft202012Validator.check_schema(FINDINGS)
    assert FINDINGS["$schema"] == SCHEMA["$schema"]
    assert FINDINGS["$id"] == "https://recipelang.dev/schema/diagnostics-1.json"


@pytest.mark.parametrize("by", ["validate", "lint"])
def test_findings_of_every_case_are_accepted(by, findings):
    assert [f"{e.json_path}: {e.message}" for e in OF_FINDINGS.iter_errors(findings[by])] == []
    assert len({d["code"] for d in findings[by]["diagnostics"]}) > 40
    assert {d["severity"] for d in findings["lint"]["diagnostics"]} == {"error", "warning", "info"}


def test_unknown_key_among_findings_is_refused_wherever_it_stands(findings):
    # one finding that has everything: another place, and a fix
    (*_, full) = [d for d in findings["validate"]["diagnostics"] if d["secondary"] and d["fixes"]]
    document = {**findings["validate"], "diagnostics": [full], "files": findings["validate"]["files"][:1]}
    assert OF_FINDINGS.is_valid(document)
    count = sum(isinstance(place, dict) for place in places(document))
    assert count > 8
    for index in range(count):
        changed = copy.deepcopy(document)
        [p for p in places(changed) if isinstance(p, dict)][index]["nonsense"] = "x"
        assert not OF_FINDINGS.is_valid(changed), index


def test_version_of_the_document_is_that_of_its_schema(findings):
    first = findings["validate"]["format_version"].partition(".")[0]
    assert FINDINGS["$id"].endswith(f"-{first}.json")
    assert not OF_FINDINGS.is_valid({**findings["validate"], "format_version": "2.0"})
