"""`prune`: new masks at the planned events, and zeros that stay zero in between."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.methods import METHODS
from recipelang.methods.declaration import Method
from recipelang.modifiers.matrices import finite, live_of, put, weights_of
from recipelang.modifiers.modifier import Modifier, State, misshapen
from recipelang.modifiers.rebuilding import rebuild
from recipelang.modifiers.sharing import shared
from recipelang.planning.prune_plan import PruneEvent, PrunePlan
from recipelang.pruning import patterns, streamed
from recipelang.pruning.free_memory import trim
from recipelang.pruning.inputs import Gathered
from recipelang.pruning.matrix_names import expert_of, names_of, parameter_of
from recipelang.pruning.scores import Score, Select
from recipelang.pruning.selection import Scores, counts
from recipelang.pruning.shards import is_shard, local, rows, sums
from recipelang.source import fail

#: tokens from which on a sum of squares is that of an input, to about an eighth
ENOUGH = 32
#: weights of a matrix after which it is worth while to ask the allocator for what it keeps
_LARGE = 2**20


def pieces(plan: PrunePlan) -> list[str]:
    """The matrices of all targets: of a stack of experts one each."""
    return [n for t in plan.targets for n in names_of(t.name, t.shape)]


def make(method: str, args: Mapping[str, object], names: Sequence[str], seed: int) -> Score:
    """The score of a method; arguments left out have their defaults. The code of the method is loaded here."""
    declared = METHODS[method]
    score: Score = code_of(declared)(names, seed, **declared.typed(args))
    return score


def code_of(method: Method) -> Any:
    """The class of a method. E205 for a plug-in's that cannot be loaded, or that ranks nothing."""
    code = method.load()
    if not method.distribution:
        return code
    ranks = "fit" if method.looks_at == "inputs" else "scores"
    is_score = isinstance(code, type) and issubclass(code, Score)
    if not is_score or getattr(code, ranks) is getattr(Score, ranks):
        why = f"has no `{ranks}` of its own" if is_score else "is not a subclass of `recipelang.pruning.scores.Score`"
        help = f"install another version of `{method.distribution}`, and tell its authors"
        notes = [f"`{method.implementation}` {why}"]
        raise fail("E205", f"the code of `{method.name}` cannot be loaded", notes=notes, help=help)
    return code


def fits_shards(plan: PrunePlan, parameters: Mapping[str, nn.Parameter]) -> None:
    """Whether a block can be done where processes hold the weights in shards. E055 where not."""
    if not METHODS[plan.method].shards:
        help = "give every process a full copy: remove `--shard`"
        if METHODS[plan.method].looks_at == "inputs":
            help += "; or start one process with `--offload`, which has one layer at a time in memory"
        raise fail("E055", f"this release does not support `{plan.method}` on sharded weights", help=help)
    if stack := next((t.name for t in plan.targets if len(t.shape) > 2), None):
        help = "give every process a full copy: remove `--shard`"
        raise fail("E055", f"this release does not support sharded experts, such as `{stack}`", help=help)
    height = plan.pattern_size[0] if plan.pattern == "block" else 1
    for name in (t.name for t in plan.targets):
        each = rows(parameters[name])
        if each.start % height or (each.stop - each.start) % height:
            help = "use fewer processes, or blocks of one row"
            notes = [f"a process holds rows {each.start} to {each.stop - 1}"]
            raise fail("E055", f"a block of `{name}` spans two shards", notes=notes, help=help)


