"""Recipes converted for llm-compressor, loaded by it in an environment of its own: `make llm-compressor`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from recipelang.migrate import names, to_llm_compressor
from recipelang.plan.facts import ModelFacts
from recipelang.plan.match import match, matrices
from tests.unit.migrate import loaded
from tests.unit.migrate.outward import ONE_SHOT
from tests.unit.migrate.test_outward import checked

PYTHON = os.environ.get("RECIPELANG_LLM_COMPRESSOR", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="no environment with llm-compressor: run `make llm-compressor`")
#: our method -> its modifier
_MEANS = {"wanda": "WandaPruningModifier", "sparsegpt": "SparseGPTModifier"}


@pytest.mark.parametrize("name", ONE_SHOT)
def test_it_loads_and_means_the_same_weights(name: str, tmp_path: Path) -> None:
    recipe = checked(ONE_SHOT[name])
    path = tmp_path / "recipe.yaml"
    path.write_text(to_llm_compressor.convert(recipe, Path()), "utf-8")
    done = subprocess.run([PYTHON, loaded.__file__, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    facts = ModelFacts(Path(), "llama", "causal_lm", {}, names.reference("llama"), ())
    prunes = [prune for stage in recipe.stages for prune in stage.prunes]
    assert len(got) == len(prunes)
    for prune, its in zip(prunes, got, strict=True):
        assert its["name"] == _MEANS[prune.method.name]
        meant = [t.name.removesuffix(".weight") for t in matrices(match(prune.targets, facts), facts)]
        assert its["modules"] == sorted(meant)
        assert prune.sparsity is not None and its["sparsity"] == float(prune.sparsity.plain)
        pattern = prune.pattern
        mask = f"{pattern.b - pattern.a}:{pattern.b}" if pattern.kind == "N:M" else "0:0"
        assert its["mask_structure"] == mask
        if prune.method.name == "sparsegpt":
            damp = prune.method.get("damp")
            assert its["block_size"] == prune.method.get("block") and its["dampening_frac"] == float(damp)
