"""The blocks of a study. A study is written in the language of recipes and holds other blocks."""

from __future__ import annotations

from typing import Annotated

from recipelang.kinds.plain import BlockLabel, ListOf, OneOf, Seeds, Text
from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.blocks import MetaSpec


class StudySpec(Spec):
    """The recipe to vary, the number of runs of each variant, and the comparison."""

    of: Annotated[
        str | None,
        Attr(
            Text(), "the recipe to vary: a path relative to the study, or `lib://NAME`", "-", example='"./squad.recipe"'
        ),
    ] = None
    seeds: Annotated[
        tuple[int, ...] | None,
        Attr(
            Seeds(),
            "values of the parameter `seed` of the recipe: `3` means `[1, 2, 3]`; default: the seed of the recipe",
            "-",
            example="[1, 2, 3]",
        ),
    ] = None
    baseline: Annotated[
        str | None,
        Attr(BlockLabel(), "the arm to compare the others with, paired by seed", "-", example="ours"),
    ] = None
    against: Annotated[
        str | None,
        Attr(
            BlockLabel(), "the varied parameter on the x-axis of the plots; default: the first", "-", example="target"
        ),
    ] = None
    weights: Annotated[
        str,
        Attr(
            OneOf("keep", "drop"),
            "keep or delete the weights of finished runs; their records always stay",
            "-",
            example="drop",
        ),
    ] = "keep"


class ArmSpec(Spec):
    """A variant of the recipe: `set`, `patch` and `unset` change the recipe as in a recipe that extends it."""

    LABELS = (1, 1)
    name: str
    of: Annotated[
        str | None, Attr(Text(), "a different recipe from that of the study", "-", example='"./oneshot.recipe"')
    ] = None
    overlay: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(Text()),
            "files of `set` and `patch`, applied before the changes of this arm",
            "-",
            example='"smc.recipe"',
        ),
    ] = ()
    arms: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(BlockLabel(), "names of blocks in brackets, `[a, b]`"),
            "arms whose changes are applied first",
            "-",
            example="[components, schedules]",
        ),
    ] = ()


class VarySpec(Spec):
    """Parameters of the recipe and their values: `target = [50%, 90%]`. Every combination is run."""


#: kinds of blocks of a study by where they may stand
STUDY_BLOCKS: dict[str, dict[str, type[Spec]]] = {
    "": {"meta": MetaSpec, "study": StudySpec, "vary": VarySpec, "arm": ArmSpec}
}
