"""What `shrink` blocks do on the screen of a plan: sizes, rounds, a budget, and every new shape."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from recipelang.kinds.sizes import RANKINGS
from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.sliced import left, told_of_all
from recipelang.report.prune_screen import kind
from recipelang.source.render import clean
from recipelang.source.words import plural


def block(rounds: Sequence[ShrinkPlan]) -> str:
    """What becomes smaller, by what it is ranked, what is left after each round, and that it loads."""
    first, last = rounds[0], rounds[-1]
    axes = {s.axis for r in rounds for s in r.sizes}
    ranked = [f"units {RANKINGS[first.by].told}"] if axes - {"experts", "layers"} else []
    if "experts" in axes:
        groups = f", as many in each of {first.routing} groups" if first.routing > 1 else ""
        ranked.append(f"experts {RANKINGS[first.by].of_experts}{groups}")
    if "layers" in axes:
        keep = next(r.keep for r in rounds if r.to("layers"))
        kept = f" ({'layer' if len(keep) == 1 else 'layers'} {runs(keep)} kept)" if keep else ""
        ranked.append(f"layers by how much they change their input{kept}")
    before, after = first.parameters[0], last.parameters[1]
    settings = ", ".join(f"{k} = {_setting(v)}" for k, v in {k: v for r in rounds for k, v in r.config.items()}.items())
    cut = plural(max(r.masks for r in rounds), "matrix")
    lines = [
        f"{told_of_all(rounds)}; {'; '.join(ranked)}",
        *map(_round, rounds if first.step is not None else ()),
        f"{before:,} -> {after:,} parameters ({after / before:.1%}); `from_pretrained` loads the result",
        f"config.json: {clean(settings)}",
        *(
            [f"masks of {cut} are cut with their weights; the run counts the zeros that stay"]
            * any(r.masks for r in rounds)
        ),
    ]
    if last.budget is not None:
        lines.insert(0, _budget(last.budget, rounds))
    return "\n".join(lines)


def _budget(budget: BudgetPlan, rounds: Sequence[ShrinkPlan]) -> str:
    """The budget, the sizes that it chose, and what came out."""
    before, after = rounds[0].parameters[0], rounds[-1].parameters[1]
    smaller = {s.axis for r in rounds for s in r.sizes}
    sizes = ", ".join(f"{axis} {to:,}{'' if axis in smaller else ' (all)'}" for axis, to in budget.chosen.items())
    if (speed := budget.speed) is not None:
        where = "" if speed.runtime == "torch" else f" in {speed.runtime}"
        on = f"from latencies measured on {clean(speed.machine)}"
        return f"budget: {speed.asked:g} times as fast{where}; chosen {sizes}; predicted {speed.predicted:.2f}x {on}"
    if budget.share is None:
        return f"budget: at most {budget.most:,} of {before:,} parameters; chosen {sizes}; reached {after:,}"
    share = f"{100 * budget.share:.4g}% ({budget.most:,} of {before:,})"
    return f"budget: at most {share} parameters; chosen {sizes}; reached {after / before:.1%}"


def _round(plan: ShrinkPlan) -> str:
    before, after = plan.parameters
    return f"before step {plan.step:,}: {plan.told}; {after:,} parameters left (-{1 - after / before:.1%})"


def _setting(value: object) -> str:
    return f"[{len(value)} entries]" if isinstance(value, tuple) else str(value)


def shapes(rounds: Sequence[ShrinkPlan]) -> Table:
    """Old and new shapes; parameters of the same name and shapes in several layers share a line."""
    each: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    for shrink in rounds:
        for reshape in shrink.reshapes:
            each[reshape.name] = each.get(reshape.name, (reshape.shape,))[0], shrink.shape_of(reshape)
        if len(rounds) > 1:  # of what is left later rounds tell the rest
            each = {n: each[n] for n in left(shrink, each)}
    rows: dict[tuple[str, tuple[int, ...], tuple[int, ...]], int] = {}
    for name, both in each.items():
        key = kind(name), *both
        rows[key] = rows.get(key, 0) + 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("smaller", overflow="fold")
    for heading in ("tensors", "shape", "after"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (named, before, after), count in rows.items():
        table.add_row(clean(named), f"{count:,}", _shape(before), _shape(after))
    return table


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{n:,}" for n in shape)


def runs(keep: tuple[int, ...]) -> str:
    ends = [i for i in range(len(keep)) if i + 1 == len(keep) or keep[i + 1] > keep[i] + 1]
    starts = [0, *(i + 1 for i in ends[:-1])]
    return ", ".join(f"{keep[i]}..{keep[j]}" if j > i else f"{keep[i]}" for i, j in zip(starts, ends, strict=True))
