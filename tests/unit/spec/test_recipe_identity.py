"""What a recipe is: digests that spelling does not change, and the effective recipe that is the same recipe."""

import json
import random
import re

import pytest

from recipelang.source import Source
from recipelang.spec.canonical import behaviour_digest, spec_digest, spec_form, to_json
from recipelang.spec.effective import effective
from recipelang.spec.metrics import TASKS
from tests.reading import SOUND, TEXTS, checked, codes, recipe_of, sound

LIBRARY = [n for n, text in TEXTS.items() if n in ("quickstart", "gmp-90", "first-steps")]


def digests(text: str, identities=None, **given: str) -> tuple[str, str]:
    recipe = recipe_of(text, **given)
    return spec_digest(recipe, identities or {}), behaviour_digest(recipe, identities or {})


SAME = {
    "comments": sound(("let warm", "# note\nlet warm"), ("batch         = 16", "batch         = 16  # sixteen")),
    "blank lines": SOUND.replace("\n", "\n\n"),
    "white space": re.sub(r" +=", "=", SOUND),
    "line ends": SOUND.replace("\n", "\r\n"),
    "90% as 0.9": sound(
        ("= 90%", "= 0.9"), ("70% ->", "0.7 ->"), ("100%", "1"), ("± 0.1%", "± 0.001"), ("87%", "0.87")
    ),
    "inlined window": sound(("start + warm .. end - warm", "2..28 epochs")),
    "8e-5 as 0.00008": sound(("8e-5", "0.00008")),
    "a rate as an interval": sound(("updates = 10 per epoch", "every = 0.1 epochs")),
    "operands swapped": sound(
        ("@linear & @encoder", "@encoder & @linear"), ("@embeddings | @head", "@head | @embeddings")
    ),
    "operands repeated": sound(("@linear & @encoder", "(@encoder & @linear) & @encoder")),
    "attributes reordered": sound(("hardness = 100%, temperature = 5.5", "temperature = 5.5, hardness = 100%")),
    "definitions reordered": sound(("let warm = 2 epochs\n", ""), add="let warm = 2 epochs\n"),
    "blocks reordered": sound(
        ('data { source = "hf://owner/data" }\n', ""), add='data { source = "hf://owner/data" }\n'
    ),
    "claims reordered": sound(("prefer dev.f1 >= 87%\n", ""), ("\nrequire", "\nprefer dev.f1 >= 87%\nrequire")),
    "a claim repeated": sound(add="prefer dev.f1 >= 87%\n"),
    "meta": sound(add='meta { version = "2.0.0", tags = ["a"] }\n'),
    "the name": sound(('recipe 1 "sound"', 'recipe 1 "other"')),
    "renamed parameters": sound(
        ("target:", "goal:"),
        ("-> target", "-> goal"),
        ("== target", "== goal"),
        ("length:", "all:"),
        ("= length", "= all"),
    ),
    "renamed lets": sound(("warm", "w")),
    "no parameters": sound(
        ("param target: ratio in 50%..99% = 90%\n", ""), ("-> target", "-> 90%"), ("== target", "== 90%")
    ),
    "a value computed": sound(("= 90%", "= 100% - 10%"), ("87%", "80% + 7%")),
    "a value chosen": sound(("87%", "(if target > 50% then 87% else 1)")),
    "brackets": sound(("dev.f1 >= 87%", "((dev.f1) >= (87%))")),
    "defaults written": sound(
        ("batch         = 16", "batch = 16, clip = 1, precision = fp32, mode = train"),
        ("magnitude(scope = uniform)", "magnitude\n    pattern = unstructured"),
    ),
    "the default optimizer": sound(("batch         = 16", "batch = 16\n  optimizer = adamw(eps = 1e-8)")),
    "ends written": sound(("rewind = 2 epochs", "rewind = 2 epochs, ends = after")),
    "how it runs": sound(("batch         = 16", "batch = 16, micro_batch = 4, keep = 9, checkpoint_every = 5 steps")),
    "how it runs by the clock": sound(("batch         = 16", "batch = 16, checkpoint_every = 10 min")),
    "messages of claims": sound(("87%", '87%, "as reported"'), ('"leave room"', '"room"')),
    "decomposed letters": sound(("owner/model", "owner/mode\u0301l")).replace("mode\u0301l", "model"),
}

