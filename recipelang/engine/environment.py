"""What decides the bits of a run beside its recipe: software, device, threads, and variables of the environment.

Three kinds of variables are known. What would change what a recipe says has no effect here, and W175 says so.
What changes how the libraries compute is recorded in `run.json` and enters the run digest. Where files come from,
and which GPUs a run may use, is recorded only.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

import torch
from accelerate import PartialState

from recipelang import processes
from recipelang.engine.variables import computes
from recipelang.source import Diagnostics, fail
from recipelang.source.words import plural
from recipelang.version import __version__, installed

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy")

#: set by `accelerate launch` or by hand for other loops than ours -> the values that ask for nothing
_WITHOUT_EFFECT = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1", "auto"),
    "ACCELERATE_GRADIENT_CLIPPING": ("none", "auto"),
    "ACCELERATE_MIXED_PRECISION": ("no",),
    "ACCELERATE_DOWNCAST_BF16": ("no", "false"),
    "ACCELERATE_DYNAMO_BACKEND": ("no",),
    "ACCELERATE_FP8_BACKEND": (),
    "FSDP_OFFLOAD_PARAMS": ("false",),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false",),
    "XLA_USE_BF16": ("0",),
    "XLA_DOWNCAST_BF16": ("0",),
}
#: asked for by `accelerate launch`, and not there -> how it is called
_NOT_HERE = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor, context or sequence parallelism",
    "ACCELERATE_USE_SAGEMAKER": "SageMaker's data parallelism",
}
#: where models and data come from, and which GPUs there are
_SOURCES = ("CUDA_VISIBLE_DEVICES", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def chosen_device() -> torch.device:
    """The device of this process. E193 where the environment names one that cannot compute."""
    try:
        device = PartialState().device
        usable = device is not None and float(torch.ones(1, device=device)) == 1.0
    except (RuntimeError, AssertionError, ImportError, NotImplementedError, TypeError, ValueError) as error:
        usable, why = False, [str(error).splitlines()[0][:200] if str(error) else type(error).__name__]
    else:
        why = []
    if not usable:
        help = "unset `ACCELERATE_TORCH_DEVICE`, or name a device of this machine, such as `cpu`"
        raise fail("E193", "this run cannot use its device", notes=why, help=help)
    return device


def environment(device: torch.device, shards: bool) -> dict[str, Any]:
    """What `run.json` records of where a run ran."""
    threads = torch.get_num_threads()
    on_cpu = f"{device.type} ({plural(threads, 'thread')})"
    found = {
        "recipelang": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else on_cpu,
        "threads": threads,
        "processes": processes.world(),
        "shards": shards,
        "settings": _settings(),
        **{p: installed(p) for p in _PACKAGES},
    }
    variables = {n: v for n, v in sorted(os.environ.items()) if computes(n) or n in _SOURCES}
    return found | ({"variables": {n: _told(v) for n, v in variables.items()}} if variables else {})


def without_effect() -> Diagnostics:
    """W175 for each variable that asks for what only a recipe can."""
    found = Diagnostics()
    for name, neutral in _WITHOUT_EFFECT.items():
        value = os.environ.get(name)
        if value is not None and value.lower() not in neutral:
            notes = ("only the recipe determines a step, so that the same recipe always means the same run",)
            help = "set `batch`, `micro_batch`, `clip`, `precision` or `compile` in the recipe, and unset the variable"
            found.say("W175", f"`{name}={_told(value)}` has no effect", notes=notes, help=help)
    return found


def refuse_other_engines() -> None:
    """E055 where a launcher asks for something that a run does not have."""
    for name, what in _NOT_HERE.items():
        if os.environ.get(name, "").lower() in ("true", "1", "yes"):
            help = f"unset `{name}`; use `torchrun`, with or without `--shard`"
            raise fail("E055", f"this release does not support {what} yet", notes=[f"`{name}` requests it"], help=help)


def _settings() -> dict[str, str]:
    """How torch computes, whoever set it: a variable, a site's start-up file, or nobody."""
    read: dict[str, Callable[[], object]] = {
        "float32_matmul_precision": torch.get_float32_matmul_precision,
        "cudnn_tf32": lambda: torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": lambda: torch.backends.cudnn.benchmark,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
    }
    return {name: _setting(ask) for name, ask in read.items()}


def _setting(ask: Callable[[], object]) -> str:
    try:
        return str(ask()).lower()
    except RuntimeError:  # torch has an old and a new way to set these, and refuses to read one set by the other
        return "mixed"


def _told(value: str) -> str:
    """A value as it may be published: short, without what stands before an `@` in an address."""
    scheme, separator, rest = value.partition("://")
    if separator and "@" in rest:
        value = f"{scheme}://***@{rest.rpartition('@')[2]}"
    return value.encode("utf-8", "backslashreplace").decode()[:200]
