"""What checking a recipe gives: the recipe itself, its claims, what they may speak of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from recipelang.kinds.formats import others
from recipelang.source import Diagnostics, Label, Source, Span
from recipelang.source.frozen import frozen
from recipelang.spec.blocks import DataSpec, EvaluateSpec, ExportSpec, MetaSpec, ModelSpec, Spec, StageSpec, TopSpec
from recipelang.spec.compose import Composed
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.harness import HarnessSpec
from recipelang.spec.metrics import METRICS
from recipelang.spec.params import Param
from recipelang.spec.track import TrackSpec
from recipelang.syntax import Parsed, tree as t


@frozen
class Claim:
    """One `require`, `expect` or `prefer`."""

    kind: str
    condition: t.Expr
    text: str
    message: str | None


@frozen
class Recipe:
    """A recipe whose every value is known. `evaluator` answers the names its claims use.

    `source` is its file, or all its files as one row of offsets.
    """

    source: Source
    name: str
    version: str
    doc: str
    meta: MetaSpec
    model: ModelSpec
    data: Mapping[str, DataSpec]
    stages: tuple[StageSpec, ...]
    evaluations: tuple[EvaluateSpec, ...]
    export: ExportSpec
    top: TopSpec
    claims: tuple[Claim, ...]
    requires: tuple[Claim, ...]
    params: tuple[Param, ...]
    evaluator: Evaluator = field(compare=False, repr=False)
    spans: Mapping[str, Span] = field(compare=False, repr=False)
    #: no part of the experiment
    track: TrackSpec | None = None
    harnesses: tuple[HarnessSpec, ...] = ()

    @property
    def seed(self) -> int:
        return self.top.seed

    @property
    def outline(self) -> Outline:
        metrics = {
            e.name: (e.metrics or METRICS.get(self.model.task, ()), e.compare == "dense") for e in self.evaluations
        }
        stages = tuple(s.name for s in self.stages)
        return Outline(self.source, self.claims, stages, metrics, self.evaluator, tuple(others(self.export)))

    def blocks(self) -> Iterator[tuple[str, Spec]]:
        """Every block as it was bound, with its path."""
        yield "model", self.model
        for label, data in self.data.items():
            path = f"data.{label}" if label else "data"
            yield path, data
            yield from ((f"{path}.mix.{m.name}", m) for m in data.mixes)
        for stage in self.stages:
            yield f"stage.{stage.name}", stage
            for prune in stage.prunes:
                yield f"stage.{stage.name}.prune.{prune.name}", prune
            for distill in stage.distills:
                yield f"stage.{stage.name}.distill", distill
            yield from ((f"stage.{stage.name}.freeze.{f.name}", f) for f in stage.freezes)
            yield from ((f"stage.{stage.name}.group.{g.name}", g) for g in stage.groups)
            yield from ((f"stage.{stage.name}.drop.{d.name}", d) for d in stage.drops)
            yield from ((f"stage.{stage.name}.shrink.{s.name}", s) for s in stage.shrinks)
            yield from ((f"stage.{stage.name}.adapter.{a.name}", a) for a in stage.adapters)
        for evaluation in self.evaluations:
            yield f"evaluate.{evaluation.name}", evaluation
        yield from ((f"harness.{h.name}", h) for h in self.harnesses)
        yield "export", self.export
        yield "meta", self.meta
        if self.track is not None:
            yield "track", self.track

    def label(self, path: str, text: str = "") -> Label | None:
        """Where a value was written, for a later phase's findings; the nearest enclosing place otherwise."""
        while path:
            if path in self.spans:
                return Label(self.source, self.spans[path], text)
            path = path.rpartition(".")[0]
        return None


@frozen
class Outline:
    """What the claims of a recipe may speak of, known even where its values are not.

    `metrics`: for each evaluation, by name, what it measures, and whether the dense start is measured too; all of it is
    measured in the exported `formats` too.
    """

    source: Source
    claims: tuple[Claim, ...]
    stages: tuple[str, ...]
    metrics: Mapping[str, tuple[tuple[str, ...], bool]]
    evaluator: Evaluator
    formats: tuple[str, ...] = ()
    harnesses: tuple[str, ...] = ()


@frozen
class Checked:
    """`parsed` is the file that was asked for; `composed` also holds what it builds on.

    `outline` is none where a mistake hides what claims may speak of.
    """

    parsed: Parsed
    recipe: Recipe | None
    diagnostics: Diagnostics
    missing: tuple[str, ...] = ()
    outline: Outline | None = None
    composed: Composed | None = None
    evaluator: Evaluator | None = field(default=None, compare=False, repr=False)

    @property
    def files(self) -> tuple[Source, ...]:
        """The texts that the recipe is made of, each once."""
        whole = self.composed.source if self.composed is not None else self.parsed.source
        return tuple({f.name: f for f in getattr(whole, "files", (whole,))}.values())