OTHER = {
    "target": sound(("= 90%", "= 91%")),
    "length": sound(("= 30 epochs", "= 31 epochs")),
    "temperature": sound(("5.5", "5.6")),
    "seed": sound(add="seed = 43\n"),
    "model": sound(("owner/model", "owner/other")),
    "targets": sound(("@linear & @encoder", "@linear")),
    "never": sound(("    never    = @embeddings | @head\n", "")),
    "window": sound(("end - warm", "end - 3 epochs")),
    "updates": sound(("10 per epoch", "5 per epoch")),
    "rewind": sound(("rewind = 2 epochs", "rewind = 3 epochs")),
    "ends": sound(("rewind = 2 epochs", "rewind = 2 epochs, ends = last")),
    "ends of a temperature": sound(("5.5", "linear(5.5 -> 5.5, over = start..end, ends = last)")),
    "scope": sound(("scope = uniform", "scope = global")),
    "optimizer": sound(("batch         = 16", "batch = 16, optimizer = sgd")),
    "data": sound(('"hf://owner/data"', '"hf://owner/data", max_length = 64')),
    "a requirement": sound(("warm >= 1 epoch", "warm >= 0.5 epochs")),
}

CLAIMS = {
    "expect": sound(("± 0.1%", "± 0.2%")),
    "prefer": sound(("87%", "88%")),
    "expect for prefer": sound(("prefer", "expect")),
    "operator": sound((">= 87%", "> 87%")),
    "one claim less": sound(("prefer dev.f1 >= 87%\n", "")),
    "metrics": sound(("[f1, exact_match]", "[f1]")),
    "split": sound(("[f1, exact_match]", '[f1, exact_match], split = "test"')),
    "export": sound(add="export { card = false }\n"),
    "data to measure on": sound(('"hf://owner/data"', '"hf://owner/data", validation = "hf://owner/other"')),
    "a set to measure on": sound(add='data more { source = "hf://owner/more" }\nevaluate more { data = more }\n'),
}


@pytest.mark.parametrize("change", SAME)
def test_both_digests_are_unchanged_by(change):
    assert digests(SAME[change]) == digests(SOUND)


@pytest.mark.parametrize("change", OTHER)
def test_both_digests_are_changed_by(change):
    spec, behaviour = digests(OTHER[change])
    assert spec != digests(SOUND)[0]
    assert behaviour != digests(SOUND)[1]


@pytest.mark.parametrize("change", CLAIMS)
def test_only_the_spec_digest_is_changed_by_claims_evaluation_and_export(change):
    spec, behaviour = digests(CLAIMS[change])
    assert spec != digests(SOUND)[0]
    assert behaviour == digests(SOUND)[1]


def test_a_value_from_outside_is_the_same_as_one_in_the_file():
    assert digests(SOUND, target="95%") == digests(sound(("= 90%", "= 95%")))


def test_a_local_model_enters_by_its_contents_and_not_by_its_path():
    here, there = (sound(('"hf://owner/model"', f'"{p}"')) for p in ("./model", "/elsewhere/m"))
    one = digests(here, {"./model": "sha256:aa"})
    assert one == digests(there, {"/elsewhere/m": "sha256:aa"})
    assert one != digests(here, {"./model": "sha256:bb"})
    assert "/elsewhere" not in to_json(spec_form(recipe_of(there), {"/elsewhere/m": "sha256:aa"}))


def test_the_canonical_form_has_no_white_space_no_numbers_and_sorted_keys():
    text = to_json(spec_form(recipe_of(SOUND), {}))

    def numbers(value: object) -> list[object]:
        match value:
            case dict():
                assert list(value) == sorted(value)
                return [n for v in value.values() for n in numbers(v)]
            case list():
                return [n for v in value for n in numbers(v)]
        return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []

    assert numbers(json.loads(text)) == []
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert '"recipe":"1"' in text


