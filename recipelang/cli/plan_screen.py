"""The plan as a person reads it: one screen, nothing that is not in the plan."""

from __future__ import annotations

import itertools

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recipelang.cli.plot import plot
from recipelang.plan.types import Plan, PrunePlan, StagePlan
from recipelang.source.render import clean
from recipelang.spec.check import Recipe


def short(plan: Plan) -> RenderableType:
    """The head of a run: what, how long, to which sparsity."""
    lines = [_title(plan), Text(f"  {_model(plan)}"), Text(f"  {_data(plan)}")]
    for stage in plan.stages:
        lines.append(Text(f"  {clean(stage.name)}: {_stage(stage)}"))
    if plan.rehearsal:
        lines.append(Text(f"  rehearsal: only the first {plan.rehearsal} steps of every stage", style="yellow"))
    lines.append(Text(f"  {len(plan.claims)} claims; peak memory about {_size(plan.peak_memory)}"))
    return Group(*lines, Text(""))


def full(recipe: Recipe, plan: Plan) -> RenderableType:
    """All that `recipelang plan` prints."""
    parts: list[RenderableType] = [_title(plan), Text(""), _facts(recipe, plan)]
    for stage in plan.stages:
        parts += [Text(""), Text(f"stage {clean(stage.name)}", style="bold"), Text(f"  {_stage(stage)}")]
        parts.append(Text(f"  {_training(stage)}", style="dim"))
        for prune in stage.prunes:
            parts += [_targets(plan, prune), Text(f"  {_events(prune)}")]
        for distill in stage.distills:
            outputs = ", ".join(distill.on)
            parts.append(Text(f"  distilled from {clean(distill.teacher_ref)} on {outputs}: {_distill(distill)}"))
        parts += [Text(line, style="cyan") for line in plot(stage)]
    parts += [Text(""), _claims(plan)]
    return Group(*parts)


def _title(plan: Plan) -> Text:
    digest = plan.spec_digest.removeprefix("sha256:")[:8]
    return Text.assemble((clean(plan.name), "bold"), (f"  spec {digest}", "dim"))


def _facts(recipe: Recipe, plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    table.add_row("model", _model(plan))
    table.add_row("data", _data(plan))
    for param in recipe.params:
        from recipelang.spec.show import show

        value = recipe.evaluator._values.get(param.name)
        table.add_row(f"param {param.name}", f"{clean(show(value))}  ({param.origin})")
    before, after = _parameters(plan)
    table.add_row(
        "non-zero", f"{before:,} -> {after:,} parameters ({1 - after / before:.1%} of the model is zero at the end)"
    )
    table.add_row(
        "length", f"{plan.steps:,} optimizer steps in {len(plan.stages)} stage{'s' if len(plan.stages) > 1 else ''}"
    )
    table.add_row("memory", f"about {_size(plan.peak_memory)} at the peak (an upper estimate)")
    return table


def _model(plan: Plan) -> str:
    return f"{clean(plan.model.ref)} ({plan.model.family}, {plan.model.parameters / 1e6:.1f} M parameters, {plan.model.task})"


def _data(plan: Plan) -> str:
    parts = []
    for data in plan.data:
        for name, split in data.splits.items():
            windows = f" in {data.items[name]:,} windows" if data.items[name] != data.examples[name] else ""
            parts.append(f"{name} {data.examples[name]:,}{windows} ({clean(_tail(split.reference))})")
    return "; ".join(parts) + f"; at most {plan.data[0].max_length} tokens"


def _tail(reference: str) -> str:
    return reference if "://" in reference else reference.rsplit("/", 1)[-1]


def _stage(stage: StagePlan) -> str:
    text = f"{stage.steps:,} steps of {stage.batch} ({stage.epochs:g} epochs of {stage.steps_per_epoch:,})"
    for prune in stage.prunes:
        first, last = prune.events[0], prune.events[-1]
        text += f", {prune.method} {first.sparsity:.0%} -> {last.sparsity:.0%} in {len(prune.events)} events"
    return text


def _training(stage: StagePlan) -> str:
    arguments = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in stage.optimizer_args.items())
    clip = f"clip {stage.clip:g}" if stage.clip is not None else "no clipping"
    parts = f", in {stage.accumulation} parts of {stage.micro_batch}" if stage.accumulation > 1 else ""
    return f"{stage.optimizer} ({arguments}), {clip}, {stage.precision}, seed {stage.seed}{parts}"


def _targets(plan: Plan, prune: PrunePlan) -> Table:
    """Targets by kind of tensor, with counts and shares; then what is protected."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for target in prune.targets:
        groups.setdefault((_kind(target.name), target.shape), []).append(target.size)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column(f"  prune {clean(prune.name)} ({prune.scope})")
    for heading in ("tensors", "shape", "weights", "share"):
        table.add_column(heading, justify="right")
    for (kind, shape), sizes in groups.items():
        total = sum(sizes)
        share = total / plan.model.parameters
        table.add_row(f"  {clean(kind)}", str(len(sizes)), " × ".join(map(str, shape)), f"{total:,}", f"{share:.1%}")
    total = sum(t.size for t in prune.targets)
    rest = plan.model.parameters - total
    table.add_row(
        "  all targets", str(len(prune.targets)), "", f"{total:,}", f"{total / plan.model.parameters:.1%}", style="bold"
    )
    table.add_row("  left dense", "", "", f"{rest:,}", f"{rest / plan.model.parameters:.1%}")
    table.add_row("  of these protected by `never`", str(len(prune.never)), "", "", "")
    return table


def _kind(name: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _events(prune: PrunePlan) -> str:
    events = prune.events

    def show(e) -> str:  # type: ignore[no-untyped-def]
        return f"step {e.step:,} {e.sparsity:.2%}"

    jumps = [b.sparsity - a.sparsity for a, b in itertools.pairwise(events)]
    text = f"{len(events)} events: {show(events[0])}"
    if len(events) > 2:
        text += f", {show(events[1])}, … "
    if len(events) > 1:
        text += f" {show(events[-1])}; largest step after the first +{max(jumps):.2%}"
    return text + f"; {sum(events[-1].zeros):,} zeros at the end"


def _distill(distill) -> str:  # type: ignore[no-untyped-def]
    def ends(segments) -> str:  # type: ignore[no-untyped-def]
        first, last = segments[0].start, segments[-1].end
        return f"{first:g}" if first == last else f"{first:g} -> {last:g}"

    return f"hardness {ends(distill.hardness)}, temperature {ends(distill.temperature)}"


def _parameters(plan: Plan) -> tuple[int, int]:
    zeros: dict[str, float] = {}
    for stage in plan.stages:
        for prune in stage.prunes:
            for target in prune.targets:
                zeros[target.name] = prune.events[-1].sparsity * target.size
    total = plan.model.parameters
    return total, total - round(sum(zeros.values()))


def _claims(plan: Plan) -> RenderableType:
    if not plan.claims:
        return Text("no claims: nothing will be checked at the end", style="yellow")
    table = Table.grid(padding=(0, 2))
    for claim in plan.claims:
        table.add_row(claim.kind, clean(claim.text))
    return Group(Text("claims judged at the end", style="bold"), table)


def _size(n: int) -> str:
    return f"{n / 1e9:.1f} GB"
