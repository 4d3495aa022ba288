"""Models and data of a plan, looked at again when they are read: a run is of what was planned, or it stops."""

from __future__ import annotations

from pathlib import Path

from recipelang.planning.contents import split_digest
from recipelang.planning.data_plan import DataPlan, SplitPlan
from recipelang.planning.facts import model_digest
from recipelang.planning.types import Plan
from recipelang.source import RecipeError, fail
from recipelang.tasks.chat_template import read_template

_HELP = "restore it and run `recipelang resume`, or start again with `run --overwrite`"


def unchanged(plan: Plan) -> None:
    """E195 when the model, a teacher or a data file is not the one that was planned."""
    if plan.model.digest:
        same_model(Path(plan.model.path), plan.model.digest, f"the model `{plan.model.ref}`")
    for d in (d for stage in plan.stages for d in stage.distills):
        if d.teacher_digest:
            same_model(Path(d.teacher), d.teacher_digest, f"the teacher `{d.teacher_ref}`")
    for data in plan.data:
        same_template(Path(plan.model.path), data)
    for split in (s for data in plan.data for s in data.splits.values()):
        same_data(split)


def same_model(folder: Path, digest: str, what: str) -> None:
    """E195 when a folder does not hold the model of this digest."""
    try:
        now = model_digest(folder)
    except (RecipeError, OSError):
        raise _changed(f"{what} no longer exists", folder) from None
    if now != digest:
        raise _changed(f"{what} has changed since it was planned", folder)


def same_template(folder: Path, data: DataPlan) -> None:
    """E195 when chats would become other text than was planned: the model's digest does not cover its template."""
    if data.chat is None:
        return
    try:
        now = read_template(folder).digest
    except RecipeError:
        raise _changed("the model no longer has a chat template", folder) from None
    if now != data.chat.template:
        raise _changed("the model's chat template has changed since it was planned", folder)


def same_data(split: SplitPlan) -> None:
    """E195 when a file of data is not the one that was planned."""
    if not split.digest:
        return
    path = Path(split.reference)
    try:
        now = split_digest(split)
    except (OSError, RecipeError):
        raise _changed(f"the data file `{path.name}` no longer exists", path) from None
    if now != split.digest:
        raise _changed(f"the data file `{path.name}` has changed since it was planned", path)


def _changed(message: str, path: Path) -> RecipeError:
    return fail("E195", message, notes=[f"the path is {path}"], help=_HELP)