CHANGING = sound(
    (
        "hardness = 100%, temperature = 5.5",
        "hardness = linear(1 -> 0.5, over = start..end), temperature = cosine(8 -> 2, over = start..end)\n"
        "on = [logits, hidden(1, weight = linear(1 -> 0, over = start..end))]",
    ),
    (
        "  prune weights",
        "  group head { targets = @head, learning_rate = linear(1 -> 0, over = start..end) }\n  prune weights",
    ),
)


@pytest.mark.parametrize(("compat", "ends"), [("", "after"), ("  compat = sparseml_1\n", "last")])
def test_the_canonical_form_says_when_every_value_ends(compat, ends):
    """With `compat` a value is read as it always was."""
    form = to_json(spec_form(recipe_of(CHANGING.replace("  batch  ", compat + "  batch  ")), {}))
    assert form.count('"ends":"') == form.count(f'"ends":"{ends}"') == 5


def test_what_does_not_change_at_every_step_has_no_ends():
    text = sound(("linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)", "step(8e-5 -> 8e-6, at = 2 epochs)"))
    assert '"ends"' not in to_json(spec_form(recipe_of(text), {}))


@pytest.mark.parametrize(
    "where", ["learning_rate = linear(8e-5", "temperature = cosine(8", "hidden(1, weight = linear(1"]
)
def test_compat_reads_no_value_as_ending_after_its_window(where):
    text = re.sub(rf"({re.escape(where).replace(' = ', r' *= ')} -> [^)]*)\)", r"\1, ends = after)", CHANGING)
    assert text != CHANGING
    assert codes(text) == []
    assert codes(text.replace("  batch  ", "  compat = sparseml_1\n  batch  ")) == ["E054"]


#: neither a value that changes at every step nor weight decay
NEITHER = sound(
    ("batch         = 16", "batch = 16, optimizer = sgd(momentum = 0.9)"),
    ("linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)", "step(1e-3 -> 1e-4, at = 10 epochs)"),
)


def test_a_recipe_without_what_was_given_rules_has_the_digest_it_always_had():
    assert digests(NEITHER)[0] == "sha256:8b8dc80a1eb4c8ec4954c8ce173441c91249022e62b1f8d4c0d6b6240c2e99b3"


# -------------------------------------------------------------------- effective recipes
def again(text: str, **given: str) -> None:
    """The effective recipe has no findings, no parameters, the same digests, and is its own effective recipe."""
    recipe = recipe_of(text, **given)
    printed = effective(recipe)
    result = checked(printed)
    assert [f"{d.code} {d.message}" for d in result.diagnostics] == []
    assert result.recipe.params == ()
    assert spec_digest(result.recipe, {}) == spec_digest(recipe, {})
    assert behaviour_digest(result.recipe, {}) == behaviour_digest(recipe, {})
    assert (result.recipe.doc, result.recipe.meta) == (recipe.doc, recipe.meta)
    assert effective(result.recipe) == printed


@pytest.mark.parametrize("name", LIBRARY)
def test_effective_recipe_of_the_library_is_the_same_recipe(name):
    again(TEXTS[name])


@pytest.mark.parametrize("change", [*SAME, *OTHER, *CLAIMS])
def test_effective_recipe_of_a_variant_is_the_same_recipe(change):
    again((SAME | OTHER | CLAIMS)[change])


