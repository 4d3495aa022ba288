"""What the plan knows of sizes and speeds that are claimed: counts, bounds of file sizes, and which claims they decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, product

from recipelang.kinds.formats import WEIGHTS, quantized_from
from recipelang.planning.facts import ModelFacts
from recipelang.planning.figure_plan import FigurePlan
from recipelang.planning.formats import size_of
from recipelang.planning.macs import macs
from recipelang.planning.safetensors_header import DTYPES, ITEM_BYTES
from recipelang.source import Diagnostics, Label, RecipeError, at_label, fail
from recipelang.source.frozen import frozen
from recipelang.source.words import plural
from recipelang.spec.claims import Foreseen, Verdict, figures, judge
from recipelang.spec.figures import BASE, Figure
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of

#: of a weight file, besides its weights: a header with the recipe in it, and a line for each tensor
_HEADER, _LINE = 2**18, 256
#: combinations of bounds that a claim is judged by
_MOST = 64


@frozen
class Models:
    """The facts of the model that each stage leaves, by its name; the last is the result. `start`: of the first stage.

    `base`: of the model as it came, before `drop layers`. `said`: of figures of that model what a plan has already, by
    their texts, where the model need not be here.
    """

    start: ModelFacts
    after: Mapping[str, ModelFacts]
    base: ModelFacts
    said: Mapping[str, tuple[int, int] | None]

    def of(self, stage: str) -> ModelFacts:
        return self.after[stage] if stage else [*self.after.values()][-1]


def plan_figures(recipe: Recipe, models: Models, dtype: str, max_shard: int, found: Diagnostics) -> list[FigurePlan]:
    """Every figure that the claims name. E055, E146, E188 for a speed that cannot be measured, W157 for one that
    nothing changes."""
    plans = []
    for figure, span in figures(recipe):
        label = Label(recipe.source, span)
        try:
            with at_label(label):
                _can_be_measured(figure, models, recipe.model.task)
        except RecipeError as error:
            found.extend(error.diagnostics)
            continue
        if figure.name == "speedup" and quantized_from(figure.format) == figure.format:
            _warn_of_same_shapes(figure, models, label, found)
        names = ("name", "format", "of", "over", "batch", "length", "threads", "base")
        planned = _planned(figure, models, dtype, max_shard)
        plans.append(FigurePlan(**{n: getattr(figure, n) for n in names}, planned=planned))
    return plans


def _can_be_measured(figure: Figure, models: Models, task: str) -> None:
    if not figure.length:
        return
    if not task_of(task).labels:
        notes = ["it writes a text word by word, so its time depends on how much it writes"]
        what = f"this release measures no forward pass of a `{task}` model"
        raise fail("E055", what, notes=notes, help="remove this claim")
    most = models.start.max_positions
    if figure.length > most:
        named = figure.of or figure.base  # a path has no `length`
        help = "remove this claim" if named else f"write `length = {most} tokens`, or less"
        raise fail("E188", f"the model reads at most {plural(most, 'token')}, not {figure.length:,}", help=help)
    if figure.over == BASE and not models.start.has_head:
        notes = [f"its files hold no head for {task}, which the result has"]
        help = "compare with a stage that trains it: `over = stage.NAME`"
        raise fail("E146", "the base model is no reference for a speed", notes=notes, help=help)


def _warn_of_same_shapes(figure: Figure, models: Models, label: Label, found: Diagnostics) -> None:
    before = models.start if figure.over == BASE else models.of(figure.over.removeprefix("stage."))
    if {t.name: t.shape for t in before.tensors} == {t.name: t.shape for t in models.of("").tensors}:
        notes = (f"nothing shrinks the model after `{figure.over}`", "zeros make no dense program faster")
        help = "add a stage with `shrink`, or claim a speed over a larger model"
        found.say("W157", "both models of this speedup have the same shapes", label, notes=notes, help=help)


def _planned(figure: Figure, models: Models, dtype: str, max_shard: int) -> tuple[int, int] | None:
    if figure.text in models.said:
        return models.said[figure.text]
    facts = models.base if figure.base else models.of(figure.of)
    match figure.name:
        case "params":
            return facts.parameters, facts.parameters
        case "flops":
            count = macs(facts, figure.batch, figure.length)
            return None if count is None else (2 * count, 2 * count)
        case "size" if figure.base:
            files = size_of(facts.path, WEIGHTS)
            return files, files
        case "size" if figure.format == WEIGHTS:
            weights = facts.parameters * ITEM_BYTES[DTYPES[dtype]]
            shards = 1 + 2 * weights // max_shard
            more = shards * _HEADER + sum(_LINE + len(t.name) for t in facts.tensors)
            return weights, weights + weights // 100 + more
    return None


# ---------------------------------------------------------------------- claims
@frozen
class Claimed:
    """`planned`: of every claim what its left side will be, where the plan decides the claim."""

    figures: tuple[FigurePlan, ...]
    planned: tuple[str, ...]


def foresee(
    recipe: Recipe, plans: Sequence[FigurePlan], facts: ModelFacts, selections: Mapping[str, Sequence[str]]
) -> list[Verdict | None]:
    """Of every claim what it will come to, where all figures that it can have agree; none where only the run knows."""
    sizes = {t.name: t.size for t in facts.tensors}
    known = {p.text: dict.fromkeys(p.planned) for p in plans if p.planned is not None}  # one value, or two
    each = [*islice(product(*known.values()), _MOST + 1)]
    if len(each) > _MOST:
        return [None] * len(recipe.claims)
    tried = [
        judge(recipe, Foreseen(dict(zip(known, values, strict=True)), sizes, selections, {}, {})) for values in each
    ]
    every = zip(*tried, strict=True)
    return [v[0] if v[0].met is not None and len({one.met for one in v}) == 1 else None for v in every]


def judge_foreseen(recipe: Recipe, foreseen: Sequence[Verdict | None], found: Diagnostics) -> None:
    """E155 for an `expect` that the run cannot meet, W156 for such a `prefer`."""
    for claim, verdict in zip(recipe.claims, foreseen, strict=True):
        if verdict is None or verdict.met or verdict.diagnostic is None:
            continue
        said, expects = verdict.diagnostic, claim.kind == "expect"
        help = "change the sizes of the recipe, or the claim" if expects else "change the sizes, or the preference"
        code, message = (
            ("E155", "the run cannot meet this claim") if expects else ("W156", "the run cannot meet this preference")
        )
        found.say(code, message, said.primary, said.secondary, notes=said.notes, help=help)
