"""The structure of a transformers model from its config alone: run as a process of its own, JSON in and JSON out.

The model is made on the meta device: no weights, no network, no code from a folder. What the files of a model hold is
loaded into it as shapes only, so that the library itself says what it would use, lack and drop.
"""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipelang.engine.answering import floats, serve
from recipelang.planning.dropouts import ATTENTION, HIDDEN, fields_of

_CAUSAL = "AutoModelForCausalLM"
#: that have no head for masked language modelling either
_ENCODERS = ("bert-generation", "xlnet")
#: tables of positions, by the names they have
_TABLES = ("position_embeddings", "embed_positions", "wpe", "positions_embed")
#: of mixtures: experts that a token goes to, groups of experts that the router chooses from, and how many of these
_ROUTING = {
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k"),
    "routing_groups": ("n_group", "num_expert_group"),
    "groups_per_token": ("topk_group",),
}


def walk(request: Mapping[str, Any]) -> dict[str, Any]:
    """`request` holds `config`, the names of `auto` classes, the one wanted first, and `shapes` of the files, or none."""
    import torch
    import transformers

    from recipelang.engine.roles import parts_of, prefix_of

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = floats(request["config"])
    kind = config.pop("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        return {"failed": "unknown", "why": transformers.__version__}
    try:
        made = transformers.CONFIG_MAPPING[kind].from_dict(config)
        heads = [name for name in request["auto"] if _class(name, made) is not None]
        if _sees_all(made) and _CAUSAL in heads:
            if request["auto"][0] == _CAUSAL:
                return {"failed": "bidirectional", "why": ", ".join(h for h in heads if h != _CAUSAL)}
            heads.remove(_CAUSAL)
        if request["auto"][0] not in heads:
            return {"failed": "head", "why": ", ".join(heads)}
        model_class = _class(request["auto"][0], made)
        with torch.device("meta"), _parts_at_most(_most(request["shapes"])):
            model = model_class(made)
            model.tie_weights()
        parts = parts_of(model)
        found = {
            "tensors": [
                {"name": p.name, "shape": p.shape, "kind": p.kind, "roles": sorted(p.roles), "layer": p.layer,
                 "stack": p.stack, "tied": p.tied, "below": p.below}
                for p in parts
            ],
            "prefix": prefix_of(model),
            "standard": _standard(made, model),
            "dropped": [] if request["shapes"] is None else None,
        }  # fmt: skip
        if request["shapes"] is not None:
            found |= _loaded(model_class, model, made, request["shapes"], request["auto"][1:])
    except Exception as error:  # a config may be wrong in any way, and each class refuses it in its own
        said = f"transformers knows no {error}" if isinstance(error, KeyError) else str(error)
        why = textwrap.shorten(said, 300, placeholder=" …") or type(error).__name__
        return {"failed": "refused", "why": why}
    return found


def _most(shapes: Mapping[str, Sequence[int]] | None) -> int:
    """Modules that a model may have: each layer of any type has far fewer than so many for a tensor of its files."""
    return 100_000 if shapes is None else 2_000 + 40 * len(shapes)


@contextlib.contextmanager
def _parts_at_most(most: int) -> Iterator[None]:
    """A config may ask for any number of layers: no more modules are made than the files can fill."""
    from torch.nn.modules import module as torch_module

    left = most

    def count(module: Any, name: str, part: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("the config asks for more layers or experts than the files of weights can fill")

    handle = torch_module.register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _class(auto: str, config: Any) -> Any:
    """The class of transformers for a config, as the auto class chooses it."""
    import transformers

    mapping = getattr(transformers, auto)._model_mapping
    try:  # asking for its keys would load the configs of every type
        found = mapping[type(config)]
    except KeyError:
        return None
    made = found[0] if isinstance(found, list | tuple) else found
    return made if "input_ids" in _inputs(made) else None  # a model of pictures or sounds has no head for texts


def _sees_all(config: Any) -> bool:
    """Whether the model is an encoder, whose head for the next word would read that word."""
    from recipelang.engine.roles import reads_forward

    if config.model_type in _ENCODERS:
        return not getattr(config, "is_decoder", False)
    # of two stacks the head takes the decoder; `causal` is a field of XLM's
    own = getattr(config, "is_encoder_decoder", False) or getattr(config, "causal", False)
    return not own and not reads_forward(config)


def _inputs(model: Any) -> list[str]:
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [n for n, p in inspect.signature(model.forward).parameters.items() if p.kind in kinds]


def _standard(config: Any, model: Any) -> dict[str, Any]:
    """Sizes under the names that most configs have for them."""
    found: dict[str, Any] = {}
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("vocab_size", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size"):
        value = getattr(text, name, None)
        if isinstance(value, int) and value > 0:
            found[name] = value
    for name, called in _ROUTING.items():
        values = [getattr(text, key, None) for key in called]
        each = [max(v, default=0) if isinstance(v, list) and all(isinstance(n, int) for n in v) else v for v in values]
        if size := next((v for v in each if isinstance(v, int) and v > 0), None):
            found[name] = size
    found["positions"] = positions(config, model)
    found["encoder_decoder"] = bool(getattr(config, "is_encoder_decoder", False))
    found["dropout"], found["attention_dropout"] = fields_of(config, HIDDEN), fields_of(config, ATTENTION)
    return found


def positions(config: Any, model: Any) -> int | None:
    """Tokens that the model can tell apart: rows of the table of positions, or what the config trained for."""
    import torch

    rows = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] in _TABLES:
            skipped = getattr(module, "offset", None)
            if not isinstance(skipped, int):
                skipped = 0 if module.padding_idx is None else module.padding_idx + 1
            rows.append(module.num_embeddings - skipped)
    if rows:
        return min(rows)
    if any(name.endswith(".relative_attention_bias") for name, _ in model.named_modules()):
        return (
            None  # a table of distances, of which all beyond its last are alike; a config may tell of 512 all the same
        )
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _loaded(
    model_class: Any, model: Any, config: Any, shapes: Mapping[str, Sequence[int]], others: Sequence[str]
) -> dict[str, Any]:
    """What the library makes of the files' tensors, by their shapes."""
    import torch

    files = {name: torch.empty(tuple(shape), device="meta") for name, shape in shapes.items()}
    sources, odd = _sources(model, files)
    _, told = model_class.from_pretrained(
        None, config=config, state_dict=files, output_loading_info=True, device_map="meta", ignore_mismatched_sizes=True
    )
    unexpected = sorted(told["unexpected_keys"])
    return {
        "stored": sources,
        "missing": sorted(told["missing_keys"]),
        "mismatched": [[n, list(a), list(b)] for n, a, b in sorted(told["mismatched_keys"])],
        "unexpected": unexpected,
        "ignored": sorted(set(odd) - set(unexpected)),
        "dropped": _of_other_heads(others, config, unexpected),
    }


def _sources(model: Any, files: Mapping[str, Any]) -> tuple[dict[str, list[str]], list[str]]:
    """Parameter -> the names in the files that it is made of, and the names that lead to none."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    mapping = get_model_conversion_mapping(model)
    renamings = [m for m in mapping if isinstance(m, WeightRenaming)]
    converters = [m for m in mapping if isinstance(m, WeightConverter)]
    known = model.state_dict()
    names = {id(p): n for n, p in model.named_parameters()}
    parameters = {n: names[id(p)] for n, p in model.named_parameters(remove_duplicate=False)}
    sources: dict[str, list[str]] = {}
    odd = []
    for name in files:
        target, converter = rename_source_key(name, renamings, converters, model.base_model_prefix, known)
        if target not in known and name in known:
            target, converter = rename_source_key(name, [], [], model.base_model_prefix, known)
        targets = [target]
        if converter is not None:  # one of the files may be cut into several
            targets = [t for t in _cut(target, converter, converters) if t in known] or targets
        reached = [parameters[t] for t in targets if t in parameters]
        for parameter in dict.fromkeys(reached):
            sources.setdefault(parameter, []).append(name)
        if not reached and target not in known:
            odd.append(name)
    return sources, odd


def _cut(target: str, pattern: str, converters: Sequence[Any]) -> list[str]:
    """All that a converter makes of what it is given, by the name of the first."""
    used = next(c for c in converters if pattern in c.source_patterns)
    if len(used.target_patterns) == 1:
        return [target]
    first = next((t for t in used.target_patterns if t and t in target), None)
    return [target.replace(first, t) for t in used.target_patterns] if first else [target]


def _of_other_heads(others: Sequence[str], config: Any, names: Sequence[str]) -> list[str]:
    """Of names that this model lacks, those that a head of the type for another task has."""
    import copy

    import torch

    from recipelang.engine.roles import prefix_of

    found: set[str] = set()
    for auto in others if names else ():
        if (model_class := _class(auto, config)) is None:
            continue
        small = copy.deepcopy(config)
        with contextlib.suppress(Exception), torch.device("meta"):
            model = model_class(small)
            prefix = prefix_of(model)
            outside = {
                n
                for n, _ in model.named_parameters(remove_duplicate=False)
                if not n.startswith(prefix) or "pooler" in n
            }
            found |= outside | {n.removeprefix(prefix) for n in outside}
    return [n for n in names if n in found]


if __name__ == "__main__":
    sys.exit(serve(walk))