WAY = "param way: one_of(uniform, global) = global\nparam shape: pattern = unstructured\n"
SPARSITY = "cubic(70% -> target, over = start + warm .. end - warm, updates = 10 per epoch)"
ODD = {
    "names chosen": sound(add=WAY + 'require way == global and shape != 2:4 or way in [uniform], "x"\n'),
    "a chosen method": sound(
        ("magnitude(scope = uniform)", "if way == uniform then magnitude else magnitude(scope = global)"), add=WAY
    ),
    "thirds": sound(("5.5", "16 / 3"), ("8e-6", "1e-5 / 3"), ("100%", "1 / 3"), ("2 epochs", "7 / 3 * 1 epoch")),
    "epochs and steps": sound(("start + warm", "start + 1 epoch + 7 steps"), ("end - warm", "end - 3 steps")),
    "a jump": sound((SPARSITY, "step(30% -> target, at = warm)")),
    "a plain sparsity": sound((SPARSITY, "target")),
    "a list": sound(
        (
            SPARSITY,
            "[linear(1% -> 70%, over = 0..2 epochs, every = 3 steps), "
            "polynomial(70% -> target, power = 5 / 2, over = 2 epochs..end, every = 1 / 3 * 1 epoch)]",
        )
    ),
    "a rate list": sound(
        (
            "linear(8e-5 -> 8e-6, over = start..end, rewind = 2 epochs)",
            "[constant(1e-4, over = 0%..10%), cosine(1e-4 -> 0, over = 10%..100%, rewind = 100 steps)]",
        )
    ),
    "schedules of distillation": sound(("5.5", "exponential(8 -> 2, over = start..end)")),
    "selectors": sound(
        ("@linear & @encoder\n", '(!@norm & "a.{b,c}.**" | re"x\\.\\d+" & layers(0..-1)) except (@query except @key)\n')
    ),
    "clip and betas": sound(("= 16", "= 16, clip = none, optimizer = adamw(betas = [0, 0.5], eps = 1e-30)")),
    "columns": sound(('"hf://owner/data" }', '"a.json"\n  columns { question = "a \\"b\\" ${x}" } }')).replace(
        "${x}", "\\${x}"
    ),
    "labels that are no names": sound(
        ("data { source", 'data "my data" { source'), ("= 16", '= 16, data = "my data"')
    ).replace("evaluate dev {", 'evaluate dev { data = "my data",'),
    "keywords as labels": sound(("prune weights", 'prune "in"'), ("stage gradual", 'stage "if"')),
    "documentation": "## what it is\n## and why\n" + SOUND,
    "meta in full": sound(
        add='meta { version = "1", authors = ["a", "b"], summary = """\n  two\n  "lines" \\\\\n  """, reported = ["x = 1"] }\n'
    ),
    "claims with branches": sound(add="expect if dev.f1 > 1% then dev.f1 < 99% else dev.exact_match > target\n"),
    "claims in brackets": sound(
        add="expect (dev.f1 >= 80%) == true\nexpect not (dev.f1 < 1% or dev.f1 > 2 and target == 90%)\n"
        "expect dev.f1 - (dev.exact_match - 1%) in [0, 1]..[2] or true\n".replace("[0, 1]..[2] or true", "-1..1")
        + "expect 1 - (1 - dev.f1) / (2 / 3) >= -(dev.f1 * -1)\nprefer dev.f1 in [0.5, dev.exact_match] or 1 == 1\n"
    ),
    "claims of selectors": sound(
        add='expect sparsity((@query | @key) & !layers(0..2) except "x.*") == 1 / 3 ± 1 / 7\nexpect pattern(@query) == unstructured\n'
    ),
    "a part that is never reached": sound(
        add="let low = 1\nexpect dev.f1 < 0 or (if dev.f1 < 9 then 1 else 1 / (low - low)) == 1\n"
    ),
    "selectors compared": sound(add="expect layers(-1) in [layers(0..2), @query]\n"),
    "negative values": sound(add="let low = -5\nexpect 3 - low * dev.f1 > low\n"),
    "selectors by name": sound(
        ("@linear & @encoder\n", "enc\n"), add="let enc = @linear | @query\nexpect sparsity(enc & @key) >= 0\n"
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_effective_recipe_of_an_odd_one_is_the_same_recipe(name):
    again(ODD[name])


@pytest.mark.parametrize("seed", range(30))
def test_effective_recipe_of_random_variants_is_the_same_recipe(seed):
    rng = random.Random(seed)
    n, m = rng.randint(4, 60), rng.randint(1, 50)
    changes = [
        ("30 epochs", rng.choice([f"{n} epochs", f"{n}.{m:02d} epochs", f"{n} * 1 epoch / 3"])),
        ("2 epochs\n", rng.choice(["1 epoch\n", "1.25 epochs\n", "4 / 3 * 1 epoch\n", "1 epoch + 0.1 epochs\n"])),
        (
            "5.5",
            rng.choice(
                [
                    f"{m} / 7",
                    "linear(8 -> 2, over = start..end)",
                    "[cosine(8 -> 2, over = 0%..50%), constant(2, over = 50%..100%)]",
                ]
            ),
        ),
        ("± 0.1%", rng.choice(["± 0.1%", f"± {m} / 9000", f"± 0.00{m}"])),
        ("10 per epoch", rng.choice(["10 per epoch", f"{m} per epoch", f"{m} / 7 * (1 per epoch)"])),
        ("= 90%", rng.choice(["= 90%", f"= {50 + m % 49}.{m}%", f"= 0.{50 + m % 49}", "= 2 / 3"])),
        (
            "@linear & @encoder",
            rng.choice(["@linear & @encoder", "@linear & layers(1..-1)", '"**.weight" except @norm']),
        ),
        ("dev.f1 >= 87%", rng.choice(["dev.f1 >= 87%", "dev.f1 / 3 >= target / 9", "not dev.f1 < target - 7 / 9"])),
    ]
    again(sound(*rng.sample(changes, rng.randint(1, len(changes)))))


def test_paths_of_local_things_are_written_as_found():
    recipe = recipe_of(sound(('"hf://owner/model"', '"./model"')))
    assert 'base = "/data/model"' in effective(recipe, {"./model": "/data/model"})


def test_a_claim_is_printed_with_its_values():
    printed = effective(recipe_of(SOUND, target="95%"))
    assert "expect sparsity(@linear & @encoder) == 95% ± 0.1%\n" in printed
    assert 'require 2 epochs >= 1 epoch, "leave room"\n' in printed


def test_findings_in_an_effective_recipe_name_no_parameter():
    source = Source("effective.recipe", effective(recipe_of(SOUND)))
    assert re.findall(r"\b(param|let|target|warm)\b", source.text) == []


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"question_answering", "causal_lm", "masked_lm"}))
def test_data_to_measure_on_decides_weights_where_the_splits_decide_together_what_classes_are(task):
    parts = [("question_answering", task), ("metrics = [f1, exact_match]", ""), ("prefer dev.f1 >= 87%\n", "")]
    text = sound(*parts)
    given = sound(*parts, ('"hf://owner/data"', '"hf://owner/data", validation = "hf://owner/other"'))
    assert digests(given)[1] != digests(text)[1]
    unused = sound(*parts, ('"hf://owner/data"', '"hf://owner/data", test = "hf://owner/other"'))
    assert digests(unused)[1] == digests(text)[1]
    assert digests(unused)[0] != digests(text)[0]


@pytest.mark.parametrize(
    ("files", "more", "decides"),
    [
        ('train = "a.txt", validation = {}', "", False),
        ('train = "a.jsonl", validation = {}', "", True),
        ('train = "a.jsonl", validation = {}', 'columns { text = "body" }', False),
    ],
)
def test_texts_to_measure_on_decide_weights_where_their_column_is_looked_for(files, more, decides):
    def text(name: str) -> str:
        data = ('source = "hf://owner/data"', f"{files.format(name)}\n{more}")
        parts = [
            ("question_answering", "causal_lm"),
            ("metrics = [f1, exact_match]", ""),
            ("prefer dev.f1 >= 87%\n", ""),
        ]
        return sound(*parts, data)

    suffix = ".txt" if ".txt" in files else ".jsonl"
    one, other = (digests(text(f'"{name}{suffix}"')) for name in ("b", "c"))
    assert one[0] != other[0]
    assert (one[1] != other[1]) == decides
