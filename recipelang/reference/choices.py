"""Names that take arguments, from `methods/` and `spec/optimizers.py`, and patterns, from `values/composite.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recipelang.kinds.choice import Signature
from recipelang.kinds.text import chosen
from recipelang.methods import METHODS
from recipelang.methods.declaration import CALLED_SCOPES, PATTERNS as PATTERN_WORDS, Method
from recipelang.methods.reconstruction import RECONSTRUCTIONS
from recipelang.reference.markdown import block, code, page, table
from recipelang.spec.blocks import PruneSpec
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.values.composite import PATTERNS


def text() -> str:
    return page(
        "Methods, optimizers, patterns",
        "Write a method or an optimizer as a name, with or without named arguments: `magnitude`, `adamw(weight_decay = 0.01)`. "
        "Arguments that you omit have their defaults.",
        "## Methods\n\nThe values of `method` in a `prune` block, which decides how weights are ranked.",
        *_signatures(METHODS),
        "## Scopes\n\nScopes with arguments, as values of `scope` of a method.",
        *_signatures(CALLED_SCOPES),
        "## Reconstructions\n\nThe values of `reconstruct` in a `prune` block of a one-shot stage.",
        *_signatures(RECONSTRUCTIONS),
        "## Optimizers\n\nThe values of `optimizer` in a stage.",
        *_signatures(OPTIMIZERS),
        "## Patterns\n\nThe values of `pattern` in a `prune` block, which decides which weights become zero together.",
        table(("pattern", "meaning", ""), map(_pattern, PATTERNS)),
    )


def _signatures(table_of: Mapping[str, Signature]) -> Iterator[str]:
    for signature in table_of.values():
        rows = (
            (code(a.name), _type(a.kind.symbols, a.kind.name, a.kind.within), code(a.kind.text(a.default)), a.doc)
            for a in signature.arguments
        )
        yield f"### {signature.name}\n\n{signature.sentence}"
        yield table(("argument", "type", "default", "description"), rows)
        if isinstance(signature, Method) and signature.scheduled:
            yield _facts(signature)
        yield block(chosen(signature.default()))


_LOOKS_AT = {
    "weights": "the weights only",
    "steps": "the gradients of every training step",
    "gradients": "the gradients of samples",
    "inputs": "the inputs of each layer, in one shot",
}


def _facts(method: Method) -> str:
    said = [f"Uses {_LOOKS_AT[method.looks_at]}."]
    said += ["Updates the remaining weights."] if method.compensates else []
    said += ["Regrows masked weights."] if method.regrows else []
    said += (
        [f"Prunes {' and '.join(PATTERN_WORDS[p] for p in method.patterns)} only."] if len(method.patterns) < 3 else []
    )
    said += ["Works with `--shard`."] if method.shards else []
    said += [f"Source: {', '.join(method.sources)}."] if method.sources else []
    return " ".join(said)


def _type(symbols: tuple[str, ...], name: str, within: str) -> str:
    return " or ".join(map(code, symbols)) if symbols else code(name) + (f", {within}" if within else "")


def _pattern(form: str) -> tuple[str, ...]:
    later = form.partition("(")[0] in PruneSpec.attributes()["pattern"].later
    return code(form), PATTERNS[form], "not in this release" if later else ""
