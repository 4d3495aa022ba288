"""RigL against the published update, written out weight by weight in double precision."""

import math

import pytest
import torch
from torch import nn

from recipelang.modifiers.modifier import State
from recipelang.modifiers.prune import Regrow
from recipelang.modifiers.pruners import pruner
from recipelang.planning import counts
from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.pruning.masks import Masks, full
from recipelang.schedules.shapes import Fraction

SHAPES = [(6, 8), (4, 12)]


class Case:
    """Weights with masks in force, an optimizer that has moved them, and two mini-batches of dense gradients."""

    def __init__(self, events, *, dead=0.5, scope="uniform", pattern="unstructured", size=(0, 0), batches=2):
        generator = torch.Generator().manual_seed(0)
        self.weights = {
            f"w{i}": nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64))
            for i, s in enumerate(SHAPES)
        }
        self.grads = [
            {n: torch.randn(w.shape, generator=generator, dtype=torch.float64) for n, w in self.weights.items()}
            for _ in range(batches)
        ]
        model = nn.Module()
        for name, weight in self.weights.items():
            model.register_parameter(name, weight)
        optimizer = torch.optim.AdamW(self.weights.values(), lr=1e-2)
        masks = Masks()
        for name, weight in self.weights.items():
            if dead:
                masks.set(name, weight, torch.rand(weight.shape, generator=generator) >= dead)
            weight.grad = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        masks.apply_gradients()
        optimizer.step()
        self.state = State(model, optimizer, masks, steps=100)
        self.state.gradients = self.gradients
        self.asked = 0
        self.plan = PrunePlan(
            name="p",
            method="rigl",
            args={"fraction": 0.3, "batches": batches},
            scope=scope,
            pattern=pattern,
            pattern_size=size,
            targets=tuple(Target(name=n, shape=tuple(w.shape)) for n, w in self.weights.items()),
            events=tuple(PruneEvent(step=k, sparsity=0.0, zeros=z, grown=g) for k, z, g in events),
        )
        self.pruner = pruner(self.plan, seed=3)
        assert isinstance(self.pruner, Regrow)

    def gradients(self, batches, size, dense=False):
        assert (batches, size, dense) == (len(self.grads), 0, True)
        self.asked += 1
        for one in self.grads:
            for name, gradient in one.items():
                self.weights[name].grad = gradient.clone()
            yield
        for weight in self.weights.values():
            weight.grad = None

    def mean(self, name):
        return sum(one[name] for one in self.grads) / len(self.grads)

    def live(self):
        known = {n: self.state.masks.in_force(n, w) for n, w in self.weights.items()}
        return {n: full(self.weights[n]) if mask is None else mask.clone() for n, mask in known.items()}

    def fire(self, step):
        self.state.step = step
        self.pruner.on_step_start(self.state)


def published(weight, live, gradient, zeros, grown):
    """Algorithm 1: keep the largest |θ| but for those dropped, then the largest |∇L| of all that are not kept."""
    flat = [(abs(float(w)), i) for i, w in enumerate(weight.reshape(-1)) if bool(live.reshape(-1)[i])]
    kept = {i for _, i in sorted(flat, reverse=True)[: weight.numel() - zeros - grown]}
    slopes = [(abs(float(g)), i) for i, g in enumerate(gradient.reshape(-1)) if i not in kept]
    more = {i for _, i in sorted(slopes, reverse=True)[: weight.numel() - zeros - len(kept)]}
    new = torch.zeros(weight.numel(), dtype=torch.float64)
    for i in kept | (more & {i for _, i in flat}):
        new[i] = weight.reshape(-1)[i].item()
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[sorted(kept | more)] = True
    return new.view(weight.shape), mask.view(weight.shape)


# as sparse as before, sparser, and with more alive than before
@pytest.mark.parametrize("zeros", [(24, 24), (36, 40), (10, 12)])
@pytest.mark.parametrize("grown", [(0, 3), (5, 8), (12, 8)])
def test_swap_is_the_published_one(zeros, grown):
    case = Case([(0, zeros, grown), (10, zeros, (0, 0))])
    before = {n: w.detach().clone() for n, w in case.weights.items()}
    expected = {
        n: published(before[n], live, case.mean(n), z, g)
        for (n, live), z, g in zip(case.live().items(), zeros, grown, strict=True)
    }
    case.fire(0)
    for (name, weight), z in zip(case.weights.items(), zeros, strict=True):
        want, mask = expected[name]
        assert torch.equal(case.live()[name], mask)
        assert torch.equal(weight.detach(), want)
        assert int((~mask).sum()) == z


