"""The plan for a terminal: one screen, and nothing that the plan does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recipelang.kinds.text import show
from recipelang.methods import METHODS
from recipelang.planning.adapter_plan import AdapterPlan
from recipelang.planning.harness_plan import HarnessPlan
from recipelang.planning.sliced import by_block, targets_left, through
from recipelang.planning.types import (
    DistillPlan,
    DropPlan,
    FreezePlan,
    GroupPlan,
    KeptPlan,
    Plan,
    Segment,
    StagePlan,
    TermPlan,
)
from recipelang.report import prune_screen, shrink_screen, training_screen
from recipelang.report.data_screen import data_line, meaning, some, tail
from recipelang.report.plot import plot
from recipelang.source.render import clean
from recipelang.source.words import amount, first_n, plural, size_text
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of
from recipelang.values.quantities import show_fraction

#: the plot does not grow beyond this
_WIDEST = 100


def short(plan: Plan) -> RenderableType:
    """The head of a run: model, data, stages, memory, claims."""
    table = _grid()
    table.add_row("model", _model(plan))
    table.add_row("data", data_line(plan))
    for stage in plan.stages:
        table.add_row(f"stage {clean(stage.name)}", _stage(stage))
    table.add_row("memory", _memory(plan))
    if plan.plugins:
        table.add_row("plug-ins", _plugins(plan))
    table.add_row("claims", f"{len(plan.claims):,}, checked at the end" if plan.claims else "none")
    lines: list[RenderableType] = [_title(plan), Padding(table, (0, 0, 0, 2))]
    if plan.rehearsal:
        lines.append(Text(f"  rehearsal: only {first_n(plan.rehearsal, 'step')} of every stage", style="yellow"))
    return Group(*lines, Text(""))


def full(recipe: Recipe, plan: Plan, width: int) -> RenderableType:
    """All that `recipelang plan` prints, for a terminal of `width` columns."""
    table = _grid()
    table.add_row("model", _model(plan))
    if plan.model.left_out:
        table.add_row(
            "left out",
            f"{plural(len(plan.model.left_out), 'tensor')} of the weight files: {some(plan.model.left_out, 3)}",
        )
    if plan.model.roleless:
        table.add_row("roles", _roleless(plan))
    table.add_row("data", data_line(plan))
    for data in plan.data:
        for name, told in meaning(plan, data):
            table.add_row(name, told)
    if plan.plugins:
        table.add_row("plug-ins", _plugins(plan))
    if recipe.params:
        table.add_row("params", _params(recipe))
    table.add_row("result", _result(plan))
    stages = plural(len(plan.stages), "stage")
    shots = sum(s.mode == "one_shot" for s in plan.stages)
    once = f", {shots} of them one-shot" if 0 < shots < len(plan.stages) else ", one-shot" if shots else ""
    steps = plural(plan.steps, "optimizer step") if plan.steps else "no optimizer steps"
    table.add_row("length", f"{steps} in {stages}{once}")
    for harness in plan.harnesses:
        table.add_row(f"harness {clean(harness.name)}", _harness(harness))
    table.add_row("memory", _memory(plan))
    parts: list[RenderableType] = [_title(plan), Padding(table, (0, 0, 0, 2))]
    for stage in plan.stages:
        parts += [Text(""), _stage_block(plan, stage)]
    if plan.steps:
        parts += [Text(""), *plot(plan, min(width, _WIDEST))]
    parts += [Text(""), _claims(plan)]
    return Group(*parts)


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _title(plan: Plan) -> Text:
    digest = plan.spec_digest.removeprefix("sha256:")[:8]
    return Text.assemble((clean(plan.name), "bold"), (f"  spec {digest}", "dim"))


def _model(plan: Plan) -> str:
    m = plan.model
    size = f"{amount(m.parameters)} parameters"
    size += f" in {m.dtype}" if m.dtype != "fp32" else ""
    if m.drop is not None:
        of = m.drop.layers + (m.drop.decoder.layers if m.drop.decoder else 0)
        size += f" in {sum(map(len, m.drop.kept.values()))} of {plural(of, 'layer')}"
    head = ", new head" if m.fresh_head else ""
    pooling = f", {_POOLINGS[m.pooling]}" if m.pooling else ""
    classes = _classes(m.labels) if task_of(m.task).classes else ""
    attention = f", attention by {m.attention}" if m.attention else ""
    return f"{clean(tail(m.ref))} ({m.family}, {size}), {m.task.replace('_', ' ')}{classes}{head}{pooling}{attention}"


_POOLINGS = {"mean": "embeddings are the mean of all tokens", "cls": "embeddings are the first token"}


def _roleless(plan: Plan) -> str:
    """What a user of `@linear` or `@attention` should know: matrices that no word tells apart."""
    told = {
        "linear": lambda n: f"{plural(n, 'matrix')} of `@linear` {'is' if n == 1 else 'are'} neither attention nor ffn",
        "none": lambda n: f"`@linear` does not select {plural(n, 'matrix')}",
        "unprunable": lambda n: f"{plural(n, 'weight')} of more than two dimensions cannot be pruned",
    }
    return "; ".join(f"{told[r.what](r.tensors)}, such as {clean(r.example[:80])}" for r in plan.model.roleless)


def _classes(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    return f" with {plural(len(labels), 'class')} ({some(labels, 5)})"


def _params(recipe: Recipe) -> Text:
    """Every parameter; those set by `-p` stand out."""
    text = Text()
    for param in recipe.params:
        text.append(", " if text else "")
        given = param.origin.startswith("-p")
        value = clean(show(recipe.evaluator.definition_value(param.name)))
        text.append(f"{param.name} = {value}" + (" (-p)" if given else ""), "bold" if given else "")
    return text


def _result(plan: Plan) -> str:
    targets = targets_left(plan.stages)
    total = plan.parameters()
    shrunk = f"{plan.model.parameters:,} -> {total:,} parameters" if total < plan.model.parameters else ""
    if not targets:
        return shrunk or "nothing is pruned"
    return "; ".join(filter(None, (shrunk, _sparsity(plan, targets, total))))


def _sparsity(plan: Plan, targets: Mapping[str, int], total: int) -> str:
    final = _final_zeros(plan)
    zeros = round(sum(n for n in final.values() if n is not None))
    held = sum(targets[name] for name, n in final.items() if n is None)
    last = {t.name: p.at_least for s in plan.stages for p in s.prunes for t in p.targets}
    least = any(last[name] for name in targets)  # masks that were cut may have more than an event asks for
    if held:
        known = f"{'at least ' * least}{zeros:,} zeros planned; " if zeros else ""
        whose = "that shrinking leaves them" if any(x.masks for s in plan.stages for x in s.shrinks) else ""
        return f"{known}{held:,} weights keep the zeros {whose or 'of the loaded model'}, which are counted in the run"
    return (
        f"{total:,} -> {'at most ' * least}{total - zeros:,} non-zero parameters; sparsity {'at least ' * least}"
        f"{zeros / sum(targets.values()):.1%} of the targets, {zeros / total:.1%} of the model"
    )


def _final_zeros(plan: Plan) -> dict[str, float | None]:
    """Zeros of every target at the end, as its last block leaves it; none where only the run can tell."""
    zeros: dict[str, float | None] = {}
    for stage in plan.stages:
        for shrink in stage.shrinks:
            zeros = {**through(shrink, zeros)}
        for prune in stage.prunes:
            if METHODS[prune.method].masks == "releases":
                zeros |= dict.fromkeys((t.name for t in prune.targets), 0.0)
            if METHODS[prune.method].masks == "keeps":
                kept = prune.held or [zeros.get(t.name) for t in prune.targets]
                zeros |= {t.name: n for t, n in zip(prune.targets, kept, strict=True)}
            if not prune.events:
                continue
            last = prune.events[-1]
            if len(last.zeros) == len(prune.targets):
                zeros |= {t.name: n for t, n in zip(prune.targets, last.zeros, strict=True)}
            else:  # one total; how it falls on the tensors is known only afterwards
                size = sum(t.size for t in prune.targets)
                zeros |= {t.name: last.zeros[0] * t.size / size for t in prune.targets}
    return zeros


def _plugins(plan: Plan) -> str:
    names = (f"{clean(name)} {clean(version)}" for name, version in plan.plugins.items())
    return f"code from {' and '.join(names)} will act"


def _memory(plan: Plan) -> str:
    text = f"about {size_text(plan.peak_memory)} at peak (estimate)"
    if plan.offloaded_memory:
        text += f", {size_text(plan.offloaded_memory)} with `run --offload`"
    return text


def _stage_block(plan: Plan, stage: StagePlan) -> RenderableType:
    parts: list[RenderableType] = [Text.assemble((f"stage {clean(stage.name)}", "bold"), f"  {_steps(stage)}")]
    table = _grid()
    if stage.mode == "one_shot":
        table.add_row("calibrate", _calibration(stage))
    else:
        table.add_row("train", f"{_training(stage)}; learning rate {_ends(stage.learning_rate)}")
    for name, text in training_screen.rows(plan, stage):
        table.add_row(name, text)
    if stage.index == 0 and plan.model.drop is not None:
        table.add_row("drop layers", _drop(plan.model.drop, plan.model.parameters))
    for rounds in by_block(stage):
        table.add_row(f"shrink {clean(rounds[0].name)}", shrink_screen.block(rounds))
    for group in stage.groups:
        table.add_row(f"group {' & '.join(map(clean, group.names))}", _group(group))
    for freeze in stage.freezes:
        table.add_row(f"freeze {clean(freeze.name)}", _freeze(freeze, plan.parameters(stage.name)))
    for adapter in stage.adapters:
        table.add_row(f"adapter {clean(adapter.name)}", _adapter(adapter, plan.parameters(stage.name)))
    for distill in stage.distills:
        table.add_row("distill", _distill(distill))
    for prune in stage.prunes:
        table.add_row(
            f"prune {clean(prune.name)}", prune_screen.events(prune) if stage.steps else prune_screen.at_once(prune)
        )
        if cost := METHODS[prune.method].cost_of:
            table.add_row("", cost(prune.args, prune.passes, size_text(prune.scoring)))
    parts.append(Padding(table, (0, 0, 0, 2)))
    parts += [
        Padding(shrink_screen.shapes(r), (0, 0, 0, 2)) for r in by_block(stage) if any(shrink.reshapes for shrink in r)
    ]
    parts += [Padding(prune_screen.targets(prune, plan.parameters(stage.name)), (0, 0, 0, 2)) for prune in stage.prunes]
    return Group(*parts)


def _calibration(stage: StagePlan) -> str:
    read = stage.calibration
    if read is None:
        return "no data: only the weights are scored"
    text = f"{plural(read.samples, 'sample')} of at most {plural(read.length, 'token')}, {stage.micro_batch} at a time"
    if not read.layers and not any(METHODS[p.method].looks_at != "weights" for p in stage.prunes):
        return text
    if not read.layers:
        return f"gradients of {plural(read.samples, 'sample')}"
    held = f"statistics of a layer {size_text(read.statistics)}, states between layers {size_text(read.states)}"
    orders = dict.fromkeys(p.order for p in stage.prunes if METHODS[p.method].looks_at == "inputs")
    order = " and ".join(f"{o}" for o in orders)
    return f"{text}; {plural(read.layers, 'layer')}, {order}; {held}"


def _steps(stage: StagePlan) -> str:
    if stage.mode == "one_shot":
        return "one-shot, no gradient steps"
    if not stage.epochs:
        return f"{plural(stage.steps, 'step')}, batch {stage.batch} (of a stream)"
    epochs = f"{stage.epochs:.2f}".rstrip("0").rstrip(".")
    of = plural(stage.steps_per_epoch, "step")
    return f"{plural(stage.steps, 'step')}, batch {stage.batch} ({epochs} {'epoch' if epochs == '1' else 'epochs'} of {of})"


def _stage(stage: StagePlan) -> str:
    text = _steps(stage)
    for prune in stage.prunes:
        if not prune.events:
            text += f", {prune.method}"
            continue
        first, last = prune.events[0], prune.events[-1]
        if stage.mode == "one_shot":
            text += f", {prune.method} {_share(last.sparsity)}"
            continue
        events = plural(len(prune.events), "event")
        text += f", {prune.method} {_share(first.sparsity)} -> {_share(last.sparsity)} in {events}"
    return text


def _share(sparsity: float) -> str:
    """`90%`, `97.5%`, `99.99%`: rounded to the hundredth of a percent, never up to what is not there."""
    return f"{100 * sparsity:.2f}".rstrip("0").rstrip(".") + "%"


def _training(stage: StagePlan) -> str:
    given = {k: v for k, v in stage.optimizer_args.items() if k == "momentum" or (k == "weight_decay" and v)}
    arguments = "".join(f", {k.replace('_', ' ')} {v:g}" for k, v in given.items())
    arguments += " (except norms and biases)" if stage.undecayed else ""
    clip = f"clip {stage.clip:g}" if stage.clip is not None else "no clipping"
    parts = f", {stage.accumulation} micro-batches of {stage.micro_batch}" if stage.accumulation > 1 else ""
    compiled = (", compiled" if stage.compile else "") + (
        ", activations recomputed" if stage.activation_checkpointing else ""
    )
    clock = f", steps and ties as in {stage.compat}" if stage.compat else ""
    return f"{stage.optimizer}{arguments}, {clip}, {stage.precision}{compiled}, seed {stage.seed}{parts}{clock}"


def _drop(drop: DropPlan, left: int) -> str:
    each = [_kept(drop, "encoder " if drop.decoder else "")]
    each += [_kept(drop.decoder, "decoder ")] if drop.decoder else []
    return f"{', '.join(each)} (numbered from 0); {drop.parameters:,} -> {left:,} parameters"


def _kept(of: KeptPlan, stack: str) -> str:
    """Runs of layers as ranges."""
    return f"{stack}{'layer' if len(of.keep) == 1 else 'layers'} {shrink_screen.runs(of.keep)} of {of.layers} kept"


def _group(group: GroupPlan) -> str:
    own = [] if group.learning_rate is None else [f"learning rate {_ends(group.learning_rate)}"]
    own += [] if group.weight_decay is None else [f"weight decay {group.weight_decay:g}"]
    return f"{_many(group.targets, group.weights)}: {', '.join(own)}"


def _freeze(freeze: FreezePlan, all: int) -> str:
    share = f"{freeze.weights / all:.1%} of the model"
    until = "for the whole stage" if freeze.until is None else f"until step {freeze.until:,}"
    return f"{_many(freeze.targets, freeze.weights)}, {share}: frozen {until}"


def _harness(harness: HarnessPlan) -> str:
    most = f", at most {harness.samples:,} examples" if harness.samples else ""
    few_shot = "" if harness.few_shot is None else f", {harness.few_shot}-shot"
    return f"{clean(harness.task)} by lm-eval, at the end: {', '.join(harness.metrics)}{few_shot}{most}"


def _adapter(adapter: AdapterPlan, all: int) -> str:
    also = f", and {plural(len(adapter.also), 'tensor')} themselves" if adapter.also else ""
    share = f"{adapter.trained:,} weights, {adapter.trained / all:.2%} of the model"
    what = f"{adapter.method} of rank {adapter.rank:,}, alpha {adapter.alpha:g}"
    return f"{what}, beside {plural(len(adapter.targets), 'tensor')}: trains {share}{also}"


def _many(targets: Sequence[str], weights: int) -> str:
    return f"{plural(len(targets), 'tensor')} with {plural(weights, 'weight')}"


def _number(value: float) -> str:
    return show_fraction(Fraction(repr(value)))


def _percent(value: float) -> str:
    return f"{value * 100:g}%"


def _ends(segments: Sequence[Segment], number: Callable[[float], str] = _number) -> str:
    """`8e-5 -> 8e-6, 15 cycles`: the values at both ends, and how often a rewound shape restarts."""
    first, last = segments[0].start, segments[-1].end
    text = number(first) if first == last and len(segments) == 1 else f"{number(first)} -> {number(last)}"
    times = max(len(s.cycles) for s in segments)
    exactly = any(s.ends == "last" and s.start != s.end and s.whole is None for s in segments)
    return text + (f", {times} cycles" if times > 1 else "") + (", reached on the last step" if exactly else "")


def _distill(distill: DistillPlan) -> str:
    values = f"hardness {_ends(distill.hardness, _percent)}, temperature {_ends(distill.temperature)}"
    if distill.pooling and any(t.kind == "output" for t in distill.terms):
        values += " (no effect: embeddings are compared by cosine)"
    cached = f", cached in {distill.cache}" if distill.cache else ""
    return f"from {clean(tail(distill.teacher_ref))} on {', '.join(map(_term, distill.terms))}; {values}{cached}"


def _term(term: TermPlan) -> str:
    """`hidden (1 -> 3, 2 -> 6; weight 0.1)`; what is usual is left out."""
    parts = [", ".join(f"{student} -> {teacher}" for student, teacher in term.layers)]
    if term.kind == "number":
        parts.append("squared difference")
    if term.widths:
        parts.append(f"projected {term.widths[0]:,} -> {term.widths[1]:,}")
    if any((s.start, s.end) != (1, 1) for s in term.weight):
        parts.append(f"weight {_ends(term.weight)}")
    inside = "; ".join(filter(None, parts))
    return (term.output or term.kind) + (f" ({inside})" if inside else "")


def _claims(plan: Plan) -> RenderableType:
    if not plan.claims:
        return Text("no claims: no result will be checked at the end", style="yellow")
    table = _grid()
    table.add_column(style="dim", no_wrap=True)
    for claim in plan.claims:
        table.add_row(claim.kind, clean(claim.text), f"known now: {claim.planned}" if claim.planned else "")
    return Group(Text("claims, checked at the end", style="bold"), Padding(table, (0, 0, 0, 2)))
