"""The blocks of a study. A study is written in the language of recipes and holds other blocks."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from recipelang.kinds.plain import BlockLabel, ListOf, MeasuredPath, Number, OneOf, Seeds, Text
from recipelang.spec.attribute import Attr, Spec, refusal
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
    """Parameters of the recipe and their values: `target = [50%, 90%]`. Every combination is run.

    With `search`, ranges to search: `target = 50%..90%`, `rate = log(1e-5..1e-3)`, `batch = [8, 16]`.
    """


class SearchSpec(Spec):
    """Search the ranges of `vary` with Optuna instead of running every combination."""

    trials: Annotated[
        int, Attr(Number(1, 1000, whole=True), "number of trials, each with values of its own", "-", example="20")
    ]
    maximize: Annotated[
        str | None, Attr(MeasuredPath(), "the metric whose largest value is searched for", "-", example="dev.f1")
    ] = None
    minimize: Annotated[
        str | None, Attr(MeasuredPath(), "the metric whose smallest value is searched for", "-", example="dev.mse")
    ] = None
    sampler: Annotated[
        str,
        Attr(
            OneOf("tpe", "random"),
            "how values are proposed: `tpe` learns from finished trials, `random` does not",
            "-",
            example="random",
        ),
    ] = "tpe"
    seed: Annotated[int, Attr(Number(0, 2**32 - 1, whole=True), "seed of the sampler", "-", example="1")] = 1

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.maximize is None) == (self.minimize is None):
            named = "minimize" if self.minimize else "trials"
            message = "a search needs one of `maximize` and `minimize`"
            raise refusal("E265", named, message, "write `maximize = dev.f1`")
        return self


#: kinds of blocks of a study by where they may stand
STUDY_BLOCKS: dict[str, dict[str, type[Spec]]] = {
    "": {"meta": MetaSpec, "study": StudySpec, "vary": VarySpec, "search": SearchSpec, "arm": ArmSpec}
}