class Prune(Modifier):
    """Obeys the counts of the plan exactly, whatever the ties."""

    def __init__(self, plan: PrunePlan, score: Score, seed: int) -> None:
        self.plan = plan
        self.score = score
        self.observes = METHODS[plan.method].looks_at == "steps"
        self.seed = seed
        self.name = f"prune/{plan.name}"
        self.events = {e.step: e for e in plan.events}
        self.names = [t.name for t in plan.targets]
        self.pieces = pieces(plan)

    def on_step_start(self, state: State) -> None:
        if event := self.events.get(state.step):
            self._prune(event, state)

    def on_gradients(self, state: State) -> None:
        if not self.observes or state.skipped or state.step >= self.plan.events[-1].step:
            return  # after the last event nothing is ranked any more
        weights = weights_of(self.names, state)
        self.score.broken = state.broken
        if state.broken is not None and not self.score.heeds:
            for gradient in (w.grad for w in weights if w.grad is not None):
                local(gradient).masked_fill_(state.broken, 0.0)
        self.score.observe(weights)

    def on_end(self, state: State) -> None:
        if event := self.events.get(state.steps):
            self._prune(event, state)

    def _prune(self, event: PruneEvent, state: State) -> None:
        if state.present is not None:
            return self._from_disk(event, state)
        weights = weights_of(self.names, state)
        finite(self.pieces, weights)
        before, after = self._masked(weights, state), self._each(event.zeros)
        if self.plan.at_least:
            after = [max(have, wanted) for have, wanted in zip(before, after, strict=True)]
        self._only_rises(before, after)
        self._groups_only_rise(weights, self._live(weights, state), after)
        if self.score.gathers is not None:
            return self._layer_by_layer(after, self.score.gathers, state)
        if self.score.rounds == 1:
            return self._round(after, weights, state)
        for zeros in towards(before, after, self.score.rounds):
            self._round(zeros, weights, state)

    def _each(self, numbers: Sequence[int]) -> list[int]:
        """Of each matrix, from those of each target: what is left over goes to the first experts of a stack."""
        if self.plan.together or len(self.pieces) == len(self.names):
            return list(numbers)
        found: list[int] = []
        for target, number in zip(self.plan.targets, numbers, strict=True):
            many = len(names_of(target.name, target.shape))
            unit = target.shape[-2] if self.plan.scope == "row" else 1
            if self.plan.pattern == "block":
                unit = self.plan.pattern_size[0] * self.plan.pattern_size[1]
            least, more = divmod(number // unit, many)
            found += [unit * (least + (i < more)) for i in range(many)]
        return found

    def _from_disk(self, event: PruneEvent, state: State) -> None:
        """One tensor or layer after the other gives the same masks."""
        assert state.present is not None
        if self.score.gathers is not None:
            return self._layer_by_layer(self._each(event.zeros), self.score.gathers, state)
        if self.plan.scope == "global":
            return self._over_all(event, state)
        for at, zeros in enumerate(event.zeros):
            own = self._alone(at, replace(event, zeros=(zeros,)))
            with state.present(own.names, kept=own.names):
                own._prune(own.plan.events[0], replace(state, present=None))
                state.masks.settle()

    def _alone(self, at: int, event: PruneEvent) -> Prune:
        """The same of one target only."""
        plan = self.plan.model_copy(update={"targets": (self.plan.targets[at],), "events": (event,)})
        return Prune(plan, make(plan.method, plan.args, pieces(plan), self.seed), self.seed)

    def _over_all(self, event: PruneEvent, state: State) -> None:
        """All targets are ranked together, and one at a time is in memory."""
        present = state.present
        assert present is not None
        each = [self._alone(at, event) for at in range(len(self.plan.targets))]
        area = self.plan.pattern_size[0] * self.plan.pattern_size[1] if self.plan.pattern == "block" else 1

        def ranked() -> Iterator[tuple[Tensor, Tensor]]:
            for own in each:
                with present(own.names):
                    weights = weights_of(own.names, state)
                    finite(own.pieces, weights)
                    live = own._live(weights, state)
                    own._groups_only_rise(weights, live, event.zeros)
                    for score, mask in zip(*own._scored(weights, live, state), strict=True):
                        yield score(), mask.view(-1)
                    state.masks.settle()

        before: list[int] = []
        for share in range(self.score.rounds):

            def wanted(masked: int, share: int = share) -> int:
                before[:] = before or [masked * area]
                self._only_rises(before, event.zeros)
                return towards(before, event.zeros, self.score.rounds)[share][0] // area

            found = streamed.cut(ranked, wanted)
            for own in each:
                with present(own.names, kept=own.names), torch.no_grad():
                    weights = weights_of(own.names, state)
                    live = own._live(weights, state)
                    pairs = zip(*own._scored(weights, live, state), strict=True)
                    kept = [found.keep(score(), mask.view(-1)).view(mask.shape) for score, mask in pairs]
                    if area > 1:
                        kept = [patterns.expand(k, *self.plan.pattern_size) for k in kept]
                    own.score.compensate(weights, kept)
                    own._put(weights, kept, state)
                    state.masks.settle()

    def _layer_by_layer(self, zeros: Sequence[int], gathers: type[Gathered], state: State) -> None:
        """Every target as its layer is reached."""
        if self.plan.scope == "owl":
            zeros = shared(self.plan, self.pieces, zeros[0], state)
        wanted = dict(zip(self.pieces, zeros, strict=True))
        again = () if self.plan.reconstruct is None else (partial(rebuild, self.plan, state),)
        for inputs in state.layers(self.pieces, gathers, self.plan.order, *again):
            self._fit(inputs, wanted, state)
        state.masks.clear_moments(state.optimizer)

    def _fit(self, inputs: dict[str, Gathered], wanted: Mapping[str, int], state: State) -> None:
        """The targets of one layer; `inputs` is emptied, and nothing of the layer is left in memory by this."""
        select = Select(self.plan.pattern, self.plan.pattern_size, self.plan.inner)
        weights = weights_of(list(dict.fromkeys(parameter_of(n)[0] for n in inputs)), state)
        if state.present is not None:
            finite(list(inputs), weights)
        known, keeps = dict(zip(inputs, weights, strict=True)), {}
        for name, weight in known.items():
            gathered = inputs.pop(name)  # so that it is gone when the last matrix that reads the same is done
            live = live_of(name, weight, state)
            if state.present is not None or self.plan.scope == "owl":  # only here are both in memory, and known
                self._only_rises([live.numel() - counts([live])[0]], [wanted[name]])
                self._groups_only_rise([weight], [live], [wanted[name]])
            least = weight.shape[-1] if METHODS[self.plan.method].memory.pair else ENOUGH
            if (expert := expert_of(name)) and gathered.tokens < least:
                state.few_tokens[expert] = gathered.tokens
            with torch.no_grad():
                keeps[name] = self.score.fit(weight, gathered, wanted[name], live, select)
            del gathered, live
            if weight.numel() >= _LARGE:
                trim()
        put(weights, list(keeps), list(keeps.values()), state)
        if state.present is not None and self.plan.reconstruct is None:
            state.masks.settle()

    def _scored(
        self, weights: Sequence[nn.Parameter], live: Sequence[Tensor], state: State
    ) -> tuple[Sequence[Scores], Sequence[Tensor]]:
        """Scores and masks of what is ranked: weights, or blocks of them."""
        self.score.prepare(weights, state.gradients)
        with torch.no_grad():
            if self.plan.pattern != "block":
                return self.score.scores(weights), live
            tiles = self.score.tiles(weights, self.plan.pattern_size)
            scores = self.score.scores(weights) if tiles is None else tiles
            return patterns.in_tiles(self.plan.pattern_size, scores, live, tiled=tiles is not None)

    def _round(self, zeros: Sequence[int], weights: Sequence[nn.Parameter], state: State) -> None:
        self.score.prepare(weights, state.gradients)
        with torch.no_grad():
            tiles = self.score.tiles(weights, self.plan.pattern_size) if self.plan.pattern == "block" else None
            scores = self.score.scores(weights) if tiles is None else tiles
            heights = [len(w) for w in weights] if is_shard(weights[0]) else None
            keeps = self._choose(scores, zeros, self._live(weights, state), heights, tiled=tiles is not None)
            self.score.compensate(weights, keeps)
            self._put(weights, keeps, state)

    def _choose(
        self,
        scores: Sequence[Scores],
        zeros: Sequence[int],
        live: Sequence[Tensor],
        heights: Sequence[int] | None = None,
        *,
        tiled: bool = False,
    ) -> list[Tensor]:
        """The masks in force become these."""
        how = self.plan
        return patterns.choose(
            how.pattern,
            how.pattern_size,
            how.scope,
            scores,
            zeros,
            live,
            seed=self.seed,
            ties=how.ties,
            tiled=tiled,
            heights=heights,
        )

    def _put(self, weights: Sequence[nn.Parameter], keeps: Sequence[Tensor], state: State) -> None:
        put(weights, self.pieces, keeps, state)
        state.masks.clear_moments(state.optimizer)

    def _masked(self, weights: Sequence[nn.Parameter], state: State) -> list[int]:
        """Zeros in force, of each ranking set."""
        live = self._live(weights, state)
        dead = sums((m.numel() - n for m, n in zip(live, counts(live), strict=True)), weights)
        return [sum(dead)] if self.plan.together else dead

    def _only_rises(self, before: Sequence[int], after: Sequence[int]) -> None:
        """What `hold` kept is known only now: an event below it would revive weights."""
        for have, wanted in zip(before, after, strict=True):
            if wanted < have:
                raise fail(
                    "E064",
                    f"an event of `{self.plan.name}` requires fewer zeros than are held",
                    notes=[f"{have:,} weights are masked already, {wanted:,} zeros are required"],
                    help="start the schedule at the model's initial sparsity",
                )

    def _groups_only_rise(self, weights: Sequence[nn.Parameter], live: Sequence[Tensor], after: Sequence[int]) -> None:
        """Rows and groups of a pattern are ranked each by itself: one that holds more zeros than it is to have, or a
        part of a block, would get some back."""
        how = self.plan
        if how.pattern == "unstructured" and how.inner != "row":
            return
        wanted = after if len(after) == len(live) else [sum(after)] * len(live)
        bad = any(n and _would_revive(how, ~mask, n, len(w)) for w, mask, n in zip(weights, live, wanted, strict=True))
        if processes.most(bad)[0]:
            what = "row" if how.pattern == "unstructured" else "group"
            raise fail(
                "E064",
                f"a {what} has more zeros than an event of `{how.name}` requires",
                notes=[f"the number of held zeros differs from {what} to {what}"],
                help="start at the highest of these sparsities, use `scope = uniform`, or release the zeros in an earlier stage",
            )

    def _live(self, weights: Sequence[nn.Parameter], state: State) -> list[Tensor]:
        return [live_of(n, w, state) for n, w in zip(self.pieces, weights, strict=True)]

    def state(self) -> dict[str, Tensor]:
        return self.score.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.score.load(state)

    def misfit(
        self, state: Mapping[str, Tensor], step: int, trained: Collection[str], moments: Collection[str]
    ) -> str | None:
        first, last = self.plan.events[0].step, self.plan.events[-1].step
        wanted, possible = self.score.remembered(first < step, self.observes and min(step, last) > 0)
        wanted = {*wanted, *(set(possible) & set(trained))}
        if odd := sorted((wanted - state.keys()) | (state.keys() - wanted - set(possible))):
            return f"`{odd[0]}` {'is missing' if odd[0] in wanted else 'does not belong there'}"
        shapes = {n: t.shape[-2:] for t in self.plan.targets for n in names_of(t.name, t.shape)}
        each = ((key, *key.partition("/")[::2]) for key in state)
        whys = (misshapen(k, state[k], () if what == "step" else shapes[n], torch.float32) for k, n, what in each)
        return next(filter(None, whys), None)


def _would_revive(how: PrunePlan, dead: Tensor, zeros: int, height: int) -> bool:
    """`dead`: of this process's rows; `height`: of the whole tensor."""
    first, second = how.pattern_size
    match how.pattern:
        case "N:M":
            return bool((dead.reshape(len(dead), -1, second).sum(-1) > second - first).any())
        case "block":
            tiles = dead.reshape(len(dead) // first, first, -1, second)
            return bool((tiles.any(3).any(1) & ~tiles.all(3).all(1)).any())
    least, more = divmod(zeros, height)
    over = dead.sum(1) - least
    return bool((over > 1).any()) or int((over > 0).count_nonzero()) > more


def towards(before: Sequence[int], after: Sequence[int], rounds: int) -> list[list[int]]:
    """Zeros of each ranking set after every round, in equal parts; the last has `after` exactly.

    >>> towards([2, 0], [10, 3], 3)
    [[4, 1], [7, 2], [10, 3]]
    """
    return [[b + (a - b) * i // rounds for b, a in zip(before, after, strict=True)] for i in range(1, rounds + 1)]


class Regrow(Prune):
    """Masks move, and their counts are the planned ones.

    A masked weight is 0, and so are its moments: one that grows needs nothing but its mask.
    """

    def _prune(self, event: PruneEvent, state: State) -> None:
        weights = weights_of(self.names, state)
        finite(self.pieces, weights)
        live = self._live(weights, state)
        first = event is self.plan.events[0]
        drawn = [first and bool(mask.all()) for mask in live]
        grown = [0 if new else n for new, n in zip(drawn, self._each(event.grown), strict=True)]
        if any(grown):
            self.score.prepare(weights, state.gradients)
        with torch.no_grad():
            ranked = zip(drawn, self.score.start(weights), self.score.scores(weights), strict=True)
            after = self._each(event.zeros)
            dropped = [zeros + n for zeros, n in zip(after, grown, strict=True)]
            before = [mask.clone() for mask in live]
            kept = self._choose([start if new else score for new, start, score in ranked], dropped, live)
            if any(grown):
                # where masks of another kind leave fewer alive than are to be kept, all that live are kept
                kept = [k & mask for k, mask in zip(kept, before, strict=True)]
                everything = [torch.ones_like(k) for k in kept]
                kept = self._choose(self.score.grown(kept), after, everything)
            self._put(weights, kept, state)


class Hold(Modifier):
    """The zeros that the model came with stay zero, and no others come: sparse transfer."""

    def __init__(self, plan: PrunePlan) -> None:
        self.names = [t.name for t in plan.targets]

    def on_start(self, state: State) -> None:
        if state.present is None:
            return self._hold(state.parameters, state)
        for name in self.names:
            with state.present([name], kept=[name]):
                self._hold({name: state.model.get_parameter(name)}, state)
                state.masks.settle()

    def _hold(self, parameters: Mapping[str, nn.Parameter], state: State) -> None:
        for name in parameters.keys() & set(self.names):
            state.masks.set(name, parameters[name], local(parameters[name].detach()) != 0)


class Release(Modifier):
    """Masks of earlier stages are taken off: their weights are zero still, and free to move."""

    def __init__(self, plan: PrunePlan) -> None:
        self.names = [t.name for t in plan.targets]

    def on_start(self, state: State) -> None:
        state.masks.drop(self.names)


class KeepZeros(Modifier):
    """Masks of this stage and of earlier ones: no gradient reaches a masked weight."""

    def on_gradients(self, state: State) -> None:
        state.masks.apply_gradients()
