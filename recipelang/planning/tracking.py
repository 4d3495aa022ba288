"""Where a run is tracked: by the `track` block of its recipe, or by `recipelang.toml` where the recipe has none."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from recipelang.source import Diagnostic, Label, RecipeError
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest
from recipelang.spec.recipe import Recipe
from recipelang.spec.settings import Settings, settings_beside, wrong
from recipelang.spec.track import TRACKERS, TrackSpec


@frozen
class Tracking:
    """Trackers, each once, in the order that they were named in."""

    to: tuple[str, ...]
    project: str


def tracking(recipe: Recipe, beside: Path) -> Tracking | None:
    """None for a run that nobody asked to track. `to = []` in a recipe tracks nothing, whatever the settings say.

    E095 for settings that are wrong, E260 for a tracker whose package is not installed.
    """
    spec, at = recipe.track, recipe.label("track.to")
    found = settings_beside(beside) if spec is None else None
    if found is not None and "track" in found.tables:
        spec, at = _settled(found), found.key("to")
    if spec is None or not spec.to:
        return None
    names = tuple(dict.fromkeys(spec.to))
    for name in names:
        can_track(name, at)
    return Tracking(names, spec.project or recipe.name)


def with_settings(recipe: Recipe, beside: Path) -> Recipe:
    """The recipe with what the settings say of trackers written out, for one whose text is run somewhere else."""
    found = tracking(recipe, beside) if recipe.track is None else None
    return recipe if found is None else replace(recipe, track=TrackSpec(to=found.to, project=found.project))


def can_track(name: str, at: Label | None = None) -> None:
    """E260 unless the client of a tracker is installed."""
    package, extra = TRACKERS[name]
    if find_spec(package) is None:
        help = f"`pip install '{extra}'`, or remove `{name}` from `to`"
        raise RecipeError(Diagnostic("E260", f"`{name}` needs the package `{package}`", at, help=(help,)))


def _settled(found: Settings) -> TrackSpec:
    table = found.tables["track"]
    for word in table:
        if word not in TrackSpec.attributes():
            near = closest(word, TrackSpec.attributes())
            help = f"did you mean `{near}`?" if near else "it has `to` and `project`"
            raise wrong(found.key(word), f"`[track]` has no setting `{word}`", help)
    names, project = table.get("to"), table.get("project")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        at = found.key("to" if "to" in table else "track")
        raise wrong(at, "`to` must be a list of trackers", 'write `to = ["mlflow"]` below `[track]`')
    if project is not None and not (isinstance(project, str) and project.strip()):
        raise wrong(found.key("project", value=True), "`project` must be a text", 'write `project = "squad"`')
    for name in names:
        if name not in TRACKERS:
            near = closest(name, TRACKERS)
            help = f"did you mean `{near}`?" if near else f"trackers are {', '.join(f'`{n}`' for n in TRACKERS)}"
            raise wrong(found.key("to", value=True), f"there is no tracker `{name}`", help)
    return TrackSpec(to=tuple(names), project=project)


def told(it: Tracking) -> str:
    """For people: `mlflow and wandb, project squad`."""
    return f"{' and '.join(it.to)}, project {it.project}"
