"""Circumstances of runs whose surroundings are not what they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def _interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cases.test_diagnostics import run_was_interrupted

    run_was_interrupted(monkeypatch)


def gradients_accumulated_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")


def device_of_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> None:
        raise RuntimeError("Expected one of cpu, cuda device type at start of device string: abacus")

    monkeypatch.setattr("recipelang.engine.environment.PartialState", state)


def folder_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: object, after_step, **named: object) -> None:  # type: ignore[no-untyped-def]
        shutil.rmtree("out")
        after_step(None, True)

    monkeypatch.setattr("recipelang.engine.stages.train", train)


def data_changes_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipelang.engine import run

    load = run.load_model

    def changed(*args: object) -> object:
        shutil.copyfile("dev.json", "train.json")
        return load(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "load_model", changed)


def other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    _interrupted(monkeypatch)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)


def other_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    _interrupted(monkeypatch)
    path = Path("out/recipe/effective.recipe")
    path.write_text(path.read_text("utf-8") + "\nexpect sparsity(@linear & @encoder) >= 10%\n", "utf-8")


def half_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """The even columns of every matrix of the encoder."""
    from safetensors.torch import load_file, save_file

    tensors = load_file("model/model.safetensors")
    for name, tensor in tensors.items():
        if "encoder" in name and tensor.dim() == 2:
            tensor[:, ::2] = 0
    save_file(tensors, "model/model.safetensors", {"format": "pt"})


def rows_are_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two."""
    from safetensors.torch import load_file, save_file

    tensors = load_file("model/model.safetensors")
    for name, tensor in tensors.items():
        if "encoder" in name and tensor.dim() == 2:
            tensor[:2] = 0
    save_file(tensors, "model/model.safetensors", {"format": "pt"})


RESUMED = {
    "two rows of every matrix of the encoder are zero": rows_are_zero,
    "half of the encoder is zero": half_is_zero,
    "gradients are accumulated by a variable": gradients_accumulated_by_a_variable,
    "the environment names no device of this machine": device_of_no_machine,
    "the output folder goes away during the run": folder_goes_away,
    "the data change during the run": data_changes_in_a_run,
    "a run was interrupted, and there are other threads now": other_threads,
    "a run was interrupted, and its claims changed": other_claims,
}
