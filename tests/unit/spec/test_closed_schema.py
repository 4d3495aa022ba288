"""The closed schema: every attribute with its default and digests, and what is said of everything else."""

from fractions import Fraction

import pytest

from recipelang.methods import METHODS
from recipelang.spec.blocks import BLOCKS, Spec, TopSpec
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.values.composite import Chosen, SparsityPattern, Term
from tests.reading import checked, codes, recipe_of, sound

REQUIRED = object()
ADAMW = Chosen(
    "adamw",
    (
        ("betas", (Fraction("0.9"), Fraction("0.999"))),
        ("eps", Fraction("1e-8")),
        ("weight_decay", Fraction(0)),
        ("no_decay", "norms_and_biases"),
    ),
)

#: block -> attribute -> (default, digest)
TABLE: dict[str, dict[str, tuple[object, str]]] = {
    "": {"seed": (42, "b")},
    "meta": {
        **dict.fromkeys(("version", "license", "summary", "origin"), (None, "-")),
        **dict.fromkeys(("authors", "cites", "tags", "reported", "requires"), ((), "-")),
    },
    "model": {
        "base": (REQUIRED, "b"),
        "task": (REQUIRED, "b"),
        "revision": (None, "b"),
        "dtype": ("fp32", "b"),
        "attention": (None, "b"),
        "dropout": (None, "b"),
        "attention_dropout": (None, "b"),
    },
    "data": {
        **dict.fromkeys(
            ("source", "train", "validation", "test", "config", "max_length", "samples", "seed"), (None, "b")
        ),
        "stride": (128, "b"),
        "shuffle": (True, "b"),
        "classes": ((), "b"),
        "unlabelled": ((), "b"),
        "positive": (None, "s"),
        "answer_is": (None, "b"),
        "max_score": (None, "b"),
        "prefix": (None, "b"),
        "source_language": (None, "b"),
        "target_language": (None, "b"),
        "group_by_length": (False, "b"),
        "streaming": (False, "b"),
        "shuffle_buffer": (None, "b"),
    },
    "track": {"to": (REQUIRED, "-"), "project": (None, "-")},
    "mix": {"source": (REQUIRED, "b"), "config": (None, "b"), "share": (REQUIRED, "b")},
    "columns": dict.fromkeys(
        (
            "id",
            "question",
            "context",
            "answers",
            "text",
            "messages",
            "pair",
            "source",
            "target",
            "negative",
            "score",
            "label",
            "choices",
            "tokens",
            "tags",
            "answer",
        ),
        (None, "b"),
    ),
    "stage": {
        "mode": ("train", "b"),
        "length": (None, "b"),
        "batch": (None, "b"),
        "micro_batch": (None, "-"),
        "learning_rate": (None, "b"),
        "optimizer": (ADAMW, "b"),
        "clip": (Fraction(1), "b"),
        "label_smoothing": (Fraction(0), "b"),
        "class_weights": (None, "b"),
        "ema": (None, "b"),
        "keep_best": (None, "b"),
        "stop_early": (None, "b"),
        "patience": (3, "b"),
        "min_delta": (Fraction(0), "b"),
        "precision": ("fp32", "b"),
        "activation_checkpointing": (False, "-"),
        "compile": (False, "-"),
        "data": ("", "b"),
        "seed": (None, "b"),
        "checkpoint_every": (None, "-"),
        "keep": (2, "-"),
        "compat": (None, "b"),
    },
    "prune": {
        "targets": (REQUIRED, "b"),
        "never": (None, "b"),
        "method": (REQUIRED, "b"),
        "pattern": (SparsityPattern("unstructured"), "b"),
        "sparsity": (None, "b"),
        "order": ("sequential", "b"),
        "reconstruct": (None, "b"),
    },
    "adapter": {"method": (REQUIRED, "b"), "targets": (REQUIRED, "b"), "also": (None, "b")},
    "distill": {
        "teacher": (REQUIRED, "b"),
        "on": ((Term("logits"),), "b"),
        "hardness": (REQUIRED, "b"),
        "temperature": (REQUIRED, "b"),
        "cache": (False, "-"),
    },
    "freeze": {"targets": (REQUIRED, "b"), "until": (None, "b")},
    "group": {"targets": (REQUIRED, "b"), "learning_rate": (None, "b"), "weight_decay": (None, "b")},
    "drop": {"keep": (REQUIRED, "b")},
    "shrink": {
        "axes": (REQUIRED, "b"),
        "budget": (None, "b"),
        "latencies": (None, "b"),
        "chosen": (None, "-"),
        "by": ("activation", "b"),
        "multiple_of": (None, "b"),
        "keep": (None, "b"),
        "rounds": (None, "b"),
        "every": (None, "b"),
    },
    "evaluate": {
        **dict.fromkeys(("source", "config", "every", "compare", "null_threshold"), (None, "s")),
        "data": ("", "s"),
        "split": ("validation", "s"),
        "samples": (None, "s"),
        "batch": (None, "-"),
        "metrics": ((), "s"),
    },
    "harness": {"task": (REQUIRED, "s"), "few_shot": (None, "s"), "samples": (None, "s"), "batch": (8, "-")},
    "export": {
        "formats": (("safetensors",), "s"),
        "quantize": (None, "s"),
        "card": (True, "s"),
        "max_shard": (5_000_000_000, "s"),
    },
}
SPECS: dict[str, type[Spec]] = {"": TopSpec} | {kind: spec for table in BLOCKS.values() for kind, spec in table.items()}


