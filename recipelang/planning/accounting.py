"""Every tensor of a model's files is accounted for: used, a copy of a tied one, left out and listed, or refused.

Nothing is dropped because transformers has no place for it. What a file holds beyond the model is told apart by
cause, because each cause has its own remedy: codes of quantised weights (E181), names with a prefix (E182), weights
stored in parts (E183), adapters (E190), tensors of parts that the config does not declare (E184).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field as of_class
from pathlib import Path
from typing import Any

from recipelang.planning.families import BODY, FAMILIES, HEADS, Config, TensorFact, body_of, is_tied
from recipelang.planning.safetensors_header import Entry
from recipelang.planning.structure import Structure
from recipelang.source import RecipeError, fail
from recipelang.source.words import listed, plural
from recipelang.tasks import task_of

#: types of numbers that weights may have; all others are codes that stand for weights
FLOATS = ("F64", "F32", "F16", "BF16")
#: matrices that language models tie to their word embeddings, and biases tied to others, where they are stored as well
COPIES = {
    "bert": ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"),
    "roberta": ("lm_head.decoder.weight", "lm_head.decoder.bias"),
    "distilbert": ("vocab_projector.weight",),
    "llama": ("lm_head.weight",),
}
#: heads that no task of ours has
_OTHER_HEADS = ("cls.seq_relationship.weight", "cls.seq_relationship.bias")
#: numbers that follow from the config
_BUFFERS = re.compile(r"(.*\.)?(position_ids|token_type_ids|rotary_emb\.inv_freq)")

_CODES = re.compile(
    r"(.*\.)?(qweight|qzeros|g_idx|scales|SCB|weight_format|absmax|quant_map|nested_absmax|nested_quant_map"
    r"|quant_state\.\S+|weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.\S+)"
    r"|(weight|input|output|activation|k|v|q|kv)_(scales?|scale_inv|scale_2|zero_point|global_scale|packed|shape|g_idx)"
    r"|\w+_(blocks|scales|scale_inv))"
)
_ADAPTER = re.compile(r"(.*\.)?(lora_\w+|base_layer|modules_to_save|prompt_embeddings|hada_\w+|ia3_\w+)(\..*)?")
_PARTS = re.compile(r".*\.\w+_(orig|mask)|.*\.parametrizations\..*|.*\.weight_[gv]")
#: a component of a name -> who adds it, and how a model is saved without
_WRAPPERS = {
    "_orig_mod": ("`torch.compile`", "`model._orig_mod.save_pretrained(folder)`"),
    "module": ("`DataParallel` or `DistributedDataParallel`", "`model.module.save_pretrained(folder)`"),
    "_fsdp_wrapped_module": ("FSDP", "`accelerator.get_state_dict(model)` given to `save_pretrained`"),
    "_checkpoint_wrapped_module": ("activation checkpointing", "with `save_pretrained`"),
    "_forward_module": ("Lightning", "with `save_pretrained`"),
}


@dataclass(frozen=True)
class Accounts:
    stored: dict[str, str]  # parameter -> its name in the files
    fresh: tuple[str, ...]  # parameters that the files do not hold
    redrawn: tuple[str, ...]  # parameters that the files hold for another head
    copies: tuple[tuple[str, str], ...]  # a stored copy of a tied matrix, and the name of the matrix in the files
    left_out: tuple[str, ...]  # heads of other tasks, and numbers that follow from the config
    strangers: tuple[str, ...]  # tensors outside the model that no task of the family has
    merged: Mapping[str, tuple[str, ...]] = of_class(
        default_factory=dict
    )  # parameter -> the stored tensors it is made of


def body_prefix(family: str, task: str) -> str:
    """What the names of the body begin with in a model for this task: nothing, where it has no head."""
    return "" if task_of(task).gives == "embeddings" else f"{body_of(family, task)}."


def account(
    folder: Path, family: str, task: str, config: Config, tensors: tuple[TensorFact, ...],
    header: Mapping[str, Entry], new_head: bool, own_head: bool = False,
) -> Accounts:  # fmt: skip
    """`tensors` are those of the model that will be made; with a `new_head` those of its head are drawn anew.

    With its `own_head` the config says that the files hold the head for this task.
    """
    prefix = body_prefix(family, task)
    _whole_numbers(folder, config, header)
    _plain_names(folder, header)
    tied = is_tied(config, task)
    copies = [n for n in COPIES[family] if n in header] if tied else []
    stored: dict[str, str] = {}
    for tensor in tensors:
        names = _spellings(tensor.name, prefix, family)
        if tensor.tied:
            names += [n for n in copies if n.endswith(".weight")]
        found = next((n for n in names if n in header), None)
        if found is not None:
            stored[tensor.name] = found
    body = [t for t in tensors if t.name.startswith(prefix) and "pooler" not in t.roles]
    if not any(t.name in stored for t in body):
        _no_prefix(folder, prefix, body, header)
    _same_depth(folder, tensors, header, family)
    fresh, redrawn = [], []
    for tensor in tensors:
        name = stored.get(tensor.name)
        if name is None:
            _may_lack(folder, tensor)
            fresh.append(tensor.name)
        elif header[name].shape != tensor.shape:
            _may_differ(folder, task, tensor, header[name].shape, own_head)
            fresh.append(tensor.name)
            del stored[tensor.name]
        elif new_head and "head" in tensor.roles and tensor.drawn:
            redrawn.append(tensor.name)
    _has_words(folder, fresh)
    used = {*stored.values(), *copies}
    rest = [n for n in header if n not in used]
    left_out, strangers = _left(folder, family, config, prefix, tensors, rest, set(fresh))
    for name in stored.values():
        if header[name].dtype not in FLOATS:
            raise _codes(folder, [f"`{name}` has type {header[name].dtype}, which stores quantised codes"])
    pairs = tuple(
        (n, stored[w]) for n in copies if (w := _tied_to(n, family, tensors)) and stored.get(w) not in (n, None)
    )
    return Accounts(stored, tuple(fresh), tuple(redrawn), pairs, tuple(left_out), tuple(strangers))


def account_structure(
    folder: Path,
    task: str,
    config: Config,
    made: Structure,
    header: Mapping[str, Entry],
    new_head: bool,
    own_head: bool,
) -> Accounts:
    """As `account`, by what transformers itself would load, of a type that is in no table here."""
    _whole_numbers(folder, config, header)
    _plain_names(folder, header)
    tensors = made.facts
    embeds = task_of(task).gives == "embeddings"
    unread = [t.name for t in tensors if embeds and "pooler" in t.roles]  # no embedding is made of it
    body = [t for t in tensors if t.name.startswith(made.prefix) and not t.drawn]
    if not any(t.name in made.stored for t in body):
        _no_prefix(folder, made.prefix, body, header)
    other = {name: there for name, there, _ in made.mismatched}
    lacking = {*made.missing}  # the library computes the rest itself: Marian's sinusoidal positions are in no file
    computed = {p.name for p in made.tensors if not lacking & {p.name, *p.tied}}
    stored: dict[str, str] = {}
    merged: dict[str, tuple[str, ...]] = {}
    copies: list[tuple[str, str]] = []
    fresh, redrawn = [], []
    for tensor in (t for t in tensors if t.name not in unread):
        names = made.stored.get(tensor.name, ())
        if not names:
            if tensor.name in computed:
                continue
            _may_lack(folder, tensor)
            fresh.append(tensor.name)
            continue
        if tensor.name in other:
            _may_differ(folder, task, tensor, other[tensor.name], own_head)
            fresh.append(tensor.name)
            continue
        if new_head and "head" in tensor.roles and tensor.drawn:
            redrawn.append(tensor.name)
        alike = [n for n in names if header[n].shape == tensor.stored_shape]
        if alike:
            stored[tensor.name] = tensor.name if tensor.name in alike else alike[0]
            copies += [(n, stored[tensor.name]) for n in alike if n != stored[tensor.name]]
        else:
            merged[tensor.name] = names
    _has_words(folder, fresh)
    for name in (n for names in made.stored.values() for n in names):
        if header[name].dtype not in FLOATS:
            raise _codes(folder, [f"`{name}` has type {header[name].dtype}, which stores quantised codes"])
    inside = (made.prefix,) if made.prefix else tuple({t.name.partition(".")[0] + "." for t in body})
    known = {*made.dropped, *(n for n in made.unexpected if _BUFFERS.fullmatch(n))}
    surplus = [n for n in made.unexpected if n not in known and n.startswith(inside)]
    if surplus:
        raise _undeclared(folder, surplus)
    left_out = (*made.ignored, *(n for n in made.unexpected if n in known))
    left_out += tuple(n for t in unread for n in made.stored.get(t, ()))
    strangers = tuple(n for n in made.unexpected if n not in known)
    return Accounts(stored, tuple(fresh), tuple(redrawn), tuple(copies), left_out, strangers, merged)


_AGAIN = "copy or download the model again"


def _may_lack(folder: Path, tensor: TensorFact) -> None:
    """E076 for a parameter that the files do not hold, unless it is drawn."""
    if not tensor.drawn:
        raise fail("E076", f"the weights lack `{tensor.name}`", help=_AGAIN, notes=[f"the folder is {folder}"])


def _may_differ(folder: Path, task: str, tensor: TensorFact, there: tuple[int, ...], own_head: bool) -> None:
    """E076 for a parameter that has another shape in the files, unless it is one of a head that is drawn anew."""
    if not tensor.drawn or own_head or "pooler" in tensor.roles or task_of(task).gives == "words":
        message = f"`{tensor.name}` has shape {there}, the config says {tensor.stored_shape}"
        raise fail("E076", message, help=_AGAIN, notes=[f"the folder is {folder}"])


def _spellings(name: str, prefix: str, family: str) -> list[str]:
    """How files may call a parameter: as the model does, without or with the body's prefix, and as older releases did."""
    names = [name, name.removeprefix(prefix) if prefix else f"{BODY[family]}.{name}"]
    old = [n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta") for n in names]
    return list(dict.fromkeys(names + old))


def _tied_to(copy: str, family: str, tensors: Iterable[TensorFact]) -> str | None:
    """The parameter that a stored copy is tied to."""
    if copy.endswith(".bias"):
        return copy.replace(".decoder.bias", ".bias")
    return next((t.name for t in tensors if t.tied), None)


def _whole_numbers(folder: Path, config: Mapping[str, Any], header: Mapping[str, Entry]) -> None:
    """E181 for weights that are stored as codes, E190 for a folder of an adapter."""
    if (folder / "adapter_config.json").exists() or any(_ADAPTER.fullmatch(n) for n in header):
        help = "merge the adapter into its model: `model.merge_and_unload().save_pretrained(folder)`"
        notes = ["an adapter changes the weights of another model", f"the folder is {folder}"]
        if (folder / "adapter_config.json").exists():
            notes.insert(1, "if the folder holds a whole model, remove adapter_config.json")
        raise fail("E190", f"`{folder.name}` holds an adapter", help=help, notes=notes)
    for field in ("quantization_config", "compression_config", "quantization"):
        if config.get(field) is not None:
            method = config[field].get("quant_method") if isinstance(config[field], dict) else None
            said = f", by `{method}`" if isinstance(method, str) and len(method) < 40 else ""
            raise _codes(folder, [f"config.json has a `{field}`{said}"], field)
    beside = [n for n in ("quantize_config.json", "quant_config.json", "hf_quant_config.json") if (folder / n).exists()]
    if beside:
        raise _codes(folder, [f"the folder holds {beside[0]}"])
    if codes := [n for n in header if _CODES.fullmatch(n)]:
        raise _codes(folder, [f"the weights hold {listed(codes, 3)}: scales or codes of quantised weights"])


def _codes(folder: Path, notes: list[str], field: str = "") -> RecipeError:
    help = "name the full-precision model, or dequantise this one with the tool that made it, and save it"
    if field:
        notes = [*notes, f"if the weights are in full precision, remove `{field}` from config.json"]
    why = "quantised codes need their scales to become weights, and this release does not read scales"
    return fail("E181", f"the weights of `{folder.name}` are quantised", help=help, notes=[*notes, why])


def _plain_names(folder: Path, header: Mapping[str, Entry]) -> None:
    """E182 for names that a wrapper changed, E183 for weights stored in parts."""
    for name in header:
        if wrapper := next((w for w in _WRAPPERS if w in name.split(".")), None):
            who, how = _WRAPPERS[wrapper]
            notes = [f"{who} adds this prefix, as in `{name}`", f"the folder is {folder}"]
            help = f"save the unwrapped model ({how}), or rename the tensors: see `recipelang explain E182`"
            raise fail("E182", f"tensor names contain `{wrapper}.`", help=help, notes=notes)
    if parts := [n for n in header if _PARTS.fullmatch(n)]:
        masked = any(n.endswith(("_orig", "_mask")) for n in parts)
        help = 'apply each mask with `prune.remove(module, "weight")`, and save the model again'
        if not masked:
            help = "remove the parametrisation in the code that made it, and save the model again"
        notes = [f"the weights hold {listed(parts, 3)}", f"the folder is {folder}"]
        message = "weights and masks are stored separately" if masked else "the weights are stored as factors"
        raise fail("E183", message, help=help, notes=notes)


def _no_prefix(folder: Path, prefix: str, body: list[TensorFact], header: Mapping[str, Entry]) -> None:
    """E182 where the files hold all of the body under other beginnings of its names."""
    for spelling in (lambda n: n, lambda n: n.removeprefix(prefix)):
        first = spelling(body[-1].name)
        for found in (n.removesuffix(first) for n in header if n.endswith(f".{first}")):
            if all(found + spelling(t.name) in header for t in body):
                notes = [f"after `{found}`, the names match this model", f"the folder is {folder}"]
                help = (
                    "save the model itself with `save_pretrained`, or rename the tensors: see `recipelang explain E182`"
                )
                if spelling(first) != body[-1].name:
                    notes[0] = f"tensor names of this model begin with `{prefix}`"
                raise fail("E182", f"tensor names begin with `{found}`", help=help, notes=notes)


def _same_depth(folder: Path, tensors: tuple[TensorFact, ...], header: Mapping[str, object], family: str) -> None:
    """A layer that the weights hold and the config does not would be dropped without a word."""
    last = max((t.layer for t in tensors if t.layer is not None), default=-1)
    for tensor in tensors:
        if tensor.layer == last >= 0:
            above = tensor.name.replace(f".{last}.", f".{last + 1}.", 1)
            if any(name in header for name in (above, above.partition(".")[2], f"{BODY[family]}.{above}")):
                note = f"the weights hold `{above}`; the folder is {folder}"
                raise fail("E076", f"the weights have more layers than the {last + 1} of config.json", notes=[note])


#: what turns hidden states into words, where it is a matrix of its own
_WORDS = ("lm_head.weight", "decoder.weight", "vocab_projector.weight")


def _has_words(folder: Path, fresh: list[str]) -> None:
    """E185 for a language model whose matrix from states to words would be drawn at random, and would say nothing.

    What stands before a tied matrix may be new, as the head of any task.
    """
    if lost := [n for n in fresh if n.endswith(_WORDS)]:
        notes = [f"`{lost[0]}` is missing", f"the folder is {folder}"]
        help = 'name a model saved with its head; if the embeddings also serve as the head, write `"tie_word_embeddings": true` in config.json'
        raise fail("E185", "the weights hold no language-model head", help=help, notes=notes)


def _left(
    folder: Path, family: str, config: Config, prefix: str, tensors: tuple[TensorFact, ...], rest: list[str],
    fresh: set[str],
) -> tuple[list[str], list[str]]:  # fmt: skip
    """What the files hold beyond the model, if that may be left out: heads of other tasks, and what is no part of it."""
    if not rest:
        return [], []
    heads = {*_OTHER_HEADS, *COPIES[family]}
    for task in HEADS[family]:
        heads |= {t.name for t in FAMILIES[family]({**config, "tie_word_embeddings": False}, task) if t.drawn}
    whole = prefix or f"{BODY[family]}."
    heads |= {n.removeprefix(whole) for n in heads}
    modules = {
        spelling.rpartition(".")[0]
        for t in tensors
        if t.name not in fresh
        for spelling in _spellings(t.name, prefix, family)
    }
    inside = {
        whole,
        *(t.name.removeprefix(prefix).partition(".")[0] + "." for t in tensors if t.name.startswith(prefix)),
    }
    left_out, strangers, surplus = [], [], []
    for name in rest:
        if name in heads or _BUFFERS.fullmatch(name):
            left_out.append(name)
        elif name.rpartition(".")[0] in modules or name.startswith(tuple(inside)):
            surplus.append(name)
        else:
            strangers.append(name)
    if surplus:
        bias = "attention_bias" if ".self_attn." in surplus[0] else "mlp_bias"
        hinted = family == "llama" and surplus[0].endswith("_proj.bias")
        raise _undeclared(folder, surplus, [f'config.json may lack `"{bias}": true`'] if hinted else [])
    return left_out, strangers


def _undeclared(folder: Path, surplus: Sequence[str], hints: Sequence[str] = ()) -> RecipeError:
    without = "them" if len(surplus) > 1 else "it"
    notes = [f"found {listed(list(surplus), 3)}; without {without} the model computes something else", *hints]
    notes.append(f"the folder is {folder}")
    help = "take config.json from the same source as the weights"
    count = plural(len(surplus), "tensor")
    return fail("E184", f"the weights hold {count} that the config does not declare", help=help, notes=notes)
