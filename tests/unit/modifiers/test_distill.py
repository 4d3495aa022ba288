"""What distillation adds to the loss: weights, schedules, projections that learn and are remembered."""

from types import SimpleNamespace

import pytest
import torch

from recipelang.modifiers.distill import Distill
from recipelang.modifiers.distill_terms import hidden_loss, kd_loss, reverse_loss, squarehead_loss
from recipelang.modifiers.modifier import State
from recipelang.planning.types import DistillPlan, Segment, TermPlan
from recipelang.pruning.masks import Masks

STEPS = 10


def still(value):
    return (Segment(shape="constant", start=value, end=value, first=0, last=STEPS - 1),)


def rising(a, b):
    return (Segment(shape="linear", start=a, end=b, first=0, last=STEPS - 1),)


def outputs(seed, width=4):
    random = torch.Generator().manual_seed(seed)
    start, end = torch.randn(2, 3, 6, generator=random)
    states = torch.randn(4, 3, 6, width, generator=random).unbind(0)
    return SimpleNamespace(start_logits=start, end_logits=end, hidden_states=states, loss=torch.tensor(2.0))


def make(*terms, hardness=still(0.75), temperature=still(2.0), teacher=None, width=4):
    plan = DistillPlan(teacher="t", teacher_ref="t", terms=terms, hardness=hardness, temperature=temperature)
    known = teacher or outputs(1, width)
    distill = Distill(plan, lambda state: known, ("start_logits", "end_logits"), seed=3)
    model = torch.nn.Linear(2, 2)
    state = State(model, torch.optim.AdamW(model.parameters(), lr=0.01, fused=True), Masks(), STEPS)
    state.batch = {"attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] + [0] * 5])}
    distill.join(state.optimizer)
    return distill, state, known


def loss_at(distill, state, step=0):
    state.step, state.outputs = step, outputs(0)
    state.loss = state.outputs.loss
    distill.on_loss(state)
    return state.loss


def output(name, weight=1.0):
    return TermPlan(kind="output", output=name, weight=still(weight))


def hidden(*pairs, weight=still(1.0), widths=None):
    return TermPlan(kind="hidden", layers=pairs, weight=weight, widths=widths)


def test_terms_are_added_with_their_weights_and_mixed_with_the_task():
    distill, state, known = make(output("logits"), hidden((0, 2), (2, 1), weight=still(0.1)))
    ours, mask = outputs(0), state.batch["attention_mask"]
    logits = (kd_loss(ours.start_logits, known.start_logits, 2) + kd_loss(ours.end_logits, known.end_logits, 2)) / 2
    pairs = [hidden_loss(ours.hidden_states[s + 1], known.hidden_states[t + 1], mask) for s, t in ((0, 2), (2, 1))]
    expected = 0.25 * 2.0 + 0.75 * (logits + 0.1 * sum(pairs) / 2)
    torch.testing.assert_close(loss_at(distill, state), expected)


def test_squarehead_adds_up_its_layers_and_the_other_direction_is_a_term_of_its_own():
    squarehead = TermPlan(kind="squarehead", layers=((0, 2), (2, 1)), weight=still(0.5))
    reverse = TermPlan(kind="reverse", output="logits", weight=still(3.0))
    distill, state, known = make(output("logits"), reverse, squarehead, hardness=still(1.0))
    assert distill.asks == ("output_hidden_states",)
    ours, mask = outputs(0), state.batch["attention_mask"]
    each = [(getattr(ours, n), getattr(known, n), 2) for n in ("start_logits", "end_logits")]
    pairs = [squarehead_loss(ours.hidden_states[s + 1], known.hidden_states[t + 1], mask) for s, t in ((0, 2), (2, 1))]
    expected = sum(kd_loss(*e) for e in each) / 2 + 3 * sum(reverse_loss(*e) for e in each) / 2 + 0.5 * sum(pairs)
    torch.testing.assert_close(loss_at(distill, state), expected)


def test_both_outputs_by_name_are_the_logits():
    named = loss_at(*make(output("start_logits"), output("end_logits"))[:2])
    torch.testing.assert_close(named, loss_at(*make(output("logits"))[:2]))
    start_only = loss_at(*make(output("start_logits"))[:2])
    assert not torch.allclose(start_only, named)


def test_hardness_temperature_and_weights_follow_their_schedules():
    term = hidden((2, 2), weight=rising(1.0, 0.0))
    distill, state, known = make(output("logits"), term, hardness=rising(0.0, 1.0), temperature=rising(4.0, 1.0))
    assert float(loss_at(distill, state, 0)) == 2.0
    ours, step = outputs(0), 6
    h, t, w = (a + (b - a) * step / (STEPS - 1) for a, b in ((0.0, 1.0), (4.0, 1.0), (1.0, 0.0)))
    logits = (kd_loss(ours.start_logits, known.start_logits, t) + kd_loss(ours.end_logits, known.end_logits, t)) / 2
    states = hidden_loss(ours.hidden_states[3], known.hidden_states[3], state.batch["attention_mask"])
    expected = (1 - h) * 2.0 + h * (logits + w * states)
    torch.testing.assert_close(loss_at(distill, state, step), expected, rtol=1e-5, atol=1e-6)


def test_teacher_that_equals_the_student_costs_nothing():
    same = outputs(0)
    loss = loss_at(*make(output("logits"), hidden((2, 2)), hardness=still(1.0), teacher=same)[:2])
    assert float(loss) == pytest.approx(0, abs=1e-6)


def test_projection_bridges_two_widths_and_learns():
    distill, state, known = make(hidden((2, 2), widths=(4, 7)), hardness=still(1.0), width=7)
    weight = distill.projections["projection-0-2-2"]
    ours = outputs(0)
    expected = hidden_loss(ours.hidden_states[3] @ weight.T, known.hidden_states[3], state.batch["attention_mask"])
    first = loss_at(distill, state)
    torch.testing.assert_close(first, expected)
    for _ in range(20):
        loss_at(distill, state).backward()
        state.optimizer.param_groups[1]["lr"] = 0.05
        state.optimizer.step()
        state.optimizer.zero_grad()
    assert float(loss_at(distill, state).detach()) < 0.9 * float(first.detach())


def test_projection_and_its_moments_are_remembered():
    def step(distill, state):
        loss_at(distill, state).backward()
        state.optimizer.step()
        state.optimizer.zero_grad()

    wide = {"hardness": still(1.0), "width": 7}
    distill, state, _ = make(hidden((2, 2), widths=(4, 7)), **wide)
    step(distill, state)
    other, other_state, _ = make(hidden((2, 2), widths=(4, 7)), **wide)
    other.load({name: value.clone() for name, value in distill.state().items()})
    step(distill, state)
    step(other, other_state)
    before, after = distill.state(), other.state()
    assert before.keys() == after.keys() and len(before) == 4
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_projections_are_drawn_from_the_seed():
    a, b = (make(hidden((0, 0), (2, 2), widths=(4, 7)), width=7)[0].projections for _ in range(2))
    assert all(torch.equal(a[key], b[key]) for key in a) and len(a) == 2
    first, second = a.values()
    assert not torch.equal(first, second)
