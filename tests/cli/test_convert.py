"""`recipelang convert`: to JSON and YAML byte for byte, back to a recipe, and nothing of a document unread."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .command import ROOT, command, environment, process


def converted(to: str, file: object = "tiny.recipe", *more: object, stdin: bytes = b"") -> str:
    ended = command("convert", file, "--to", to, *more, stdin=stdin)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def spec(file: object = "tiny.recipe", *more: object) -> str:
    ended = command("digest", file, "--only", "spec", *more)
    assert ended.code == 0
    return ended.out.strip()


def test_sha256_of_the_json_is_the_spec_digest(contents):
    with process("convert", "tiny.recipe", "--to", "json") as running:
        out, err = running.communicate()
    assert err == ""
    assert hashlib.sha256(out.encode()).hexdigest() == spec()
    converted("json", "tiny.recipe", "-o", "out.json")
    assert Path("out.json").read_text("utf-8") == out


def test_pretty_json_and_yaml_are_the_same_document_with_paths_as_written(contents):
    pretty, canonical = json.loads(converted("pretty")), json.loads(converted("json"))
    assert yaml.safe_load(converted("yaml")) == pretty
    assert pretty["model"].pop("base") == "model"
    assert re.fullmatch("sha256:[0-9a-f]{64}", canonical["model"].pop("base")["content"])
    for split, name in (("train", "train.json"), ("validation", "dev.json")):
        assert pretty["data"][""].pop(split) == name
        assert canonical["data"][""].pop(split).keys() == {"content"}
    assert pretty == canonical


def test_pretty_json_and_yaml_open_no_file(here):
    assert converted("pretty")
    assert converted("yaml")
    assert command("convert", "tiny.recipe", "--to", "json").codes == ["E076", "E074", "E074"]


def test_pretty_json_is_of_short_lines_and_small_values_stand_on_one(contents):
    lines = converted("pretty").splitlines()
    assert max(map(len, lines)) <= 110
    assert '      "length": {"n": "1", "u": "epoch"},' in lines


def test_no_scalar_of_yaml_is_read_as_another(contents, edit):
    edit("max_length", 'config = "no", test = "1e3"\n max_length')
    text = converted("yaml")
    assert 'config: "no"' in text
    assert 'test: "1e3"' in text
    assert 'recipe: "1"' in text
    for line in text.splitlines():  # YAML 1.2 takes more for numbers than PyYAML does
        assert not re.search(r": [-+.\d]", line), line


def test_pretty_json_becomes_a_recipe_with_the_same_digest(contents):
    converted("pretty", "tiny.recipe", "-p", "target=95%", "-o", "tiny.recipe.json")
    text = converted("recipe", "tiny.recipe.json", "-o", "again.recipe")
    assert text == ""
    assert spec("again.recipe") == spec("tiny.recipe", "-p", "target=95%")
    assert Path("again.recipe").read_text("utf-8").startswith('recipe 1 "tiny"\n')
    assert command("fmt", "--check", "again.recipe").code == 0
    assert command("validate", "again.recipe").code == 0


def test_canonical_json_becomes_a_recipe_that_asks_for_what_it_knows_by_contents(contents):
    converted("json", "tiny.recipe", "-o", "tiny.json")
    converted("recipe", "tiny.json", "-o", "again.recipe")
    text = Path("again.recipe").read_text("utf-8")
    assert re.findall(r"^param (.*)", text, re.M) == [
        "base_model: model",
        "train_data: dataset",
        "validation_data: dataset",
    ]
    assert "## The model with the contents sha256:" in text
    given = ("-p", "base_model=model", "-p", "train_data=train.json", "-p", "validation_data=dev.json")
    assert spec("again.recipe", *given) == spec()
    assert command("digest", "again.recipe").codes == ["E053", "E053", "E053"]
    assert command("fmt", "--check", "again.recipe").code == 0
    shutil.rmtree("model")
    assert (
        spec("tiny.json") == hashlib.sha256(Path("tiny.json").read_bytes()).hexdigest()
    )  # nothing of it is looked for


def test_two_references_with_one_contents_are_one_parameter(contents):
    shutil.copy("train.json", "dev.json")
    converted("json", "tiny.recipe", "-o", "tiny.json")
    assert converted("recipe", "tiny.json").count("\nparam ") == 2


def test_document_goes_to_every_other_form(contents):
    converted("json", "tiny.recipe", "-o", "tiny.json")
    canonical = Path("tiny.json").read_text("utf-8")
    assert converted("json", "tiny.json") == canonical
    assert json.loads(converted("pretty", "tiny.json")) == json.loads(canonical)
    assert yaml.safe_load(converted("yaml", "tiny.json")) == json.loads(canonical)


def test_recipe_becomes_a_recipe_without_parameters(contents):
    text = converted("recipe", "tiny.recipe", "-p", "scope=global")
    assert "param" not in text
    assert "magnitude(scope = global)" in text
    Path("out.recipe").write_text(text, "utf-8")
    assert spec("out.recipe") == spec("tiny.recipe", "-p", "scope=global")


def test_standard_input_may_be_either(contents):
    recipe = Path("tiny.recipe").read_bytes()
    pretty = converted("pretty", "-", stdin=recipe)
    assert pretty == converted("pretty")
    assert converted("pretty", "-", stdin=pretty.encode()) == pretty


def test_output_that_cannot_be_written_is_a_coded_error(contents):
    ended = command("convert", "tiny.recipe", "--to", "pretty", "-o", "none/out.json")
    assert (ended.code, ended.codes) == (1, ["E084"])


def test_document_of_the_manual_is_read(here):
    manual = (ROOT / "docs" / "document.md").read_text("utf-8")
    (sample,) = re.findall(r"^```json\n(.*?)^```", manual, re.S | re.M)
    assert converted("recipe", "-", stdin=sample.encode()).startswith('recipe 1 "recipe"\n')


def test_form_is_asked_for(contents):
    ended = command("convert", "tiny.recipe")
    assert ended.code == 2
    assert "--to" in ended.err
    assert command("convert", "tiny.recipe", "--to", "toml").code == 2


BAD = {
    "nothing": ("{}", ["E011"]),
    "no JSON": ('{"recipe": "1",}', ["E056"]),
    "cut off": ('{"recipe": "1"', ["E056"]),
    "a number": ('{"recipe": 1}', ["E056"]),
    "not a number": ('{"recipe": NaN}', ["E056"]),
    "a key twice": ('{"recipe": "1", "recipe": "1"}', ["E056"]),
    "an unknown key": ('{"recipe": "1", "stages": [], "x": {}}', ["E056"]),
    "half a character": ('{"recipe": "1", "seed": "\\ud800"}', ["E056"]),
    "too deep": ('{"a":' * 100_000, ["E044"]),
    "deep in brackets": ('{"recipe": "1", "claims": [{"expect": ' + '{"not":' * 400 + "true" + "}" * 402 + "}", None),
    "very many findings": ('{"recipe": "1", "stages": [' + "null," * 99_999 + "null]}", ["E056"] * 50),
    "very many keys": ("{" + ",".join(f'"k{i}": null' for i in range(99_999)) + ', "recipe": "1"}', ["E056"] * 50),
    "a key twice among many": ("{" + ",".join(f'"k{i % 99_998}": null' for i in range(99_999)) + "}", ["E056"]),
    "too large": ('{"recipe": "' + "x" * (4 << 20) + '"}', ["E042"]),
    "huge numbers": ('{"recipe": "1", "stages": [], "seed": "1e999"}', ["E056"]),
    "long numbers": ('{"recipe": "1", "stages": [], "seed": "' + "9" * 5000 + '"}', ["E056"]),
    "division by nought": ('{"recipe": "1", "stages": [], "seed": "1/0"}', ["E056"]),
    "text for a name": ('{"recipe": "1", "stages": [{"name": "a", "mode": "train\\nexpect true"}]}', ["E056"]),
    "no stages": ('{"recipe": "1", "stages": []}', ["E053", "E053"]),
    "not UTF-8": (b'{"recipe": "\xe9"}', ["E002"]),
}


@pytest.mark.parametrize("what", BAD)
def test_document_that_is_none_is_coded_errors(here, what):
    text, codes = BAD[what]
    Path("bad.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    ended = command("convert", "bad.json", "--to", "recipe")
    assert (ended.code, ended.out) == (1, "")
    assert ended.codes
    assert codes is None or ended.codes == codes


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("model", "base"), ["x"], "`model.base` has the wrong JSON type"),
        (("model", "task"), "question answering", "`model.task` has the wrong JSON type"),
        (("model", "dtyp"), "fp32", "did you mean `dtype`?"),
        (("model", "dropout"), "0.1.2", "`model.dropout` has the wrong JSON type"),
        (("stages", 0, "keep"), "2", "`keep` is not a part of `stages[0]`"),
        (("stages", 0, "batch"), "x", "`stages[0].batch` has the wrong JSON type"),
        (("stages", 0, "length"), {"n": "1", "u": "parsec"}, "`stages[0].length` has the wrong JSON type"),
        (("stages", 0, "length"), {"n": "1", "u": "epoch", "x": "1"}, "`stages[0].length` has the wrong JSON type"),
        (("stages", 0, "name"), None, "`stages[0].name` has the wrong JSON type"),
        (("stages", 0, "optimizer"), {"adamw": {"betas": "0.9"}}, "`stages[0].optimizer.adamw.betas`"),
        (("stages", 0, "optimizer"), {"adam": {}}, "unknown optimizer `adam`"),
        (("stages", 1, "prune", "weights", "targets"), {"role": "a b"}, "`stages[1].prune.weights.targets`"),
        (("stages", 1, "prune", "weights", "targets"), {"regex": 'x\\"'}, "`stages[1].prune.weights.targets`"),
        (("stages", 1, "prune", "weights", "sparsity"), [{"shape": "cubic", "to": "1", "x": "1"}], "write an argument of a shape"),
        (("stages", 1, "prune", "weights", "sparsity"), "1.5", "1.5 is outside 0%..100%"),
        (("stages", 1, "distill", "teacher"), {"stage": "sparse"}, "E022"),
        (("data", ""), [], "`data` has the wrong JSON type"),
        (("claims", 0), {"expect": "x", "prefer": "y"}, "`claims[0]` has the wrong JSON type"),
        (("claims", 0), {"expect": {"%": ["1", "2"]}}, "write a language operator"),
        (("claims", 0), {"expect": {"==": ["1", "2", "3"]}}, "write a list of 2"),
        (("claims", 0), {"expect": {"measured": "dev f1"}}, "write the name of a measurement"),
        (("claims",), None, "`claims` has the wrong JSON type"),
    ],
)  # fmt: skip
def test_damage_is_named_with_its_path(here, path, value, message):
    form = json.loads(converted("pretty"))
    at = form
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    Path("bad.json").write_text(json.dumps(form), "utf-8")
    ended = command("convert", "bad.json", "--to", "json")
    assert (ended.code, ended.out) == (1, "")
    assert message in ended.err


def test_every_finding_is_told_at_once(here):
    form = json.loads(converted("pretty"))
    form["sed"] = form.pop("seed")
    form["model"]["dtype"] = ["fp32"]
    form["stages"][0]["batch"] = "eight"
    Path("bad.json").write_text(json.dumps(form), "utf-8")
    assert command("convert", "bad.json", "--to", "recipe").codes == ["E056"] * 3


def test_git_shows_changes_of_meaning_only(contents, monkeypatch):
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def driver() -> None:  # what the help tells, with the command of this checkout
        for name, value in environment().items():
            monkeypatch.setenv(name, value)
        git("config", "diff.recipe.textconv", f"{sys.executable} -m recipelang convert --to pretty")
        Path(".gitattributes").write_text("*.recipe diff=recipe\n", "utf-8")

    git("init", "-q")
    git("add", "tiny.recipe")
    driver()
    text = Path("tiny.recipe").read_text("utf-8")
    Path("tiny.recipe").write_text("# a comment\n".join(text.partition("\n")[::2]).replace("= 90%", "= 0.9"), "utf-8")
    assert git("diff", "tiny.recipe") == ""
    Path("tiny.recipe").write_text(text.replace("temperature = 2", "temperature = 3"), "utf-8")
    changed = [line for line in git("diff", "tiny.recipe").splitlines() if re.match(r"[-+] ", line)]
    assert len(changed) == 2
    assert '"temperature": "2"' in changed[0]
    assert '"temperature": "3"' in changed[1]


def test_training_arguments_say_what_they_leave_to_the_callback(contents):
    ended = command("convert", "tiny.recipe", "--to", "training-arguments")
    assert ended.code == 1 and "choose one: `--stage dense`, `--stage sparse`" in ended.err
    ended = command("convert", "tiny.recipe", "--to", "training-arguments", "--stage", "dense")
    assert (ended.code, ended.err) == (0, "") and json.loads(ended.out)["lr_scheduler_type"]
    text = Path("tiny.recipe").read_text("utf-8")
    Path("tiny.recipe").write_text(text.replace(", rewind = 1 epoch", ""), "utf-8")
    ended = command("convert", "tiny.recipe", "--to", "training-arguments", "--stage", "sparse")
    assert ended.code == 0 and json.loads(ended.out)["lr_scheduler_type"] == "polynomial"
    assert ended.err == "done by the callback `recipelang.loops.trainer.RecipeCallback`: `prune`, `distill`\n"


def test_a_recipe_that_trains_is_none_for_llm_compressor(contents):
    ended = command("convert", "tiny.recipe", "--to", "llm-compressor", "-o", "out.yaml")
    assert ended.code == 1 and "error[E115]: llm-compressor does not train" in ended.err
    assert not Path("out.yaml").exists()


def test_a_stage_with_the_clock_of_another_tool_comes_back(contents):
    text = Path("tiny.recipe").read_text("utf-8").replace("stage sparse {", "stage sparse {\n  compat = sparseml_1")
    Path("tiny.recipe").write_text(text, "utf-8")
    Path("tiny.json").write_text(converted("pretty"), "utf-8")
    assert re.search(r"^  compat += sparseml_1$", converted("recipe"), re.M)
    assert json.loads(Path("tiny.json").read_text("utf-8"))["stages"][1]["compat"] == "sparseml_1"