def test_grown_weights_begin_at_zero_without_moments():
    case = Case([(0, (24, 24), (8, 8)), (10, (24, 24), (0, 0))])
    before = case.live()
    case.fire(0)
    for name, weight in case.weights.items():
        now = case.live()[name]
        new, gone = now & ~before[name], before[name] & ~now
        assert new.any() and gone.any()
        for tensor in (weight.detach(), *(case.state.optimizer.state[weight][k] for k in ("exp_avg", "exp_avg_sq"))):
            assert bool((tensor[new | gone] == 0).all())
            assert bool((tensor[now & before[name]] != 0).all())


def test_gradients_are_asked_for_only_where_something_grows():
    case = Case([(0, (24, 24), (4, 4)), (10, (30, 30), (0, 0))])
    for step in range(12):
        case.fire(step)
    assert case.asked == 1
    assert all(int((~mask).sum()) == 30 for mask in case.live().values())


def test_dense_tensors_begin_with_masks_drawn_from_the_seed():
    masks = []
    for seed in (3, 3, 4):
        case = Case([(0, (24, 30), (7, 5)), (10, (24, 30), (3, 3)), (20, (24, 30), (0, 0))], dead=0)
        case.pruner = pruner(case.plan, seed=seed)
        magnitude = {n: w.detach().abs().reshape(-1).sort().indices for n, w in case.weights.items()}
        case.fire(0)
        assert case.asked == 0
        masks.append(case.live())
        dropped = {n: set((~m.reshape(-1)).nonzero().squeeze(1).tolist()) for n, m in masks[-1].items()}
        assert [len(d) for d in dropped.values()] == [24, 30]
        assert all(dropped[n] != set(magnitude[n][: len(dropped[n])].tolist()) for n in dropped)
        case.fire(10)
        assert case.asked == 1
    assert all(torch.equal(masks[0][n], masks[1][n]) for n in masks[0])
    assert not all(torch.equal(masks[0][n], masks[2][n]) for n in masks[0])


def test_a_sparsity_that_begins_at_nothing_draws_no_masks():
    case = Case([(0, (0, 0), (14, 14)), (10, (24, 24), (0, 0)), (20, (24, 24), (0, 0))], dead=0)
    before = {n: w.detach().clone() for n, w in case.weights.items()}
    case.fire(0)
    assert case.asked == 0
    case.fire(10)  # as by magnitude: at the last of a window nothing is swapped
    for name, weight in case.weights.items():
        smallest = before[name].abs().reshape(-1).sort().indices[:24]
        assert not bool(case.live()[name].reshape(-1)[smallest].any())
        assert int((weight == 0).sum()) == 24


def test_rows_swap_on_their_own():
    case = Case([(0, (24, 24), (6, 4)), (10, (24, 24), (0, 0))], scope="row")
    case.fire(0)
    assert [set((~m).sum(1).tolist()) for m in case.live().values()] == [{4}, {6}]


def test_blocks_are_swapped_whole():
    case = Case([(0, (24, 24), (8, 16)), (10, (24, 24), (0, 0))], dead=0, pattern="block", size=(2, 4))
    case.fire(0)
    first = case.live()
    case.pruner._prune(PruneEvent(step=1, sparsity=0.5, zeros=(24, 24), grown=(8, 16)), case.state)
    for name, mask in case.live().items():
        rows, columns = mask.shape
        tiles = mask.view(rows // 2, 2, columns // 4, 4).sum((1, 3))
        assert set(tiles.reshape(-1).tolist()) == {0, 8}
        assert int((~mask).sum()) == 24
        slopes = case.mean(name).abs().view(rows // 2, 2, columns // 4, 4).mean((1, 3))
        new = (tiles == 8) & (first[name].view(rows // 2, 2, columns // 4, 4).sum((1, 3)) == 0)
        assert new.any()
        assert float(slopes[new].min()) > float(slopes[tiles == 0].max())  # what stayed out has less to gain


def test_gradient_that_is_not_a_number_is_an_error():
    case = Case([(0, (24, 24), (6, 4)), (10, (24, 24), (0, 0))])
    case.grads[1]["w0"][0, 0] = math.nan
    with pytest.raises(ValueError, match="not a number"):
        case.fire(0)


@pytest.mark.parametrize("x", [Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(9, 10), Fraction(1)])
def test_share_falls_as_half_a_wave_of_a_cosine(x):
    live, fraction = 48_000, Fraction(3, 10)
    (n,) = counts.grown("unstructured", (0, 0), "erk", [(240, 1000)], [240_000 - live], fraction, x)
    assert n == round(0.3 / 2 * (1 + math.cos(math.pi * float(x))) * live)
