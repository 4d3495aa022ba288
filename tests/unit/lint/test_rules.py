"""Every rule speaks where its advice applies, and only there."""

import pytest

from recipelang.lint import RULES
from recipelang.loading.plan import planned
from recipelang.source.codes import page


def codes(recipe):
    _, _, found = planned(str(recipe))
    return [d.code for d in found]


def test_a_recipe_that_keeps_the_guidelines_gets_no_advice(project):
    assert codes(project()) == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("targets = @linear & @encoder\n    never = @embeddings | @head", 'targets = "bert.embeddings.**"', "L001"),
        ("targets = @linear & @encoder\n    never = @embeddings | @head", "targets = @linear & @head", "L002"),
        ("never = @embeddings | @head", "", "L003"),
        ("over = 0%..80%", "over = 0%..100%", "L012"),
        ("linear(1e-3 -> 1e-4, over = start..end, rewind = 1 epoch", "cubic(1e-3 -> 1e-6, over = start..end", "L014"),
        ("distill { teacher = stage.dense, hardness = 80%, temperature = 2 }", "", "L020"),
        ("temperature = 2", "temperature = 1", "L021"),
        ("hardness = 80%", "hardness = 40%", "L022"),
    ],
)
def test_rule_speaks(project, old, new, code):
    assert code in codes(project(replace=(old, new)))


def test_pruning_at_once_with_a_new_head_is_advised_against(project, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = tmp_path / "model" / "model.safetensors"
    recipe = project()
    text = recipe.read_text("utf-8")
    first, last = text.index("stage dense"), text.index("stage sparse")
    recipe.write_text(
        text[:first] + text[last:].replace("distill { teacher = stage.dense, hardness = 80%, temperature = 2 }", ""),
        "utf-8",
    )
    assert "L011" not in codes(recipe)
    save_file({n: t for n, t in load_file(weights).items() if "qa_outputs" not in n}, weights, {"format": "pt"})
    assert "L011" in codes(recipe)


def test_low_sparsity_needs_no_teacher(project):
    recipe = project(replace=("distill { teacher = stage.dense, hardness = 80%, temperature = 2 }", ""))
    text = recipe.read_text("utf-8").replace("param target: ratio in 50%..99% = 90%", "param target: ratio = 60%")
    recipe.write_text(text, "utf-8")
    assert "L020" not in codes(recipe)


def test_every_rule_has_its_own_code_and_page():
    assert len({r.CODE for r in RULES}) == len(RULES)
    assert all(page(r.CODE) for r in RULES)
