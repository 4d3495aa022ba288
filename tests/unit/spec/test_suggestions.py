"""What is proposed for a word that is not known: by what may stand there, one finding a name, no echo."""

import pytest

from recipelang.cli.mend import mend
from recipelang.loading.read import check_all
from recipelang.source import Source
from recipelang.spec.blocks import BLOCKS
from recipelang.values.aliases import ATTRIBUTES, OTHER_VALUES
from tests.reading import checked, codes, sound


def only(text: str):
    (found,) = checked(text).diagnostics.errors
    return found


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("warm = 2 epochs", "warm = 2 iters", "steps"),
        ("warm = 2 epochs", "warm = 2 passes", "epochs"),
        ("warm = 2 epochs", "warm = 1 epocs", "epoch"),
        ("warm = 2 epochs", "warm = 2 epocs", "epochs"),
        ("= 90%", "= 90 percent", "90%"),
        ("10 per epoch", "10 per epohc", "epoch"),
        ("@linear & @encoder\n", "@linear & @mlp\n", "@ffn"),
        ("@linear & @encoder\n", "@lineer\n", "@linear"),
        ("question_answering", "qa", "question_answering"),
        ("[f1, exact_match]", "[f1, em]", "exact_match"),
        ("prefer dev.f1", "prefer dev.em", "exact_match"),
        ("magnitude(scope", "gmp(scope", "magnitude"),
        ("magnitude(scope = uniform)", "GMPruningModifier", "magnitude"),
        ("scope = uniform", "scope = layerwise", "uniform"),
        ("cubic(70%", "agp(70%", "cubic"),
        ("linear(8e-5", "linear_decay(8e-5", "linear"),
        ("start..end", "begin..end", "start"),
        ("target: ratio", "target: percentage", "ratio"),
        ("length: epochs", "length: one_fo(a)", "one_of"),
        ("rewind = 2 epochs", "rewind = warn", "warm"),
        ("70% -> target", "70% -> targte", "target"),
    ],
)
def test_a_word_of_other_tools_or_a_slip_is_answered_with_the_word_meant(old, new, meant):
    found = only(sound((old, new)))
    assert found.help[0] == f"did you mean `{meant}`?"
    assert [edit.text for fix in found.fixes for edit in fix.edits][:1] in ([meant], [])


def test_a_block_of_another_tool_is_named():
    text = sound(("evaluate dev {", "eval dev {"))
    assert [d.help[0] for d in checked(text).diagnostics if d.code == "E052"] == ["did you mean `evaluate`?"]


@pytest.mark.parametrize("name", sorted(OTHER_VALUES))
def test_an_attribute_whose_value_means_something_else_here_is_explained_and_never_mended(name):
    kinds = {**BLOCKS[""], **BLOCKS["stage"]}
    home = next(kind for kind, spec in kinds.items() if ATTRIBUTES[name] in spec.attributes())
    block = f"{home} {'more ' * kinds[home].LABELS[0]}{{\n  {name} = 4\n}}\n"
    text = 'recipe 1 "a"\n' + (block if home in BLOCKS[""] else f"stage s {{\n{block}}}\n")
    (found,) = (d for d in checked(text).diagnostics if d.code == "E051")
    assert found.fixes == ()
    assert f"`{ATTRIBUTES[name]}`" in found.help[0]


DOUBLES = (
    ("  batch         = 16", "  batch = 16\n  lenght = 3 epochs"),
    ("  batch         = 16", "  batch = 16\n  num_epochs = 3 epochs"),
    ("  batch         = 16", "  batch_size = 16\n  train_batch_size = 8"),
    ("method   = magnitude(scope = uniform)", "method = obert(damp = 1e-7, dmap = 1e-6)"),
    ("evaluate dev {", "eval dev { metrics = [f1] }\nevaluate dev {"),
)


@pytest.mark.parametrize(("old", "new"), DOUBLES)
def test_no_fix_writes_a_second_one_of_what_is_there_already(old, new):
    text = sound((old, new))
    mended = mend(Source("a", text), lambda source: check_all(source, {}), {"safe", "unsafe"})
    assert {d.code for d in mended.checked.diagnostics} & {"E012", "E026"} == set()


