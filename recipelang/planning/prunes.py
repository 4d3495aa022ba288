"""Prune blocks: which tensors, when, how many zeros; and what the blocks and stages before leave of a choice."""

from __future__ import annotations

import math
from fractions import Fraction
from types import ModuleType

from recipelang.kinds.text import percent, show
from recipelang.methods import METHODS
from recipelang.methods.declaration import scope_of
from recipelang.planning import compat, counts, match as matching, schedule
from recipelang.planning.context import Context
from recipelang.planning.families import TensorFact
from recipelang.planning.prune_plan import DenseGroup, PruneEvent, PrunePlan, Target
from recipelang.planning.shares import arguments, fits, reconstruction
from recipelang.source import Label
from recipelang.source.words import listed, plural
from recipelang.spec.blocks import PruneSpec
from recipelang.values import selector as sel

#: a set of masks made with the first scope can be continued with the second: its sets hold whole ones of the first
COARSER = {("row", "uniform"), ("row", "global"), ("uniform", "global"), ("erk", "global"), ("owl", "global")}
#: the share of a tensor by which other tools miss a sparsity when they round
_ROUNDED = 1e-3
#: numbers of zeros in a plan: of every tensor at every event
MAX_NUMBERS = 1_000_000
#: a number counts as so many where it takes more than a multiplication
_COSTLY = 10


