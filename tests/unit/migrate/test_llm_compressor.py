"""Recipes converted for llm-compressor, done by its own modifiers in an environment of its own: `make llm-compressor`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recipelang.migrate import names, to_llm_compressor
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.match import match, matrices
from recipelang.spec.recipe import Recipe
from tests.model_configs import make_config
from tests.unit.migrate import loaded
from tests.unit.migrate.outward import ONE_SHOT, PRUNES_ALL_BUT
from tests.unit.migrate.test_outward import checked

PYTHON = os.environ.get("RECIPELANG_LLM_COMPRESSOR", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="no environment with llm-compressor: run `make llm-compressor`")
#: our method -> its modifier
_MEANS = {"wanda": "WandaPruningModifier", "sparsegpt": "SparseGPTModifier"}
_LLAMA = ModelFacts(Path(), "llama", "causal_lm", {}, names.reference("llama"), ())
_CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "question_answering": "AutoModelForQuestionAnswering",
    "masked_lm": "AutoModelForMaskedLM",
}
#: by magnitude in one shot, as it would be written
_MAGNITUDE = """
sparse_stage:
  pruning_modifiers:
    MagnitudePruningModifier: {init_sparsity: 0.5, final_sparsity: 0.5, start: 0, end: 1, targets: [Linear]}
"""


@dataclass(frozen=True)
class Job:
    recipe: Recipe
    facts: ModelFacts
    tied: bool = False


def jobs(folder: Path) -> Iterator[tuple[str, Job]]:
    for name, body in ONE_SHOT.items():
        yield name, Job(checked(body), _LLAMA)
    for name, (config, task, targets) in PRUNES_ALL_BUT.items():
        model = make_config(folder / name, config, task)
        facts = read_model_facts(model, task)
        tied = task == "masked_lm" or bool(facts.config.get("tie_word_embeddings"))
        for method in _MEANS:
            body = f"prune weights {{ targets = {targets}, method = {method}, sparsity = 50% }}"
            recipe = checked(f"stage sparse {{ mode = one_shot\n {body} }}", base=str(model), task=task)
            yield f"{name}-{method}", Job(recipe, facts, tied)


@dataclass(frozen=True)
class Ran:
    """What the tool made of each job, and of pruning by magnitude."""

    jobs: dict[str, tuple[Job, list[dict[str, Any]]]]
    by_magnitude: list[dict[str, Any]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All of them by the tool, in one process: it takes long to start."""
    folder = tmp_path_factory.mktemp("converted")
    found = dict(jobs(folder))
    given: list[tuple[str, dict[str, Any]]] = []
    for name, job in found.items():
        path = folder / f"{name}.yaml"
        path.write_text(to_llm_compressor.convert(job.recipe, folder), "utf-8")
        facts = job.facts
        model = {"model_type": facts.family, "layers": facts.layers, "tied": job.tied, "class": _CLASSES[facts.task]}
        given.append((str(path), model))
    (folder / "magnitude.yaml").write_text(_MAGNITUDE, "utf-8")
    given.append((str(folder / "magnitude.yaml"), given[0][1]))
    (folder / "jobs.json").write_text(json.dumps(given), "utf-8")
    done = subprocess.run(
        [PYTHON, loaded.__file__, str(folder / "jobs.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *got, by_magnitude = json.loads(done.stdout.splitlines()[-1])
    return Ran({name: (job, its) for (name, job), its in zip(found.items(), got, strict=True)}, by_magnitude)


_NAMES = [*ONE_SHOT, *(f"{name}-{method}" for name in PRUNES_ALL_BUT for method in _MEANS)]


@pytest.mark.parametrize("name", _NAMES)
def test_exactly_the_targets_are_sparse(name: str, ran: Ran) -> None:
    """Each to its share, after every modifier; so no head is, whether it is tied or not."""
    job, got = ran.jobs[name]
    prunes = [prune for stage in job.recipe.stages for prune in stage.prunes]
    assert len(got) == len(prunes)
    due: dict[str, float] = {}
    for prune, its in zip(prunes, got, strict=True):
        assert prune.sparsity is not None
        targets = matrices(match(prune.targets, job.facts), job.facts)
        due |= {t.name.removesuffix(".weight"): float(prune.sparsity.plain) for t in targets}
        assert its["zeros"].keys() == due.keys()
        for module, zeros in its["zeros"].items():
            assert zeros == pytest.approx(due[module], abs=0.02), module


@pytest.mark.parametrize("name", _NAMES)
def test_it_loads_the_same_arguments(name: str, ran: Ran) -> None:
    job, got = ran.jobs[name]
    for prune, its in zip([prune for stage in job.recipe.stages for prune in stage.prunes], got, strict=True):
        assert its["name"] == _MEANS[prune.method.name]
        assert prune.sparsity is not None and its["sparsity"] == float(prune.sparsity.plain)
        pattern = prune.pattern
        assert its["mask_structure"] == (f"{pattern.b - pattern.a}:{pattern.b}" if pattern.kind == "N:M" else "0:0")
        if prune.method.name == "sparsegpt":
            damp = prune.method.get("damp")
            assert its["block_size"] == prune.method.get("block") and its["dampening_frac"] == float(damp)


def test_it_prunes_nothing_by_magnitude_in_one_shot(ran: Ran) -> None:
    """The reason for which `convert` refuses it."""
    (its,) = ran.by_magnitude
    assert its["name"] == "MagnitudePruningModifier" and its["zeros"] == {}