def test_a_renamed_definition_is_one_finding_with_every_use():
    found = only(sound(("let warm", "let wram")))
    assert (found.code, found.help) == ("E022", ("did you mean `wram`?",))
    assert [label.text for label in found.secondary] == ["and here", "and here"]
    assert len(found.fixes[0].edits) == 3


def test_the_type_of_what_is_defined_decides_between_like_names():
    text = sound(("  batch         = 16", "  batch         = batche"), add="let batches = 2 epochs\nlet batchen = 16\n")
    assert only(text).help == ("did you mean `batchen`?",)


def test_a_misspelt_block_is_read_as_the_one_meant():
    text = sound(("stage gradual {", "stgae gradual {"), ("batch         = 16", "batch = 1.5"))
    assert codes(text) == ["E052", "E024"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("require warm >= 1 epoch", "require warm >= 1 epoch or wram > 1 epoch", "E022"),
        ("let warm = 2 epochs", "let warm = if target > 1% then 2 epochs else 2 epohs", "E025"),
        ("magnitude(scope = uniform)", "if target > 1% then magnitude else magnitud(scope = global)", "E022"),
        ("magnitude(scope = uniform)", "if target > 1% then magnitude else magnitude(scop = global)", "E051"),
    ],
)
def test_a_name_is_judged_where_it_is_not_needed(old, new, code):
    assert only(sound((old, new))).code == code


def test_a_division_by_zero_that_is_not_needed_is_none():
    assert (
        codes(sound(("let warm = 2 epochs", "let zero = 0\nlet warm = if zero == 0 then 2 epochs else 1 epoch / zero")))
        == []
    )


BASE = sound(("param target: ratio in 50%..99% = 90%", "param target: ratio in 50%..99%"))


def test_a_base_without_values_is_judged_all_the_same():
    assert codes(BASE) == []
    assert codes(BASE.replace("cubic(", "cubbic(")) == ["E022"]
    assert codes(BASE.replace("prefer dev.f1", "prefer dev.f2")) == ["E091"]
    assert codes(BASE.replace("sparsity(@linear", "sparsty(@linear")) == ["E022"]
    assert codes(BASE.replace("updates = 10", "update = 10")) == ["E051"]


def test_every_name_of_a_one_of_must_do_where_the_parameter_is_the_value():
    text = sound(
        ("  batch         = 16", "  batch = 16\n  precision = type"), add="param type: one_of(fp32, fb16) = fp32\n"
    )
    found = only(text)
    assert (found.help, found.primary.source.slice(found.primary.span)) == (("did you mean `bf16`?",), "fb16")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("let a = fi target > 80% then 1 else 2", "if"),
        ("let a = if target > 80% then 1 esle 2", "else"),
        ("let a = 10 pr epoch", "per"),
        ("let a = @linear excpt @head", "except"),
        ("requier warm >= 1 epoch", "require"),
        ("param a: ratio im 50%..90% = 60%", "in"),
        ("let a = true adn false", "and"),
    ],
)
def test_a_misspelt_keyword_is_one_finding_and_the_line_is_read(line, word):
    found = only(sound(add=f"{line}\n"))
    assert (found.code, found.help) == ("E001", (f"did you mean `{word}`?",))
    assert found.fixes[0].applicability == "safe"


def test_a_keyword_that_may_be_two_is_not_chosen_for_the_user():
    found = only(sound(add="vet a = 3\n"))
    assert found.fixes[0].applicability == "unsafe"


@pytest.mark.parametrize(
    ("name", "meant"), [("checkpoint", "checkpoint_every"), ("rate", "learning_rate"), ("every", "checkpoint_every")]
)
def test_a_word_of_an_attribute_here_goes_before_a_name_of_another_block(name, meant):
    (found,) = [d for d in checked(f'recipe 1 "a"\nstage s {{ {name} = 5 steps }}\n').diagnostics if d.code == "E051"]
    assert found.help == (f"did you mean `{meant}`?",)
    assert all(fix.applicability == "unsafe" for fix in found.fixes)
