"""What a plan knows of a model without loading it: config, header, names, shapes, roles, digest."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from recipelang.planning.accounting import account, account_structure
from recipelang.planning.config_fields import check_fields
from recipelang.planning.families import FAMILIES, TensorFact, check_head
from recipelang.planning.remembered import file_digest
from recipelang.planning.safetensors_header import DTYPES, ITEM_BYTES, Entry, read_folder, weight_files
from recipelang.planning.structure import Structure, structure
from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.storage.reading import Unreadable, Why, read_object
from recipelang.tasks import task_of

#: the largest known hold the names of thousands of classes, in less than one
MAX_CONFIG = 4 * 2**20
#: tensors that a model may have beyond those of its weights: a head, a pooler
_FRESH = 64
_AGAIN = "copy or download the model again"


@dataclass(frozen=True)
class ModelFacts:
    path: Path
    family: str
    task: str
    config: dict[str, Any]
    tensors: tuple[TensorFact, ...]
    fresh: tuple[str, ...]  # parameters that the checkpoint does not hold
    labels: tuple[str, ...] = ()  # names of the classes, of a task that has some
    redrawn: tuple[str, ...] = ()  # of `fresh`, what the checkpoint does hold: a head of other classes or another task
    stored: Mapping[str, str] = field(default_factory=dict)  # parameter -> its name in the weights
    copies: tuple[tuple[str, str], ...] = ()  # stored copies of tied tensors, and what each is a copy of
    left_out: tuple[str, ...] = ()  # what the weights hold of other heads, and what follows from the config
    strangers: tuple[str, ...] = ()  # what they hold that no model of the family has
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # parameter -> all that it is made of
    positions: int | None = None  # tokens that the model can tell apart; none: as the config of a known family says
    stacks: tuple[str, ...] = ()  # of layers, of a type that is in no table
    #: of a type that is in no table, the config's fields of dropout: of hidden states, of attention
    dropouts: tuple[Mapping[str, float], Mapping[str, float]] | None = None

    @property
    def parameters(self) -> int:
        return sum(t.size for t in self.tensors)

    @property
    def has_head(self) -> bool:
        """Whether the checkpoint holds a head for the task: a new one is drawn otherwise."""
        return not any("head" in t.roles for t in self.tensors if t.name in self.fresh)

    @property
    def layers(self) -> int:
        return 1 + max((t.layer for t in self.tensors if t.layer is not None), default=-1)

    def sources(self, name: str) -> tuple[str, ...]:
        """The tensors in the weights that a parameter is read from."""
        return self.merged.get(name) or ((self.stored[name],) if name in self.stored else ())

    def zeros(self, name: str, stored: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """Of a parameter, from those `stored` in the files (`planning.zeros`): all, and the most in a row. None of
        what is drawn anew."""
        each = [stored.get(n, (0, 0)) for n in self.sources(name)]
        return sum(n for n, _ in each), max((n for _, n in each), default=0)

    @property
    def chained(self) -> bool:
        """Whether every layer is called once and reads what the one before it gave, in an encoder and in a decoder."""
        most = 2 if self.two_stacks else 1
        return len(self.stacks) <= most and self.layers >= self.config.get("num_hidden_layers", 0)

    @property
    def two_stacks(self) -> bool:
        """Whether there is an encoder and a decoder that reads it."""
        return all(any(word in s.split(".") for s in self.stacks) for word in ("encoder", "decoder"))

    @property
    def max_positions(self) -> int:
        if self.positions is not None:
            return self.positions
        n = int(self.config.get("max_position_embeddings", 512))
        if self.family != "roberta":
            return n
        pad = self.config.get("pad_token_id", 1)
        return n - 1 - (pad if pad is not None and pad >= 0 else 1)  # RoBERTa's positions start after its padding index


def read_config(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        beside = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        near = closest(path.name, beside)
        help = f"did you mean `{near}`?" if near else "name a folder that holds config.json and safetensors weights"
        raise fail("E076", f"there is no model folder `{path}`", help=help)
    try:
        return read_object(path / "config.json", MAX_CONFIG)
    except Unreadable as error:
        if error.why is not Why.MISSING:
            raise error.coded("E076", help=_AGAIN) from None
        there = ", ".join(sorted(p.name for p in path.iterdir())[:12]) or "nothing"
        help = "name the folder that `save_pretrained` wrote"
        raise fail("E076", f"`{path}` holds no config.json", help=help, notes=[f"it holds {there}"]) from None


#: of tasks whose heads have one name and may have one shape
_HEADS = {
    "sequence_classification": "ForSequenceClassification",
    "token_classification": "ForTokenClassification",
    "multiple_choice": "ForMultipleChoice",
}


def read_model_facts(path: Path, task: str, labels: Sequence[str] = (), *, new_head: bool = False) -> ModelFacts:
    """The task model that will be made from a folder, for classes of these names. No weights are read.

    With a `new_head` one is drawn, even where the checkpoint holds one of the same shape.
    """
    config = read_config(path)
    if labels:
        config["id2label"] = {str(i): name for i, name in enumerate(labels)}
        config.pop("num_labels", None)
    if "model_type" not in config:
        raise fail("E076", f"`{path / 'config.json'}` has no `model_type`")
    family = config["model_type"]
    if not isinstance(family, str):
        raise fail("E076", f"`model_type` in `{path / 'config.json'}` is not a string", help=_AGAIN)
    head = task_of(task).head
    if family in FAMILIES:
        check_head(family, task)
    check_fields(path / "config.json", family, config)
    header = read_folder(path)
    made = next(iter(config.get("architectures") or ()), "")
    own_head = head in _HEADS and made.endswith(_HEADS[head]) and not new_head
    new_head = new_head or (head in _HEADS and any(made.endswith(h) for t, h in _HEADS.items() if t != head))
    if family not in FAMILIES:
        return _of_structure(path, config, task, header, labels, new_head, own_head)
    try:  # no more than the weights can hold: a config may speak of any number of layers
        tensors = tuple(islice(FAMILIES[family](config, head), len(header) + _FRESH))
    except KeyError as error:
        raise fail("E076", f"`{path / 'config.json'}` lacks `{error.args[0]}`", help=_AGAIN) from None
    found = account(path, family, head, config, tensors, header, new_head, own_head)
    return ModelFacts(
        path, family, task, config, tensors, (*found.fresh, *found.redrawn), tuple(labels), found.redrawn,
        stored=found.stored, copies=found.copies, left_out=found.left_out, strangers=found.strangers,
    )  # fmt: skip


def _of_structure(
    path: Path, config: dict[str, Any], task: str, header: Mapping[str, Entry], labels: Sequence[str],
    new_head: bool, own_head: bool,
) -> ModelFacts:  # fmt: skip
    made = structure(path, config, task, header)
    if task_of(task).gives == "embeddings" and made.standard.encoder_decoder:
        help = "name a model that is an encoder or a decoder"
        notes = ["it reads one text and writes another, so no states are those of a text alone"]
        raise fail("E073", f"`{config['model_type']}` gives no embedding of a text", help=help, notes=notes)
    found = account_structure(path, task_of(task).head, config, made, header, new_head, own_head)
    tensors = tuple(t for t in made.facts if not (task_of(task).gives == "embeddings" and "pooler" in t.roles))
    return ModelFacts(
        path, str(config["model_type"]), task, with_standard(config, made), tensors, (*found.fresh, *found.redrawn),
        tuple(labels), found.redrawn, stored=found.stored, copies=found.copies, left_out=found.left_out,
        strangers=found.strangers, merged=found.merged, positions=positions_of(made),
        stacks=tuple(sorted({p.stack for p in made.tensors if p.layer is not None})),
        dropouts=(made.standard.dropout, made.standard.attention_dropout),
    )  # fmt: skip


#: of models whose positions have no end
_ENDLESS = 2**20


def positions_of(made: Structure) -> int:
    return made.standard.positions or _ENDLESS


def with_standard(config: Mapping[str, Any], made: Structure) -> dict[str, Any]:
    """The config with its sizes under the names that most types have for them."""
    sizes = made.standard.model_dump(
        exclude_none=True, exclude={"positions", "encoder_decoder", "dropout", "attention_dropout"}
    )
    return {**config, **sizes}


def stored_dtype(path: Path) -> str:
    """What most of the bytes of a model's weights are; fp32 where they are neither bf16 nor fp16."""
    sizes: Counter[str] = Counter()
    for entry in read_folder(path).values():
        sizes[entry.dtype] += math.prod(entry.shape) * ITEM_BYTES[entry.dtype]
    most = sizes.most_common(1)[0][0] if sizes else ""
    return next((ours for ours, name in DTYPES.items() if name == most), "fp32")


def model_digest(path: Path, *, anew: bool = False) -> str:
    """sha256 over config, weights and tokenizer: all that decides what comes out. `anew`: nothing remembered is used."""
    total = hashlib.sha256()
    names = ["tokenizer.json", "vocab.txt"]
    if not (path / "tokenizer.json").exists():  # a vocabulary alone does not say how texts are read
        names += ["tokenizer_config.json", "added_tokens.json"]
    tokenizer = [n for n in names if (path / n).is_file()]
    for name in ("config.json", *weight_files(path), *tokenizer):
        total.update(f"{name}\0{file_digest(path / name, anew=anew)}\n".encode())
    return "sha256:" + total.hexdigest()
