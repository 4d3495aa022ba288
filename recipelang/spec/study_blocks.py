"""The blocks of a study. A study is written in the language of recipes and holds other blocks."""

from __future__ import annotations

from typing import Annotated

from recipelang.kinds.base import Kind
from recipelang.kinds.plain import BlockLabel, ListOf, Number, OneOf, Text
from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.blocks import MetaSpec
from recipelang.values.quantities import Quantity

MAX_SEEDS = 1_000


class Seeds(Kind):
    """How many, counted from 1, or the seeds themselves."""

    name = "int or list<int>"
    doc = "how many, counted from 1; or the seeds themselves, in brackets"
    seeds = ListOf(Number(0, whole=True))

    def _read(self, value: object) -> object:
        if isinstance(value, Quantity):
            return tuple(range(1, Number(1, MAX_SEEDS, whole=True).read(value) + 1))
        return self.seeds.read(value)

    def check(self, value: object) -> None:
        self.seeds.check(value)


class StudySpec(Spec):
    """Which recipe is varied, how often each variant is run, and what is compared with what."""

    of: Annotated[
        str | None,
        Attr(Text(), "the recipe: a path beside the study, or `lib://NAME`", "-", example='"./squad.recipe"'),
    ] = None
    seeds: Annotated[
        tuple[int, ...] | None,
        Attr(
            Seeds(),
            "values of the recipe's parameter `seed`: `3` stands for `[1, 2, 3]`; unset: the recipe's own",
            "-",
            example="[1, 2, 3]",
        ),
    ] = None
    baseline: Annotated[
        str | None,
        Attr(BlockLabel(), "the arm that the others are compared with, seed by seed", "-", example="ours"),
    ] = None
    against: Annotated[
        str | None,
        Attr(BlockLabel(), "the varied parameter that plots have along them; unset: the first", "-", example="target"),
    ] = None
    weights: Annotated[
        str,
        Attr(
            OneOf("keep", "drop"),
            "whether finished runs keep their weights; what was measured stays in any case",
            "-",
            example="drop",
        ),
    ] = "keep"


class ArmSpec(Spec):
    """One way of doing it: what is laid over the recipe. `set` and `patch` stand in it as in an overlay."""

    LABELS = (1, 1)
    name: str
    of: Annotated[str | None, Attr(Text(), "another recipe than the study's", "-", example='"./oneshot.recipe"')] = None
    overlay: Annotated[
        tuple[str, ...],
        Attr(ListOf(Text()), "files of `set` and `patch`, laid below its own", "-", example='"smc.recipe"'),
    ] = ()
    arms: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(BlockLabel(), "names of blocks in brackets, `[a, b]`"),
            "arms whose changes come first",
            "-",
            example="[components, schedules]",
        ),
    ] = ()


class VarySpec(Spec):
    """Parameters of the recipe, each with the values that it takes: `target = [50%, 90%]`. All are combined."""


#: kinds of blocks of a study by where they may stand
STUDY_BLOCKS: dict[str, dict[str, type[Spec]]] = {
    "": {"meta": MetaSpec, "study": StudySpec, "vary": VarySpec, "arm": ArmSpec}
}
