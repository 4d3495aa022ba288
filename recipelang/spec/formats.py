"""Formats in which a run can write its model. `safetensors` is always written: every check of a run reads it."""

from __future__ import annotations

from recipelang.source.frozen import frozen

WEIGHTS = "safetensors"


@frozen
class Format:
    """What another runtime reads."""

    file: str  # below the output folder
    runtime: str
    packages: tuple[str, ...]  # what writes and runs it
    extra: str  # of our own package, which installs them


FORMATS = {
    "onnx": Format("onnx/model.onnx", "ONNX Runtime", ("onnx", "onnxscript", "onnxruntime"), "onnx"),
}


def others(formats: tuple[str, ...]) -> list[str]:
    """Those that are exported from the weights, in a fixed order."""
    return [name for name in FORMATS if name in formats]
