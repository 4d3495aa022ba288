"""Every word of the language that can be explained by itself."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.kinds.schedule import ARGUMENTS
from recipelang.reference.attributes import blocks
from recipelang.schedules.shapes import SHAPES
from recipelang.spec.attribute import Spec
from recipelang.spec.blocks import BLOCKS
from recipelang.spec.metrics import MEASURES
from recipelang.spec.study_blocks import STUDY_BLOCKS
from recipelang.spec.vocabulary import CALLED
from recipelang.values.quantities import UNITS
from recipelang.values.selector import ROLES


def every_block() -> Iterator[tuple[str, str, type[Spec]]]:
    """`(parent, kind, spec)` of recipes, then of studies; the kind of what stands outside all blocks is empty."""
    yield from blocks()
    yield from (("", kind, spec) for kind, spec in STUDY_BLOCKS[""].items() if kind not in BLOCKS[""])


def words() -> list[str]:
    """Blocks, attributes, methods, optimizers, shapes, their arguments, metrics, roles and units."""
    kinds = (kind for _, kind, _ in every_block() if kind)
    attributes = (name for _, _, spec in every_block() for name in spec.attributes())
    arguments = (a.name for table in CALLED for s in table.values() for a in s.arguments)
    others = (
        *(name for table in CALLED for name in table),
        *SHAPES,
        *ARGUMENTS,
        *MEASURES,
        *(f"@{role}" for role in ROLES),
        *UNITS,
    )
    return list(dict.fromkeys([*kinds, *attributes, *arguments, *others]))
