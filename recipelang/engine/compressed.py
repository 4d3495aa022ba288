"""The format `compressed-tensors`, which vLLM reads: linear layers in int8, everything else as it is.

A row of a matrix has one scale, its largest absolute value by 127.5, so a zero stays zero; activations get theirs as they come,
one a token. The head and the embeddings stay as they are, as vLLM expects them by default.
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipelang.engine.models import load_whole
from recipelang.source import fail
from recipelang.storage.reading import read_object

NAME = "compressed_tensors"
_WEIGHTS = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True, "dynamic": False}
_INPUTS = {"num_bits": 8, "type": "int", "strategy": "token", "symmetric": True, "dynamic": True}
_GROUP = {"targets": ["Linear"], "weights": _WEIGHTS, "input_activations": _INPUTS, "output_activations": None}
#: of its config, what decides how a folder is read
_SETTINGS = {"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": {"group_0": _GROUP}}
#: and what decides nothing
_IDLE = ("ignore", "quantization_status", "version")


class Compressed:
    """A model whose weights are compressed in place, to be written."""

    def __init__(self, model: Any) -> None:
        from compressed_tensors.compressors import ModelCompressor
        from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, apply_quantization_config

        but = [n for n, m in model.named_modules() if m is model.get_output_embeddings()]
        if not any(isinstance(m, nn.Linear) and n not in but for n, m in model.named_modules()):
            raise ValueError("it has no linear layer below its head")
        scheme = QuantizationScheme(targets=["Linear"], weights=_WEIGHTS, input_activations=_INPUTS)
        config = QuantizationConfig(
            config_groups={"group_0": scheme}, ignore=but, format=_SETTINGS["format"], quantization_status="frozen"
        )
        with _no_bars():
            apply_quantization_config(model, config)
            _set_scales(model)
            self._model, self._compressor = model, ModelCompressor.from_pretrained_model(model)
            self._compressor.compress_model(model)

    def save_pretrained(self, folder: Path) -> None:
        self._model.save_pretrained(folder, max_shard_size="1000TB")  # one file
        self._compressor.update_config(folder)


def open_compressed(folder: Path) -> nn.Module:
    """As transformers reads it: weights in floats again, activations rounded as they come. E076.

    The library imports what a config names and matches modules by its patterns, so only what a run writes is read.
    """
    told = read_object(folder / "config.json", inside=folder).get("quantization_config")
    if not (isinstance(told, dict) and _agrees(told, _SETTINGS) and _plain(told.get("ignore")) and not _more(told)):
        message = f"`{folder.name}/config.json` has other settings than a run writes"
        raise fail("E076", message, help="evaluate it with the tool that wrote it")
    with _no_bars(), torch.no_grad():
        model = load_whole(folder)[0]
        model(input_ids=torch.zeros((1, 1), dtype=torch.long))  # the first pass makes floats of the weights
    return model


def _agrees(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(found == wanted)
    return isinstance(found, dict) and all(_agrees(found.get(name), value) for name, value in wanted.items())


def _plain(names: Any) -> bool:
    """Names of modules, no patterns."""
    return isinstance(names, list) and all(isinstance(n, str) and n.replace(".", "").isidentifier() for n in names)


def _more(told: dict[str, Any]) -> bool:
    """Other groups of layers, transforms, a cache of its own."""
    return len(told["config_groups"]) > 1 or any(v for n, v in told.items() if n not in (*_SETTINGS, *_IDLE))


def _no_bars() -> AbstractContextManager[Any]:
    """The library draws bars, and has no word to leave them out."""
    return redirect_stderr(io.StringIO())


@torch.no_grad()
def _set_scales(model: Any) -> None:
    from compressed_tensors.quantization.utils import calculate_qparams

    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is not None and scheme.weights is not None:
            scale, _ = calculate_qparams(*torch.aminmax(module.weight, dim=1, keepdim=True), scheme.weights)
            module.weight_scale.copy_(scale)
