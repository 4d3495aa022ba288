"""`adapter` of a stage for one model: which matrices, how many weights are trained, and what cannot go with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from recipelang.methods import METHODS
from recipelang.planning.adapter_plan import AdapterPlan
from recipelang.planning.context import Context
from recipelang.planning.families import TensorFact
from recipelang.planning.prune_plan import PrunePlan, Target
from recipelang.planning.types import FreezePlan
from recipelang.source.words import plural
from recipelang.spec.adapters import AdapterSpec
from recipelang.spec.blocks import StageSpec


def plan_adapters(
    it: Context, path: str, spec: StageSpec, prunes: Sequence[PrunePlan], masked: Collection[str]
) -> tuple[AdapterPlan, ...]:
    """`masked`: tensors that have a mask in this stage. E206 to E209, W197."""
    facts = {t.name: t for t in it.facts.tensors}
    found: list[AdapterPlan] = []
    for block in spec.adapters:
        at = f"{path}.adapter.{block.name}"
        targets = it.select(block.targets, f"{at}.targets", matrices_only=True)
        also = it.select(block.also, f"{at}.also", matrices_only=False) if block.also else ()
        own = [facts[n] for n in targets]
        if not targets or not _are_matrices(it, own, at) or not _have_masks(it, own, masked, at):
            continue
        if not _fits(it, block, own, at) or not _trained_once(it, found, targets, also, at):
            continue
        rank, alpha = block.method.get("rank"), block.method.get("alpha")
        planned = tuple(Target(name=t.name, shape=t.shape) for t in own)
        found.append(
            AdapterPlan(
                name=block.name,
                method=block.method.name,  # type: ignore[arg-type]
                rank=rank,  # type: ignore[arg-type]
                alpha=float(alpha),  # type: ignore[arg-type]
                targets=planned,
                also=also,
                trained=sum(int(rank) * sum(t.shape) for t in planned),  # type: ignore[call-overload]
            )
        )
    if found:
        _no_other_scores(it, found, prunes, path)
    return tuple(found)


def held_by(adapters: Sequence[AdapterPlan], tensors: Sequence[TensorFact]) -> tuple[FreezePlan, ...]:
    """All that no adapter names is frozen for the whole stage."""
    if not adapters:
        return ()
    named = {n for a in adapters for n in (*(t.name for t in a.targets), *a.also)}
    rest = [t for t in tensors if t.name not in named]
    if not rest:
        return ()
    targets, weights = tuple(t.name for t in rest), sum(t.size for t in rest)
    return (FreezePlan(name="all but adapters", targets=targets, weights=weights),)


def not_trained_here(
    it: Context, path: str, adapters: Sequence[AdapterPlan], blocks: Mapping[str, Sequence[str]], kind: str
) -> None:
    """E209 for a `freeze` or `group` of parameters that adapters are beside, or that nothing trains anyway."""
    if not adapters:
        return
    beside = {t.name for a in adapters for t in a.targets}
    also = {n for a in adapters for n in a.also}
    for name, targets in blocks.items():
        bad = next((n for n in targets if n in beside or (n in also) == (kind == "freeze")), None)
        if bad is None:
            continue
        what = "adapters are trained in place of it" if bad in beside else "no adapter names it, so it is frozen"
        what = "`also` trains it" if bad in also else what
        help = f"remove the block `{kind}`, or name only parameters of `also`"
        if kind == "freeze":
            help = "remove the block: all that no adapter names is frozen"
        message = f"`{kind}` and `adapter` both decide about `{bad}`"
        it.say("E209", message, f"{path}.{kind}.{name}.targets", help, (what,))


def _are_matrices(it: Context, targets: Sequence[TensorFact], at: str) -> bool:
    bad = next((t for t in targets if len(t.shape) != 2), None)
    if bad is None:
        return True
    notes = (f"its shape is {' × '.join(map(str, bad.shape))}",)
    help = "exclude it: `except @experts`" if "experts" in bad.roles else "exclude it with `except`"
    it.say("E207", f"`{bad.name}` is not one matrix", f"{at}.targets", help, notes)
    return False


def _have_masks(it: Context, targets: Sequence[TensorFact], masked: Collection[str], at: str) -> bool:
    """An adapter of a weight without a mask makes every zero of it a non-zero."""
    bare = [t.name for t in targets if t.name not in masked]
    if len(bare) == len(targets):
        help = "keep the zeros of a sparse model: `prune zeros { targets = ..., method = hold }` in this stage"
        notes = ("no `prune` block of this or an earlier stage masks a target of the adapter",)
        it.say("E206", "the adapter has no mask to respect", f"{at}.targets", help, notes)
        return False
    if bare:
        notes = (f"one of them is `{bare[0]}`; the adapter changes all of its weights, zeros included",)
        help = "exclude them with `except`, or mask them: `method = hold` keeps the zeros that are there"
        message = f"{plural(len(bare), 'target')} of {len(targets)} {'has' if len(bare) == 1 else 'have'} no mask"
        it.say("W197", message, f"{at}.targets", help, notes)
    return True


def _fits(it: Context, block: AdapterSpec, targets: Sequence[TensorFact], at: str) -> bool:
    rank = int(block.method.get("rank"))  # type: ignore[call-overload]
    small = min(targets, key=lambda t: min(t.shape))
    if rank <= min(small.shape):
        return True
    notes = (f"`{small.name}` is {small.shape[0]:,} × {small.shape[1]:,}",)
    help = f"write `rank = {min(small.shape)}` or less, or exclude it with `except`"
    it.say("E208", f"rank {rank:,} is larger than a target", f"{at}.method", help, notes)
    return False


def _trained_once(
    it: Context, before: Sequence[AdapterPlan], targets: Sequence[str], also: Sequence[str], at: str
) -> bool:
    taken = {n: a.name for a in before for n in (*(t.name for t in a.targets), *a.also)}
    twice = next((n for n in targets if n in taken), None)
    if twice is not None:
        help = "exclude it from one of them with `except`"
        it.say("E209", f"`{twice}` has two adapters", f"{at}.targets", help, (f"the other is in `{taken[twice]}`",))
        return False
    both = next((n for n in also if n in set(targets) or n in taken), None)
    if both is not None:
        help = "remove it from `also`, or exclude it from `targets`"
        it.say("E209", f"`{both}` is trained itself and by an adapter", f"{at}.also", help)
    return both is None


def _no_other_scores(it: Context, adapters: Sequence[AdapterPlan], prunes: Sequence[PrunePlan], path: str) -> None:
    """Weights beside an adapter have no gradients of their own at a step, and change only by it."""
    beside = {t.name for a in adapters for t in a.targets}
    for prune in prunes:
        method = METHODS[prune.method]
        if beside.isdisjoint(t.name for t in prune.targets):
            continue
        if method.looks_at == "steps" or method.compensates or method.regrows:
            why = "ranks by gradients of weights at every step" if method.looks_at == "steps" else "changes weights"
            help = "use `magnitude` here, or prune in a stage before the one with the adapter"
            message = f"`{prune.method}` and an adapter cannot share weights"
            it.say("E209", message, f"{path}.prune.{prune.name}.method", help, (f"`{prune.method}` {why}",))