class Prunes:
    """Blocks are planned in the order that they run in: each leaves masks behind."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.room, self.numbers = schedule.MAX_EVENTS, MAX_NUMBERS  # that the blocks to come may still have
        self.in_force: dict[str, Fraction] = {}  # tensor -> the sparsity asked of it so far
        self.patterned: dict[str, str] = {}  # tensor -> the pattern of its mask
        self.patterns: dict[str, tuple[str, int, int]] = {}  # the same in parts; of tensors without a mask the last one
        self.sliced: set[str] = set()  # tensors whose masks `shrink` cut, so that only the run knows their zeros
        self.uneven: set[str] = set()  # of these, those whose rows may no longer have equally many
        self.masked: dict[str, int] = {}  # tensor -> its zeros, where they are known
        self.held: set[str] = set()  # tensors of which these are the zeros that the model came with
        self.fullest: dict[str, int] = {}  # tensor -> the most zeros in one of its rows, of those held
        self.trained = False  # whether a stage before this one has moved weights
        self.acts: dict[str, tuple[str, bool]] = {}  # tensor -> the last stage that named it, whether to release it
        self.ranked: dict[str, tuple[tuple[str, tuple[str, ...]], str]] = {}  # tensor -> its last ranking set, stage

    def plan(
        self,
        stage: str,
        spec: PruneSpec,
        steps: int,
        per_epoch: int,
        clock: ModuleType = schedule,
    ) -> PrunePlan | None:
        path = f"{stage}.prune.{spec.name}"
        targets = self.context.select(spec.targets, f"{path}.targets", matrices_only=True)
        never = self.context.select(spec.never, f"{path}.never", matrices_only=False, empty=True) if spec.never else ()
        if spec.never:
            self._warn_of_idle(spec.never, f"{path}.never")
        if not targets or not self._keeps_never(targets, never, path):
            return None
        facts = {t.name: t for t in self.context.facts.tensors}
        shapes = [facts[n].shape for n in targets]
        size = (spec.pattern.a, spec.pattern.b)
        if not self._divides(spec, targets, shapes, path):
            return None
        scope = "uniform" if spec.pattern.kind == "N:M" else scope_of(spec.method) or "uniform"
        method = METHODS[spec.method.name]
        regrows = method.regrows
        timed: list[tuple[int, Fraction]] = []
        if not self._released_alone(spec, targets, stage, path) or not self._keeps_its_pattern(spec, targets, path):
            return None
        held: tuple[int, ...] = ()
        if method.masks == "keeps":
            held = self._held(targets, path)
        if method.masks == "releases":
            for name in targets:
                for known in (self.in_force, self.ranked, self.patterned, self.masked):
                    known.pop(name, None)  # type: ignore[attr-defined]
            self._known_again(targets)
        elif spec.sparsity is not None:
            label = self.context.recipe.label(f"{path}.sparsity")
            timed = clock.events(spec.sparsity, steps, per_epoch, label, self.context.found, self.room)
            numbers = (
                (1 if scope in ("global", "owl") else len(targets))
                * len(timed)
                * (_COSTLY if scope == "erk" or regrows else 1)
            )
            if numbers > self.numbers:
                help = "use fewer pruning events, or rank all targets together: `scope = global`"
                message = f"this plan counts zeros more than {MAX_NUMBERS:,} times"
                notes = ("each tensor counts once at each event, and ten times with ERK densities or growing weights",)
                self.context.found.say("E063", message, label, notes=notes, help=help)
                return None
            parts = spec.sparsity.segments
            more = schedule.work(parts, per_epoch) if clock is schedule else compat.work(parts, steps)
            self.room -= len(timed) + more
            self.numbers -= numbers
            if not self._sound(spec, timed, path) or not fits(self.context, spec, timed[-1][1], targets, path):
                return None
            if self._keeps_to_its_set(targets, scope, stage, label, regrows) and not regrows:
                self._rises(timed, targets, label)
                self._rows_are_even(targets, scope, path)
            self.in_force |= dict.fromkeys(targets, timed[-1][1])
        zeros = counts.over_time(spec.pattern.kind, size, scope, shapes, [s for _, s in timed], rises=not regrows)
        grown: list[tuple[int, ...]] = [()] * len(zeros)
        if zeros and regrows:
            self._moved(targets, zeros[-1])
            grown = _grown(spec, scope, shapes, [k for k, _ in timed], zeros) if method.swaps else grown
        elif zeros:
            if not self._keeps_what_is_held(targets, zeros, path, scope):
                return None
            zeros = self._not_below(targets, zeros)
        args = arguments(spec.method)
        memory, passes = method.scoring(args, [facts[n].size for n in targets])
        return PrunePlan(
            name=spec.name,
            method=spec.method.name,
            args=args,  # type: ignore[arg-type]
            scope=scope,  # type: ignore[arg-type]
            pattern=spec.pattern.kind,  # type: ignore[arg-type]
            pattern_size=size,
            order=spec.order,  # type: ignore[arg-type]
            reconstruct=reconstruction(spec),
            ties="first" if clock is schedule else "sparseml_1",
            targets=tuple(Target(name=n, shape=facts[n].shape, purpose=_purpose(facts[n])) for n in targets),
            never=never,
            dense=self._left_dense(set(targets), set(never)),
            events=tuple(
                PruneEvent(k, s.numerator / s.denominator, n, g)
                for (k, s), n, g in zip(timed, zeros, grown, strict=True)
            ),
            scoring=memory,
            passes=passes,
            at_least=bool(timed) and not regrows and not self.sliced.isdisjoint(targets),
            held=held,
        )

    def _sound(self, spec: PruneSpec, timed: list[tuple[int, Fraction]], path: str) -> bool:
        """There are events, and what they ask for can be done by this method and pattern."""
        at = f"{path}.sparsity"
        if not timed:
            if not self.context.found.errors:
                help = "prune more often, or lengthen the window"
                self.context.say("E063", "no pruning event falls in this stage", at, help)
            return False
        if spec.pattern.kind == "N:M":
            share = 1 - Fraction(spec.pattern.a, spec.pattern.b)
            if wrong := next((s for _, s in timed if s not in (0, share)), None):
                message = f"{percent(wrong)} is not the sparsity of `{show(spec.pattern)}`"
                help = f"it is {percent(share)}: write `sparsity = {percent(share)}`, or a `step` to it"
                self.context.say("E054", message, at, help)
                return False
        method, name = METHODS[spec.method.name], spec.method.name
        if method.looks_at == "steps" and timed[0][0] == 0 and timed[0][1] > 0:
            message = f"`{name}` cannot rank at step 0: no gradient has been seen"
            self.context.say("E054", message, at, "start the window later, or start it at 0%")
            return False
        if method.swaps and len(timed) < 3:
            help = "weights are swapped between the first and the last event: `constant(80%, over = start..90%, updates = 2 per epoch)`"
            self.context.say("E063", f"`{name}` would swap no weights", at, help)
            return False
        return True

    def _not_below(self, targets: tuple[str, ...], zeros: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Other sets round otherwise: an event asks for no fewer zeros than an earlier stage left."""
        floor = [self.masked.get(n, 0) for n in targets]
        if len(zeros[0]) != len(targets):
            floor = [sum(floor)]
        raised = [tuple(map(max, event, floor)) for event in zeros] if any(floor) else zeros
        for name in targets:
            self.masked.pop(name, None)
        if len(zeros[0]) == len(targets):
            self.masked |= dict(zip(targets, raised[-1], strict=True))
        return raised

    def _held(self, targets: tuple[str, ...], path: str) -> tuple[int, ...]:
        """The zeros of each target as its stage begins, counted in the model's files; none once weights have moved."""
        if self.trained:
            return ()
        stored = self.context.guard(f"{path}.targets", self.context.stored_zeros)
        if stored is None:
            return ()
        for name in targets:
            zeros, self.fullest[name] = stored[name]
            self.masked.setdefault(name, zeros)
            self.held.add(name)
        counted = tuple(self.masked[name] for name in targets)
        if not any(counted):
            notes = ("no selected weight is zero, so the stage would train a dense model",)
            help = "name a sparse model, or use another method"
            self.context.say("W178", "`hold` has no zeros to keep", f"{path}.method", help, notes)
        return counted

    def _keeps_what_is_held(
        self, targets: tuple[str, ...], zeros: list[tuple[int, ...]], path: str, scope: str
    ) -> bool:
        """An event that asks for fewer zeros than `hold` keeps would revive some.

        A little more than what is asked for, as tools that round otherwise leave it, is kept by `_not_below`.
        """
        if not any(n in self.held for n in targets):
            return True
        sizes = {t.name: t.size for t in self.context.facts.tensors}
        sets = [(n,) for n in targets] if len(zeros[0]) == len(targets) else [targets]
        for names, wanted in zip(sets, zeros[0], strict=True):
            have, size = sum(self.masked.get(n, 0) for n in names), sum(sizes[n] for n in names)
            if have - wanted > size * _ROUNDED:
                what = f"`{names[0]}`" if len(names) == 1 else "these tensors together"
                message = f"an event requires fewer zeros than {what} started with"
                notes = (f"{have:,} of {size:,} weights are zero and held; the event requires {wanted:,} zeros",)
                help = f"start at {math.ceil(1000 * have / size) / 10:g} % or above, or release the zeros in an earlier stage"
                at = self.context.recipe.label(f"{path}.sparsity")
                self.context.found.say("E064", message, at, notes=notes, help=help)
                return False
        return scope != "row" or self._keeps_rows(targets, zeros[0], path)

    def _keeps_rows(self, targets: tuple[str, ...], zeros: tuple[int, ...], path: str) -> bool:
        """With `scope = row` every row has as many zeros, so the fullest one decides. Of matrices that are stored inputs
        first the rows are the columns of the files, and the run looks at them."""
        tensors = {t.name: t for t in self.context.facts.tensors}
        for name, wanted in zip(targets, zeros, strict=True):
            width = tensors[name].shape[-1]
            rows = tensors[name].size // width
            full = 0 if tensors[name].turned else self.fullest.get(name, 0)
            if full > wanted // rows:
                message = f"a row of `{name}` has more zeros than an event requires"
                notes = (
                    f"{full:,} of {width:,} weights are zero and held there; the event requires {wanted // rows:,}",
                )
                help = "use `scope = uniform`, or release the zeros in an earlier stage"
                self.context.say("E064", message, f"{path}.sparsity", help, notes)
                return False
        return True

    def _moved(self, targets: tuple[str, ...], zeros: tuple[int, ...]) -> None:
        """Masks that a method chose anew leave its own zeros alone; of one total each tensor's are not known."""
        for name in targets:
            self.masked.pop(name, None)
        self.masked |= dict(zip(targets, zeros, strict=True)) if len(zeros) == len(targets) else {}
        self._known_again(targets)

    def _known_again(self, targets: tuple[str, ...]) -> None:
        self.sliced -= set(targets)
        self.uneven -= set(targets)

    def _rows_are_even(self, targets: tuple[str, ...], scope: str, path: str) -> None:
        """With `scope = row` every row has as many zeros, which is no longer so where some of its weights went."""
        name = next((n for n in targets if n in self.uneven), None)
        if scope == "row" and name is not None:
            notes = (f"`{name}` has lost inputs, with more zeros of one row than of another",)
            help = "continue with `scope = uniform`"
            self.context.say("E064", "rows differ in zeros since the model was shrunk", f"{path}.method", help, notes)

    def _released_alone(self, spec: PruneSpec, targets: tuple[str, ...], stage: str, path: str) -> bool:
        """Masks are taken off as a stage starts, so no other block of it can have to do with these tensors."""
        releases = METHODS[spec.method.name].masks == "releases"
        for name in targets:
            where, released = self.acts.get(name, ("", False))
            if where == stage and (releases or released):
                message = "a stage that releases tensors cannot also prune them"
                help = "release them in a separate stage before this one"
                self.context.say("E064", message, f"{path}.targets", help, (f"one of them is `{name}`",))
                return False
        self.acts |= dict.fromkeys(targets, (stage, releases))
        return True

    def _keeps_its_pattern(self, spec: PruneSpec, targets: tuple[str, ...], path: str) -> bool:
        """Groups of a pattern would revive single weights that another pattern masked."""
        pattern = show(spec.pattern)
        for name in targets:
            before = self.patterned.get(name, pattern)
            if METHODS[spec.method.name].masks != "keeps" or name not in self.patterned:
                self.patterned[name] = pattern
                self.patterns[name] = (spec.pattern.kind, spec.pattern.a, spec.pattern.b)
            if spec.pattern.kind != "unstructured" and before != pattern:
                message = f"these tensors were already pruned as `{before}`"
                notes = (f"one of them is `{name}`; groups of `{pattern}` would revive some of its weights",)
                help = f"continue with `{before}`, or free them in an earlier stage with `method = release`"
                self.context.say("E064", message, f"{path}.pattern", help, notes)
                return False
        return True

    def _divides(self, spec: PruneSpec, targets: tuple[str, ...], shapes: list[tuple[int, ...]], path: str) -> bool:
        """Groups of a pattern cover a tensor without a rest."""
        height, width = {"N:M": (1, spec.pattern.b), "block": (spec.pattern.a, spec.pattern.b)}.get(
            spec.pattern.kind, (1, 1)
        )
        for name, shape in zip(targets, shapes, strict=True):
            if shape[-2] % height or shape[-1] % width:
                message = f"`{show(spec.pattern)}` does not divide `{name}`"
                each = "each expert" if len(shape) > 2 else "it"
                notes = (f"{each} has {' × '.join(map(str, shape[-2:]))} weights, outputs × inputs",)
                help = "choose another pattern, or exclude the tensor with `except`"
                self.context.say("E072", message, f"{path}.pattern", help, notes)
                return False
        return True

    def _left_dense(self, targets: set[str], never: set[str]) -> tuple[DenseGroup, ...]:
        """What a prune block does not touch, in the model's order of kinds."""
        groups: dict[str, list[TensorFact]] = {}
        for tensor in self.context.facts.tensors:
            if tensor.name not in targets:
                groups.setdefault(_purpose(tensor), []).append(tensor)
        return tuple(
            DenseGroup(
                what=what,
                tensors=len(tensors),
                weights=sum(t.size for t in tensors),
                protected=all(t.name in never for t in tensors),
            )
            for what, tensors in groups.items()
        )

    def _rises(
        self,
        timed: list[tuple[int, Fraction]],
        targets: tuple[str, ...],
        label: Label | None,
    ) -> None:
        before = max((self.in_force.get(n, Fraction(0)) for n in targets), default=Fraction(0))
        for step, sparsity in timed:
            # `sparsity < before`, of integers: a plan may hold very many events
            if sparsity.numerator * before.denominator < before.numerator * sparsity.denominator:
                message = f"sparsity falls from {float(before):.2%} to {float(sparsity):.2%} at step {step:,}"
                help = "masked weights stay masked: use a rising schedule"
                self.context.found.say("E064", message, label, help=help)
                return
            before = sparsity

    def _keeps_to_its_set(
        self, targets: tuple[str, ...], scope: str, stage: str, label: Label | None, regrows: bool
    ) -> bool:
        """Counts are kept for a ranking set as a whole, so another set over its tensors could revive weights.

        Two blocks of a stage never share tensors; beyond that a method that regrows may take any set.
        """
        mine = (scope, targets if scope == "global" else ())
        for name in targets:
            before, where = self.ranked.setdefault(name, (mine, stage))
            if where == stage and before is not mine:
                message, help = (
                    "two blocks of a stage prune the same tensors",
                    "prune a tensor in only one block of a stage",
                )
            elif before == mine or (before[0], scope) in COARSER or regrows:
                continue
            elif before[0] == "global":
                message = "an earlier stage ranked these tensors together"
                help = "continue with the same targets and `scope = global`: one tensor may be sparser than the whole"
            else:
                message = f"an earlier stage ranked these tensors with `scope = {before[0]}`"
                help = f"continue with `{before[0]}`, or with `global`: under another scope, parts may already be too sparse"
            self.context.found.say("E064", message, label, notes=(f"one of them is `{name}`",), help=help)
            return False
        self.ranked |= dict.fromkeys(targets, (mine, stage))
        return True

    def _warn_of_idle(self, never: sel.Selector, path: str) -> None:
        """A name pattern that protects nothing is most often misspelt. A role may well be another family's."""
        for leaf in matching.leaves(never):
            if not isinstance(leaf, sel.Glob | sel.Regex) or self.context.guard(
                path, lambda p=leaf: matching.match(p, self.context.facts)
            ):
                continue
            near = matching.nearest(leaf, self.context.facts)
            at = Label(self.context.recipe.source, leaf.span) if leaf.span else self.context.recipe.label(path)
            help = f"close matches: {', '.join(f'`{n}`' for n in near)}" if near else None
            self.context.found.say("W105", f"`{sel.text(leaf)}` protects nothing in this model", at, help=help)

    def _keeps_never(self, targets: tuple[str, ...], never: tuple[str, ...], path: str) -> bool:
        both = [n for n in targets if n in set(never)]
        if not both:
            return True
        never_label = self.context.recipe.label(f"{path}.never", "protects them")
        tied = [t.name for t in self.context.facts.tensors if t.name in set(both) and t.tied]
        notes = [f"both contain {listed(both, 3)}"]
        notes += [f"`{n}` is both the embeddings and the head: config.json ties them" for n in tied]
        self.context.found.say(
            "E071",
            f"`targets` and `never` overlap in {plural(len(both), 'tensor')}",
            self.context.recipe.label(f"{path}.targets", "selects them"),
            (never_label,) if never_label else (),
            notes=tuple(notes),
            help="add `except ...` to `targets`, or remove them from `never`",
        )
        return False


def _grown(
    spec: PruneSpec, scope: str, shapes: list[tuple[int, ...]], steps: list[int], zeros: list[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """What a method that takes weights back swaps at every event: from its `fraction` at the first to none at the last."""
    fraction = spec.method.get("fraction")
    assert isinstance(fraction, Fraction)
    kind, size = spec.pattern.kind, (spec.pattern.a, spec.pattern.b)
    ways = [Fraction(step - steps[0], steps[-1] - steps[0]) for step in steps]
    return [counts.grown(kind, size, scope, shapes, n, fraction, x) for n, x in zip(zeros, ways, strict=True)]


def _purpose(tensor: TensorFact) -> str:
    if tensor.tied:
        return "embeddings and head"
    for role in ("embeddings", "head", "pooler", "router"):
        if role in tensor.roles:
            return role
    return "other matrices" if tensor.prunable else "norms and biases"
