"""Formats in which a run can write its model. `safetensors` is always written: every check of a run reads it."""

from __future__ import annotations

from typing import Protocol

from recipelang.source.frozen import frozen

WEIGHTS = "safetensors"


@frozen
class Format:
    """What another runtime reads. A claim names it, as in `dev.onnx.f1`."""

    files: tuple[str, ...]  # below the output folder; the first is opened, and small models need no other
    runtime: str
    packages: tuple[str, ...]  # what writes and runs it
    extra: str  # of our own package, which installs them
    of: str = ""  # the format that it is quantized from; empty: a recipe names it in `formats`
    int8: bool = False
    tasks: tuple[str, ...] = ()  # what it is for; empty: every task whose models can be exported
    timed: bool = True  # whether what runs it here is what runs it elsewhere, so that its speed says something

    @property
    def file(self) -> str:
        return self.files[0]


_ONNX = ("onnx", "onnxscript", "onnxruntime")
FORMATS = {
    "onnx": Format(("onnx/model.onnx", "onnx/model.onnx.data"), "ONNX Runtime", _ONNX, "onnx"),
    "onnx_int8": Format(
        ("onnx/model_int8.onnx", "onnx/model_int8.onnx.data"),
        "ONNX Runtime in int8",
        _ONNX,
        "onnx",
        of="onnx",
        int8=True,
    ),
    "openvino": Format(
        ("openvino/openvino_model.xml", "openvino/openvino_model.bin"), "OpenVINO", ("openvino",), "openvino"
    ),
    "compressed_tensors": Format(
        ("compressed_tensors/model.safetensors", "compressed_tensors/config.json"),
        "compressed-tensors",
        ("compressed_tensors",),
        "compressed-tensors",
        int8=True,
        tasks=("causal_lm",),
        timed=False,  # transformers computes in floats what a server computes in int8
    ),
}
#: those that a recipe names
CHOSEN = tuple(name for name, each in FORMATS.items() if not each.of)


def runtime_name(runtime: str) -> str:
    return FORMATS[runtime].runtime if runtime in FORMATS else "PyTorch"


def quantized_from(runtime: str) -> str:
    """What runs the same model as it is; a runtime that quantizes nothing is its own."""
    return (FORMATS[runtime].of if runtime in FORMATS else "") or runtime


#: those whose runtime `bench` can time
RUNTIMES = ("torch", *(name for name, each in FORMATS.items() if each.timed))


class Asked(Protocol):
    """What a recipe, or its plan, says of formats."""

    @property
    def formats(self) -> tuple[str, ...]: ...

    @property
    def quantize(self) -> str | None: ...


def others(asked: Asked) -> list[str]:
    """All that is exported from the weights, in a fixed order."""
    return [n for n, f in FORMATS.items() if (f.of if f.of and asked.quantize else n) in asked.formats]
