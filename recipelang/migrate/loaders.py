"""What the last loader of a dialect says of a file: that of SparseML 1.9, or of llm-compressor in August 2026.

Told from the layout alone; nothing is loaded. It says whether an old file ever ran as it stands, not what it means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from recipelang.migrate import expressions, legacy, lost
from recipelang.migrate.document import LEGACY, Document, Modifier
from recipelang.migrate.nodes import List, Map, Node, Scalar, plain

#: what llm-compressor still knows
_KNOWN = frozenset({
    "SparseGPTModifier", "WandaPruningModifier", "MagnitudePruningModifier", "ConstantPruningModifier", "GPTQModifier",
    "QuantizationModifier", "AWQModifier", "SmoothQuantModifier", "QuIPModifier", "SpinQuantModifier",
    "AutoRoundModifier", "LogarithmicEqualizationModifier", "REAPPruningModifier",
})  # fmt: skip
#: arguments that its modifiers lost
_REMOVED = {
    "SparseGPTModifier": ("quantize", "percdamp", "prunen", "prunem", "target_ids"),
    "WandaPruningModifier": ("target_ids",),
    "GPTQModifier": ("sequential_update", "percdamp", "percent_damp"),
    "QuantizationModifier": ("post_oneshot_calibration", "scheme_overrides", "sequential_update", "actorder"),
    "AWQModifier": ("ignore", "targets", "scheme", "config_groups", "smooth_layer_quantization"),
}


@dataclass(frozen=True)
class Verdict:
    """`accepts` none: it takes no modifiers from the file, and does not say so."""

    accepts: bool | None
    why: str = ""

    @property
    def text(self) -> str:
        if self.accepts is None:
            return f"the newest loader silently ignores its modifiers: {self.why}"
        return (
            "judging by its layout, the newest loader accepts it"
            if self.accepts
            else f"the newest loader refuses it: {self.why}"
        )


def verdict(document: Document) -> Verdict:
    """Of a document whose modifiers have been read."""
    reasons = _of_sparseml(document) if document.dialect == LEGACY else _of_llm_compressor(document)
    why = next(chain(reasons, document.refused), None)
    if why is not None:
        return Verdict(False, why)
    if document.passed_over:
        return Verdict(None, document.passed_over[0])
    return Verdict(True)


def _of_sparseml(document: Document) -> Iterator[str]:
    if document.anchor_twice:
        yield f"the anchor `&{document.anchor_twice}` is defined twice"
    for modifier in document.modifiers:
        if modifier.name in lost.NEWER or modifier.name not in (*legacy.READERS, *lost.LOST, *lost.IDLE):
            yield f"the loader has no `{modifier.name}`"


def _of_llm_compressor(document: Document) -> Iterator[str]:
    for modifier in document.modifiers:
        if modifier.name not in _KNOWN:
            yield f"the loader has no `{modifier.name}`"
    for modifier in document.modifiers:
        yield from _of_arguments(modifier)


def _of_arguments(modifier: Modifier) -> Iterator[str]:
    for key, entry in modifier.arguments.items():
        if key in _REMOVED.get(modifier.name, ()):
            yield f"`{modifier.name}` no longer has `{key}`"
        for text in _texts(entry.value, key):
            if expressions.inside_eval(text[1]) is not None:
                yield f"formulas in `eval(...)` are no longer read, as in `{key}`"
            if modifier.name == "QuantizationModifier" and text == ("actorder", "group"):
                yield "`actorder: group` belongs to `GPTQModifier`"


def _texts(node: Node, key: str) -> Iterator[tuple[str, str]]:
    """Every scalar below a node, with the key that it stands under."""
    todo: list[tuple[str, Node]] = [(key, node)]
    while todo:
        name, found = todo.pop()
        here = plain(found)
        match here:
            case Scalar():
                yield name, here.text
            case List():
                todo += [(name, item) for item in here.items]
            case Map():
                todo += [(entry.key, entry.value) for entry in here.entries]
