"""Trackers that are told of a run, through Accelerate's adapters to their own clients.

A tracker decides nothing: what it is told is what the run's own curves hold, and one that fails is told of once and
left out. `recipe/trackers.json` in the output folder holds by which name each client knows the run, so that `resume` goes on
with it, and nothing else of it: logins are the clients' own.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker, TrackioTracker, WandBTracker
from pydantic import Field

from recipelang.engine.event_log import Curves
from recipelang.engine.records import Reporter
from recipelang.planning.tracking import Tracking, can_track
from recipelang.planning.types import Plan, StagePlan
from recipelang.source import Diagnostics
from recipelang.source.render import line_of
from recipelang.source.words import listed
from recipelang.spec.track import TRACKERS
from recipelang.storage.forms import Form, known
from recipelang.storage.reading import Unreadable, Why, read_model
from recipelang.storage.writing import write_json

RECORD = "recipe/trackers.json"
#: of what a client says of its failure
_SHOWN = 200
#: what is told of a run is late, never the run: a server that is gone is asked twice, not for minutes
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_WANDB_SECONDS = 60

_Name = Annotated[str, Field(pattern=r"^[\w./ -]{1,200}$")]


class TrackersForm(Form):
    """`trackers.json`: `runs` is how each client names the run."""

    format_version: Literal["1.0"] = "1.0"
    project: Annotated[str, Field(min_length=1, max_length=1000)]
    runs: dict[Annotated[str, known(*TRACKERS)], _Name]


def begun(out: Path) -> TrackersForm | None:
    """What an interrupted run was tracked by. E083 for a file that no run wrote."""
    try:
        return read_model(out / RECORD, TrackersForm, inside=out)
    except Unreadable as error:
        if error.why is Why.MISSING:
            return None
        raise error.coded("E083", help="restore it, or remove it: the run is not tracked any more then") from None


class Trackers:
    """The clients that still answer, each told the same. `add` is that of a log of curves."""

    def __init__(self, plan: Plan, out: Path, reporter: Reporter, told: Mapping[str, float] | None = None) -> None:
        """`told`: of a resumed run, the last step that each curve has."""
        self.plan, self.out, self.reporter = plan, out, reporter
        self.told = dict(told or {})
        self.clients: dict[str, GeneralTracker] = {}

    def start(self, asked: Tracking) -> None:
        """A new run in each."""
        runs = {name: secrets.token_hex(8) for name in asked.to}
        self._open(asked.project, runs, new=True)
        for name, client in [*self.clients.items()]:
            self._ask(name, client.store_init_configuration, settings(self.plan))
        self._note(asked.project, runs)

    def go_on(self, form: TrackersForm) -> None:
        """With the run that each client has already. E260 for one that is not installed any more."""
        for name in form.runs:
            can_track(name)
        self._open(form.project, form.runs, new=False)

    @property
    def names(self) -> str:
        """For people, each with the page of the run where it has one."""
        return listed([f"{name}{_page(name, client)}" for name, client in self.clients.items()], mark="")

    def add(self, step: int, scalars: dict[str, float]) -> None:
        new = {name: value for name, value in scalars.items() if step > self.told.get(name, -1)}
        if new:
            for name, client in [*self.clients.items()]:
                self._ask(name, client.log, new, step=step)

    def close(self) -> None:
        for name, client in [*self.clients.items()]:
            self._ask(name, client.finish)
        self.clients.clear()

    def _open(self, project: str, runs: Mapping[str, str], *, new: bool) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        for name, run in runs.items():
            client = _CLIENTS[name](project, run_name(self.out), run, new, self.plan)
            self.clients[name] = client
            self._ask(name, client.start)

    def _note(self, project: str, runs: dict[str, str]) -> None:
        if "mlflow" in runs and "mlflow" in self.clients:  # which names its runs itself
            runs = {**runs, "mlflow": self.clients["mlflow"].tracker.info.run_id}
        write_json(self.out / RECORD, TrackersForm(project=project, runs=runs).model_dump(), inside=self.out)

    def _ask(self, name: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """W189 where the client fails, whatever it raises: the run goes on without it."""
        try:
            call(*arguments, **named)
        except Exception as error:
            failed = self.clients.pop(name)
            with suppress(Exception):  # it would go on asking its server, or end its run in another place
                failed.finish()
            found = Diagnostics()
            help = "the run goes on without it; its own curves are in `tensorboard/` of the output folder"
            found.say("W189", f"the tracker `{name}` failed", notes=[_why(error)], help=help)
            self.reporter.found(found)


class Tracked(Curves):
    """The curves of a run, and the events that change its zeros, for trackers."""

    def __init__(self, plan: Plan, clients: Trackers) -> None:
        super().__init__(plan, clients)
        self.clients = clients
        self.events: dict[tuple[str, int], dict[str, float]] = {
            (s.name, e.step): {} for s in plan.stages for p in s.prunes for e in p.events
        }
        for stage in plan.stages:
            for prune in stage.prunes:
                for event in prune.events:
                    self.events[stage.name, event.step][f"prune/{prune.name}"] = event.sparsity

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None:
        super().stage_started(stage, steps, at)
        self.clients.add(self.first[stage.name] + at, {"train/stage": float(stage.index + 1)})
        if stage.mode == "train" and at == 0:
            self._event(stage, 0)

    def stepped(self, stage: StagePlan, step: int, loss: float, rate: float, sparsity: float) -> None:
        super().stepped(stage, step, loss, rate, sparsity)
        self._event(stage, step)

    def pruned(self, stage: StagePlan, sparsity: float) -> None:
        super().pruned(stage, sparsity)
        self._event(stage, 0)

    def _event(self, stage: StagePlan, step: int) -> None:
        if event := self.events.get((stage.name, step)):
            self.clients.add(self.first[stage.name] + step, event)


def settings(plan: Plan) -> dict[str, Any]:
    """What a tracker shows beside the curves: names and digests, nothing of the machine."""
    return {
        "recipe": plan.name,
        "spec_digest": plan.spec_digest,
        "behaviour_digest": plan.behaviour_digest,
        "model": plan.model.ref if "://" in plan.model.ref else Path(plan.model.ref).name,
        "task": plan.model.task,
        "seed": plan.seed,
        "steps": plan.steps,
        "rehearsal": plan.rehearsal or 0,
    }


def run_name(out: Path) -> str:
    """Of a run among others: its folder as it is seen from the working folder, without `runs/`."""
    folder, here = Path(os.path.abspath(out)), Path.cwd()
    shown = folder.relative_to(here).as_posix() if folder.is_relative_to(here) else folder.name
    return re.sub(r"[^\w./-]+", "-", shown.removeprefix("runs/"))[-120:].strip("./") or "run"


def _page(name: str, client: GeneralTracker) -> str:
    """Where the run can be seen, of a client that sends it to a server."""
    return f" ({client.tracker.url})" if name == "wandb" and not client.tracker.offline else ""


def _why(error: Exception) -> str:
    """The first line of what a client says, without the user and password that an address may hold."""
    lines = str(error).strip().splitlines() or [""]
    return line_of(f"{type(error).__name__}: {re.sub(r'//[^/@]*@', '//', lines[0])}"[:_SHOWN])


def _tensorboard(project: str, name: str, run: str, new: bool, plan: Plan) -> GeneralTracker:
    """Files in `tensorboard/PROJECT/` of the working folder."""
    return TensorBoardTracker(f"{_folder(project)}/{name}-{run[:4]}", "tensorboard")


def _wandb(project: str, name: str, run: str, new: bool, plan: Plan) -> GeneralTracker:
    """Numbers only: no code, no screen, no state of the machine. `WANDB_MODE=offline` writes to `wandb/`."""
    import wandb

    quiet = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        silent=True,
        x_disable_stats=True,
        init_timeout=_WANDB_SECONDS,
    )
    more = {"id": run, "name": name, "resume": None if new else "allow", "settings": quiet}
    return WandBTracker(project, **more)


def _mlflow(project: str, name: str, run: str, new: bool, plan: Plan) -> GeneralTracker:
    import mlflow  # noqa: F401 (it sets what it logs when it is loaded)

    for logger in ("mlflow", "alembic"):  # they tell of every table of a new database
        logging.getLogger(logger).setLevel(logging.WARNING)
    return MLflowTracker(project, run_name=name, run_id=None if new else run)


def _trackio(project: str, name: str, run: str, new: bool, plan: Plan) -> GeneralTracker:
    return TrackioTracker(_folder(project), name=f"{name}-{run[:4]}", resume="allow")


def _folder(project: str) -> str:
    return re.sub(r"[^\w-]+", "-", project).strip("-")[:80] or "project"


_CLIENTS: dict[str, Callable[[str, str, str, bool, Plan], GeneralTracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