@pytest.mark.parametrize("block", TABLE)
def test_attributes_defaults_and_digests_of_a_block(block):
    spec = SPECS[block]
    fields = spec.model_fields
    found = {
        name: (REQUIRED if fields[name].is_required() else fields[name].default, attribute.digest)
        for name, attribute in spec.attributes().items()
    }
    assert found == TABLE[block]


def test_there_are_no_other_blocks():
    assert set(SPECS) == set(TABLE)
    assert {parent: set(inner) for parent, inner in BLOCKS.items()} == {
        "": {"meta", "model", "data", "stage", "evaluate", "harness", "export", "track"},
        "stage": {"prune", "adapter", "distill", "freeze", "group", "drop", "shrink"},
        "data": {"columns", "mix"},
    }


def test_methods_and_optimizers_with_their_defaults():
    assert OPTIMIZERS["adamw"].default() == ADAMW
    assert OPTIMIZERS["sgd"].default() == Chosen("sgd", (("momentum", Fraction(0)),))
    assert METHODS["magnitude"].default() == Chosen("magnitude", (("scope", "uniform"),))


def test_every_attribute_has_a_line_of_documentation():
    assert [f"{b}.{n}" for b, s in SPECS.items() for n, a in s.attributes().items() if not a.doc.strip()] == []


@pytest.mark.parametrize(
    ("block", "labels"),
    [(b, (1, 1)) for b in ("stage", "prune", "evaluate", "freeze", "group", "drop", "shrink", "mix")]
    + [("data", (0, 1))],
)
def test_labels_of_blocks(block, labels):
    assert labels == SPECS[block].LABELS
    assert all(SPECS[b].LABELS == (0, 0) for b in ("meta", "model", "export", "distill", "columns"))


STAGE = "  batch         = 16\n"


def only(text: str):
    (found,) = checked(text).diagnostics
    return found, text[found.primary.span.start : found.primary.span.end]


def in_stage(line: str) -> str:
    return sound((STAGE, f"{STAGE}  {line}\n"))


# --------------------------------------------------------------------- unknown things
@pytest.mark.parametrize(
    ("change", "wrong", "right"),
    [
        (("learning_rate = linear", "learning_rat = linear"), "learning_rat", "learning_rate"),
        (("learning_rate = linear", "lr = linear"), "lr", "learning_rate"),
        (("  length        = length", "  epochs = 30 epochs"), "epochs", "length"),
        (("batch         = 16", "batch_size = 16"), "batch_size", "batch"),
        (("targets  =", "modules  ="), "modules", "targets"),
        (("never    =", "ignore   ="), "ignore", "never"),
        (("model { base", "model { bsae"), "bsae", "base"),
        (("hardness = 100%", "hardnes = 100%"), "hardnes", "hardness"),
    ],
)
def test_an_unknown_attribute_is_one_finding_with_the_name_meant(change, wrong, right):
    found, at = only(sound(change))
    assert (found.code, at, found.help) == ("E051", wrong, (f"did you mean `{right}`?",))
    assert (found.fixes[0].edits[0].text, found.fixes[0].applicability) == (right, "safe")


@pytest.mark.parametrize(
    ("line", "home"),
    [
        ("temperature = 3", "distill"),
        ("sparsity = 30%", "prune"),
        ("max_length = 3", "data"),
        ("split = 'x'", "evaluate"),
    ],
)
def test_an_attribute_in_the_wrong_place_is_told_its_place(line, home):
    name = line.split()[0]
    found, at = only(in_stage(line.replace("'", '"')))
    assert (found.code, at) == ("E051", name)
    assert found.help == (f"`{name}` belongs in `{home}`, not in `stage`",)


def test_an_attribute_that_nothing_has_lists_what_there_is():
    found, _ = only(in_stage("xyzzy = 3"))
    assert found.code == "E051"
    assert found.help[0].startswith("it takes `mode`, `length`, `batch`")


