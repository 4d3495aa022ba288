"""What a plan warns of in a model folder: things that are left out, or read otherwise than they are written."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.planning.facts import ModelFacts
from recipelang.planning.safetensors_header import weight_files
from recipelang.source import Diagnostic, Label
from recipelang.source.words import an, listed, plural


def remarks(facts: ModelFacts, at: Label | None) -> Iterator[Diagnostic]:
    notes: tuple[str, ...]
    if facts.strangers:
        count = plural(len(facts.strangers), "tensor")
        notes = (
            f"left out: {listed(facts.strangers, 3)}",
            f"`{facts.family}` models in transformers have no such parameters",
        )
        help = ("if nothing uses them, remove them from the weights",)
        yield Diagnostic("W169", f"{count} of the weights will be ignored", at, notes=notes, help=help)
    pad = facts.config.get("pad_token_id")
    if pad is not None and pad < 0:
        notes = ("older tools write this when there is no padding token; the output records the padding token used",)
        help = ("write a token id, or `null`",)
        yield Diagnostic("W170", f"`pad_token_id` is {pad}, which is not a token id", at, notes=notes, help=help)
    if facts.config.get("auto_map") or sorted(facts.path.glob("modeling_*.py")):
        notes = (f"the model is read as {an(f'`{facts.family}`')} of transformers; its own code is ignored",)
        help = ("if the code computes something else, prune the model in your own loop with `recipelang.attach`",)
        yield Diagnostic("W171", "the code in the model folder is not run", at, notes=notes, help=help)
    used = weight_files(facts.path)
    if unread := sorted(p.name for p in facts.path.glob("*.safetensors") if p.name not in used):
        notes = (f"the model is read from {listed(used, 3)}",)
        help = ("remove the files that do not belong to the model",)
        message = f"{listed(unread, 3)} in the model folder {'are' if len(unread) > 1 else 'is'} not read"
        yield Diagnostic("W172", message, at, notes=notes, help=help)
