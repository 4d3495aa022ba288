"""The blocks of a study. A study is written in the language of recipes and holds other blocks."""

from __future__ import annotations

from typing import Annotated

from recipelang.spec.attribute import Attr, Spec
from recipelang.spec.blocks import MetaSpec
from recipelang.values import kinds as k
from recipelang.values.kinds import Kind
from recipelang.values.quantities import Quantity

MAX_SEEDS = 1_000


def _seeds() -> Kind:
    whole = k.number(0, whole=True)

    def convert(value: object) -> object:
        if isinstance(value, Quantity):
            return tuple(range(1, int(k.number(1, MAX_SEEDS, whole=True).coerce(value)) + 1))  # type: ignore[call-overload]
        return tuple(whole.coerce(item) for item in value) if isinstance(value, tuple) else whole.coerce(value)

    return Kind("int or list<int>", convert, doc="how many, counted from 1; or the seeds themselves, in brackets")


class StudySpec(Spec):
    """Which recipe is varied, how often each variant is run, and what is compared with what."""

    of: Annotated[
        str | None,
        Attr(k.text(), "the recipe: a path beside the study, or `lib://NAME`", "-", example='"./squad.recipe"'),
    ] = None
    seeds: Annotated[
        tuple[int, ...] | None,
        Attr(
            _seeds(),
            "values of the recipe's parameter `seed`: `3` stands for `[1, 2, 3]`; unset: the recipe's own",
            "-",
            example="[1, 2, 3]",
        ),
    ] = None
    baseline: Annotated[
        str | None,
        Attr(k.label(), "the arm that the others are compared with, seed by seed", "-", example="ours"),
    ] = None
    against: Annotated[
        str | None,
        Attr(k.label(), "the varied parameter that plots have along them; unset: the first", "-", example="target"),
    ] = None
    weights: Annotated[
        str,
        Attr(
            k.one_of("keep", "drop"),
            "whether finished runs keep their weights; what was measured stays in any case",
            "-",
            example="drop",
        ),
    ] = "keep"


class ArmSpec(Spec):
    """One way of doing it: what is laid over the recipe. `set` and `patch` stand in it as in an overlay."""

    LABELS = (1, 1)
    name: str
    of: Annotated[str | None, Attr(k.text(), "another recipe than the study's", "-", example='"./oneshot.recipe"')] = (
        None
    )
    overlay: Annotated[
        tuple[str, ...],
        Attr(k.list_of(k.text()), "files of `set` and `patch`, laid below its own", "-", example='"smc.recipe"'),
    ] = ()
    arms: Annotated[
        tuple[str, ...],
        Attr(k.labels(), "arms whose changes come first", "-", example="[components, schedules]"),
    ] = ()


class VarySpec(Spec):
    """Parameters of the recipe, each with the values that it takes: `target = [50%, 90%]`. All are combined."""


#: kinds of blocks of a study by where they may stand
STUDY_BLOCKS: dict[str, dict[str, type[Spec]]] = {
    "": {"meta": MetaSpec, "study": StudySpec, "vary": VarySpec, "arm": ArmSpec}
}