@pytest.mark.parametrize(
    ("text", "wrong", "help"),
    [
        ("modle { }", "modle", "did you mean `model`?"),
        ("prune x { }", "prune", "`prune` belongs inside `stage`"),
        (
            "xyzzy { }",
            "xyzzy",
            "a recipe takes `meta`, `model`, `data`, `stage`, `evaluate`, `harness`, `export`, `track`",
        ),
        ("meta { foo { } }", "foo", "`meta` takes no blocks"),
    ],
)
def test_an_unknown_block_is_told_its_name_or_place(text, wrong, help):
    found, at = only(sound(add=text + "\n"))
    assert (found.code, at, found.help) == ("E052", wrong, (help,))


def test_what_the_language_has_and_this_release_has_not():
    assert codes(sound(add="extension x { }\n")) == ["E055"]


@pytest.mark.parametrize("statement", ["let a = 1", "param a: int = 1", "expect 1 == 1"])
def test_definitions_and_claims_stand_at_the_top(statement):
    found, at = only(in_stage(statement))
    assert (found.code, at) == ("E052", statement)


# ------------------------------------------------------------- twice, missing, labels
@pytest.mark.parametrize(
    ("text", "where"),
    [
        (in_stage("batch = 17"), "batch"),
        (sound(add='model { base = "a", task = causal_lm }\n'), "model"),
        (sound(add="stage gradual { }\n"), "stage gradual"),
        (sound(add="evaluate dev { }\n"), "evaluate dev"),
        (sound(add="seed = 1\nseed = 2\n"), "seed"),
    ],
)
def test_what_is_given_twice_is_shown_at_both_places(text, where):
    found, at = only(text)
    (first,) = found.secondary
    assert (found.code, at, first.text) == ("E012", where, "first given here")
    assert text[first.span.start : first.span.end] == where
    assert first.span.start < found.primary.span.start


@pytest.mark.parametrize(
    ("change", "message", "header"),
    [
        ((STAGE, ""), "`stage` needs `batch`", "stage gradual"),
        (("    targets  = @linear & @encoder\n", ""), "`prune` needs `targets`", "prune weights"),
        ((", temperature = 5.5", ""), "`distill` needs `temperature`", "distill"),
        ((", task = question_answering", ""), "`model` needs `task`", "model"),
    ],
)
def test_what_is_missing_is_said_at_the_header_of_its_block(change, message, header):
    found, at = only(sound(change))
    assert (found.code, found.message, at) == ("E053", message, header)


def test_blocks_that_a_recipe_must_have():
    assert [d.message for d in checked('recipe 1 "x"\n').diagnostics] == [
        "the recipe has no `model`",
        "the recipe has no `stage`",
    ]
    assert codes(sound(('data { source = "hf://owner/data" }', ""))) == ["E053"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("stage { }", "E053"),
        ("stage a b { }", "E054"),
        ("model x { }", "E054"),
        ('data "calibration" { source = "x" }', None),
        ("data a b { }", "E054"),
        ("evaluate { }", "E053"),
    ],
)
def test_labels_are_required_or_refused(text, code):
    assert codes(sound(add=text + "\n")) == ([code] if code else [])


@pytest.mark.parametrize("operator", ["+=", "-="])
def test_editing_needs_something_inherited(operator):
    assert codes(sound(("never    =", f"never {operator}"))) == ["E031"]


