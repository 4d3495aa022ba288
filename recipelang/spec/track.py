"""Where the numbers of a run are sent beside its own record: never needed to run, and in no digest."""

from __future__ import annotations

from typing import Annotated

from recipelang.kinds.plain import ListOf, OneOf, Text
from recipelang.spec.attribute import Attr, Spec

#: tracker -> the package that it needs, and what installs it
TRACKERS: dict[str, tuple[str, str]] = {
    "tensorboard": ("tensorboard", "recipelang"),
    "wandb": ("wandb", "recipelang[trackers]"),
    "mlflow": ("mlflow", "recipelang[trackers]"),
    "trackio": ("trackio", "recipelang[trackers]"),
}


class TrackSpec(Spec):
    """Trackers that are told of the run. Their settings and logins are those of each tracker's own client."""

    to: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(OneOf(*TRACKERS)),
            "trackers: `tensorboard`, `wandb` (W&B), `mlflow`, `trackio`",
            "-",
            example="[tensorboard, mlflow]",
            unordered=True,
        ),
    ]
    project: Annotated[
        str | None,
        Attr(
            Text(),
            "project or experiment that the run belongs to; default: the name of the recipe",
            "-",
            example='"squad"',
        ),
    ] = None
