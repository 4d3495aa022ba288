"""Variables of the environment that change numbers: without effect, refused, or recorded and part of the run digest."""

import os
from types import SimpleNamespace

import pytest
import torch

from recipelang import processes
from recipelang.engine.environment import (
    chosen_device,
    environment,
    refuse_other_engines,
    without_effect,
)
from recipelang.engine.position import Session, differences, environments
from recipelang.engine.sessions import resumed
from recipelang.engine.variables import computes, deciding
from recipelang.source import RecipeError

CPU = torch.device("cpu")
DIGEST = "sha256:" + 64 * "0"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if computes(name) or name.startswith(("ACCELERATE_", "FSDP_", "XLA_")):
            monkeypatch.delenv(name)


def decided() -> dict:
    return deciding(environment(CPU, False), "cpu")


@pytest.mark.parametrize(
    ("name", "asks", "nothing"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "1"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "no"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "NO"),
        ("ACCELERATE_GRADIENT_CLIPPING", "0.5", "none"),
        ("FSDP_OFFLOAD_PARAMS", "true", "False"),
    ],
)
def test_what_only_a_recipe_says_has_no_effect_and_is_told(monkeypatch, name, asks, nothing):
    monkeypatch.setenv(name, nothing)
    assert not len(without_effect())
    monkeypatch.setenv(name, asks)
    (found,) = without_effect()
    assert found.code == "W175"
    assert name in found.message


@pytest.mark.parametrize(
    "name", ["ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM", "ACCELERATE_USE_PARALLELISM_CONFIG"]
)
def test_another_engine_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "false")
    refuse_other_engines()
    monkeypatch.setenv(name, "true")
    with pytest.raises(RecipeError) as error:
        refuse_other_engines()
    assert error.value.diagnostics[0].code == "E055"


@pytest.mark.parametrize(
    "name",
    [
        "ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG", "TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_USE_FAST_MATH",
        "TRANSFORMERS_SDPA_FORCE_GQA", "FLASH_ATTENTION_DETERMINISTIC", "USE_HUB_KERNELS", "MKL_NUM_THREADS",
        "TORCH_BLAS_PREFER_CUBLASLT", "PYTORCH_TUNABLEOP_ENABLED", "NCCL_ALGO", "OPENBLAS_CORETYPE", "KMP_BLOCKTIME",
        "TORCH_COMPILE_DISABLE", "TORCH_COMPILE_BACKEND", "TORCH_COMPILE_OVERRIDE_BACKENDS", "TORCH_DYNAMO_AUTOMATIC_DYNAMIC_SHAPES",
        "TORCH_COMPILER_COLLECTIVES", "TRITON_INTERPRET", "TORCH_DISABLE_NATIVE_JIT", "PYTORCH_JIT_DISABLE",
        "PYTORCH_TENSOREXPR_FALLBACK", "TENSORIFY_PYTHON_SCALARS", "CUTLASS_EPILOGUE_FUSION", "PYTORCH_MIOPEN_SUGGEST_NHWC",
        "ENABLE_PERSISTENT_TMA_MATMUL", "TRANSFORMERS_DISABLE_DEEPGEMM_LINEAR", "USE_TORCH_XLA",
    ],
)  # fmt: skip
def test_what_changes_how_libraries_compute_is_recorded_and_decides_the_run_digest(monkeypatch, name):
    before = decided()
    monkeypatch.setenv(name, "x")
    assert environment(CPU, False)["variables"][name] == "x"
    assert decided() != before


@pytest.mark.parametrize(
    "name",
    [
        "TORCHINDUCTOR_CACHE_DIR",
        "PATH",
        "HOME",
        "TOKENIZERS_PARALLELISM",
        "MKL_VERBOSE",
        "TORCH_COMPILE_DEBUG",
        "TRITON_CACHE_DIR",
    ],
)
def test_what_changes_no_number_is_not(monkeypatch, name):
    before = decided()
    monkeypatch.setenv(name, "x")
    assert name not in environment(CPU, False).get("variables", {})
    assert decided() == before


def test_where_files_come_from_is_recorded_without_secrets_and_decides_nothing(monkeypatch):
    before = decided()
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@example.org/hub")
    assert environment(CPU, False)["variables"]["HF_ENDPOINT"] == "https://***@example.org/hub"
    assert decided() == before


def test_settings_of_torch_are_seen_whoever_made_them(monkeypatch):
    before = decided()
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert differences(before, decided()) == ["settings float32_matmul_precision: highest before, medium now"]


def test_differences_take_any_words():
    assert differences({"a": "x", "b": {"c": "d"}}, {"a": {"c": "d"}, "b": {}}) == [
        "a: x before, {'c': 'd'} now",
        "b c: d before, unset now",
    ]


def at(stage: int, step: int, **more: object) -> Session:
    return Session(started="now", stage=stage, step=step, environment=more, spec=DIGEST, claims=["expect a"])


def test_a_run_in_one_environment_has_the_digest_of_one_without_a_stop():
    assert environments([at(0, 0, threads="1"), at(1, 3, threads="1")]) == environments([at(0, 0, threads="1")])
    assert environments([at(0, 0, threads="1"), at(1, 3, threads="4")]) != environments([at(0, 0, threads="1")])
    assert environments([at(0, 0, threads="4"), at(0, 0, threads="1")]) == environments([at(0, 0, threads="1")])


def test_a_resume_elsewhere_is_told_or_refused():
    before, now = at(0, 0, threads="1"), at(1, 3, threads="4")
    assert [d.code for d in resumed(before, now, exact=False)] == ["W176"]
    with pytest.raises(RecipeError) as error:
        resumed(before, now, exact=True)
    assert error.value.diagnostics[0].code == "E196"
    assert not len(resumed(before, at(1, 3, threads="1"), exact=True))


def test_changed_claims_are_shown_with_both_sets():
    now = at(1, 3).model_copy(update={"spec": "sha256:" + 64 * "1", "claims": ["expect b"]})
    (found,) = resumed(at(0, 0), now, exact=True)
    assert found.code == "W177"
    assert found.notes == ("before: expect a", "now: expect b")


@pytest.mark.parametrize("value", ["abc", "0", "-1", "1.5", "10000000"])
def test_a_number_of_processes_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("WORLD_SIZE", value)
    with pytest.raises(RecipeError) as error:
        processes.launched()
    assert error.value.diagnostics[0].code == "E193"


def test_processes_that_do_not_know_where_to_meet_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RecipeError) as error:
        processes.join()
    assert error.value.diagnostics[0].code == "E193"


@pytest.mark.parametrize("name", ["nosuch", "meta"])
def test_a_device_that_cannot_compute_is_refused(monkeypatch, name):
    monkeypatch.setattr(
        "recipelang.engine.environment.PartialState", lambda: SimpleNamespace(device=torch.device(name))
    )
    with pytest.raises(RecipeError) as error:
        chosen_device()
    assert error.value.diagnostics[0].code == "E193"