# ------------------------------------------------------------------------------ values
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("micro_batch = 0", "E038"),
        ("micro_batch = 1.5", "E024"),
        ("clip = 0", "E038"),
        ("clip = none", None),
        ("precision = fp23", "E022"),
        ("precision = bf16", None),
        ("keep = 0", "E038"),
        ("compile = 1", "E024"),
        ("data = other", "E022"),
        ("checkpoint_every = 100 steps", None),
        ("checkpoint_every = 100", "E024"),
        ("checkpoint_every = 10 min", None),
        ("checkpoint_every = 0 s", "E038"),
        ("checkpoint_every = 5 MB", "E024"),
        ("seed = -1", "E038"),
        ("optimizer = adam", "E022"),
        ("optimizer = sgd", None),
        ("optimizer = sgd(momentum = 2)", "E038"),
        ("optimizer = adamw(betas = [0.9, 0.99], weight_decay = 1%)", None),
        ("optimizer = adamw(betas = 0.9)", "E024"),
        ("optimizer = adamw(0.9)", "E024"),
        ("optimizer = adamw(eps = 1e-8, eps = 1e-9)", "E026"),
        ("optimizer = adamw(epsilon = 1e-8)", "E051"),
        ("mode = one_shott", "E022"),
    ],
)
def test_values_of_a_stage(line, code):
    assert codes(in_stage(line)) == ([code] if code else [])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("@linear & @encoder\n", '"encoder.**" | re".*weight" | layers(0..5)\n'), None),
        (("@linear & @encoder\n", "layers(-1) except @norm\n"), None),
        (("@linear & @encoder\n", "linear\n"), "E022"),
        (("@linear & @encoder\n", "layer(3)\n"), "E022"),
        (("@linear & @encoder\n", "layers(1.5)\n"), "E024"),
        (("@linear & @encoder\n", '""\n'), "E024"),
        (("@linear & @encoder\n", "3\n"), "E024"),
        (("@linear & @encoder\n", "none\n"), "E024"),
        (("@embeddings | @head", "none"), None),
        (("magnitude(scope = uniform)", "magnitude"), None),
        (("magnitude(scope = uniform)", "magnitude(scope = rows)"), "E022"),
        (("magnitude(scope = uniform)", "magnitude(uniform)"), "E024"),
        (("magnitude(scope = uniform)", "magnitude(scpe = uniform)"), "E051"),
        (("magnitude(scope = uniform)", "magnitude(scope = uniform, scope = global)"), "E026"),
        (("magnitude(scope = uniform)", "magnitde"), "E022"),
        (('teacher = "hf://owner/teacher"', "teacher = stage.gradual"), "E022"),
        (('teacher = "hf://owner/teacher"', "teacher = stage.dense"), "E022"),
        (("temperature = 5.5", "temperature = 0"), "E038"),
        (("temperature = 5.5", "temperature = 5.5, on = [start_logits, end_logits]"), None),
        (("temperature = 5.5", "temperature = 5.5, on = logit"), "E022"),
        (("metrics = [f1, exact_match]", "metrics = f1"), None),
        (("metrics = [f1, exact_match]", "metrics = [f1, exact]"), "E022"),
        (("metrics = [f1, exact_match]", "metrics = [f1, exact_match], split = validation"), "E022"),
        (("length        = length", "length = 30"), "E024"),
        (('source = "hf://owner/data"', 'source = "hf://owner/data", stride = 12.5'), "E024"),
        (('source = "hf://owner/data"', 'source = "hf://owner/data", stride = 12 samples'), "E024"),
        (('source = "hf://owner/data" }', 'source = "hf://owner/data"\n columns { question = "q" } }'), None),
        (('source = "hf://owner/data" }', 'source = "hf://owner/data"\n columns { questions = "q" } }'), "E051"),
    ],
)
def test_values_of_other_blocks(change, code):
    assert codes(sound(change)) == ([code] if code else [])


def test_a_role_without_its_sign_offers_it():
    found, at = only(sound(("targets  = @linear & @encoder", "targets = linear")))
    assert (at, found.fixes[0].edits[0].text) == ("linear", "@linear")


def test_a_stage_may_learn_from_an_earlier_one():
    dense = "stage dense { length = 1 epoch, batch = 8, learning_rate = 1e-4 }\n\nstage gradual {"
    text = sound(("stage gradual {", dense), ('"hf://owner/teacher"', "stage.dense"))
    assert [s.name for s in recipe_of(text).stages] == ["dense", "gradual"]
    later = sound(('"hf://owner/teacher"', "stage.later")) + dense.removesuffix("stage gradual {").replace(
        "dense", "later"
    )
    assert codes(later) == ["E022"]


def test_requirements_that_do_not_hold_show_their_values():
    text = sound(("let warm = 2 epochs", "let warm = 0.5 epochs"))
    found, at = only(text)
    assert (found.code, found.message, at) == ("E050", "leave room", "warm >= 1 epoch")
    assert [(text[s.span.start : s.span.end], s.text) for s in found.secondary] == [("warm", "0.5 epochs")]


def test_attributes_never_see_each_other():
    assert codes(sound(("end - warm", "end - batch"))) == ["E022"]


@pytest.mark.parametrize(
    "method", ["obert(recomputations = 2)\n    pattern = 2:4", "obert(block = 50)\n    pattern = block(1, 4)"]
)
def test_what_a_method_cannot_do_in_a_pattern(method):
    assert codes(sound(("magnitude(scope = uniform)", method))) == ["E054"]


@pytest.mark.parametrize(
    ("mode", "method", "refused"),
    [
        ("train", "magnitude", True),
        ("train", "obert", True),
        ("one_shot", "magnitude", True),
        ("one_shot", "wanda", False),
        ("one_shot", "sparsegpt", False),
    ],
)
def test_an_order_of_layers_is_refused_where_it_would_do_nothing(mode, method, refused):
    of_training = "length = 1 epoch\nbatch = 8\nlearning_rate = 1e-4\n" if mode == "train" else "mode = one_shot\n"
    text = (
        'recipe 1 "a"\nmodel { base = "m", task = causal_lm }\ndata { source = "d" }\n'
        f"stage s {{\n{of_training}prune w {{ targets = @linear, method = {method}, sparsity = 50%, order = ORDER }}\n}}\n"
    )
    assert codes(text.replace("ORDER", "sequential")) == []
    assert codes(text.replace("ORDER", "parallel")) == (["E054"] if refused else [])
