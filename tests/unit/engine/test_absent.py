"""Questions of unequal numbers of choices: each counts as if it were alone, and equal ones are not touched."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from recipelang.engine.absent import leave_out_absent
from recipelang.engine.teacher_cache import _narrow
from recipelang.modifiers.distill import inputs
from recipelang.modifiers.distill_terms import attention_loss, hidden_loss, kd_loss
from recipelang.source import RecipeError
from recipelang.tasks import multiple_choice as mc
from tests.conftest import make_model

ASKED = [
    mc.Example("gold of", ("peru", "the", "of"), 2),
    mc.Example("gold", ("of", "peru the gold"), 1),
    mc.Example("the gold of peru", ("gold", "of", "the", "peru"), 0),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("m"))


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request, folder):
    from transformers import AutoModelForMultipleChoice

    torch.manual_seed(0)
    made = AutoModelForMultipleChoice.from_pretrained(folder, attn_implementation=request.param).eval()
    bare = copy.deepcopy(made)
    leave_out_absent(made)
    return SimpleNamespace(bare=bare, made=made)


def batch(folder, examples):
    rows = mc.featurize(examples, mc.TASK.load_tokenizer(folder), 16, 0)
    return {k: torch.from_numpy(v) for k, v in rows.batch(range(len(examples))).items()}


def gradients(model):
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    return found


def test_every_question_counts_as_if_it_were_alone(folder, model):
    out = model.made(**batch(folder, ASKED))
    out.loss.backward()
    ours = gradients(model.made)
    alone = [model.bare(**batch(folder, [e])) for e in ASKED]
    for row, (example, one) in enumerate(zip(ASKED, alone, strict=True)):
        many = len(example.choices)
        torch.testing.assert_close(out.logits[row, :many], one.logits[0])
        assert out.logits[row, many:].isneginf().all()
    loss = torch.stack([one.loss for one in alone]).mean()
    loss.backward()
    torch.testing.assert_close(out.loss, loss)
    torch.testing.assert_close(ours, gradients(model.bare))
    assert not model.made(**inputs(batch(folder, ASKED))).logits.isnan().any()


def test_questions_of_as_many_choices_are_not_touched(folder, model):
    given = batch(folder, [e for e in ASKED for _ in range(2)][2:4])
    for wanted in (given, inputs(given)):
        ours, theirs = model.made(**wanted), model.bare(**wanted)
        assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(model.made(**given).loss, model.bare(**given).loss)


def test_a_call_that_broke_off_leaves_nothing_behind(folder, model):
    handle = model.made.bert.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyError))
    with pytest.raises(KeyError):
        model.made(**batch(folder, ASKED))
    handle.remove()
    assert model.made(**batch(folder, ASKED[:1])).logits.isfinite().all()


def test_absent_choices_add_nothing_to_what_is_distilled():
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
    absent = torch.tensor([[False, False, True], [False, False, False]])
    loss = kd_loss(ours.masked_fill(absent, -torch.inf), theirs.masked_fill(absent, -torch.inf), 2.0)
    first = kd_loss(ours[:1, :2], theirs[:1, :2], 2.0)
    torch.testing.assert_close(loss, (first + kd_loss(ours[1:], theirs[1:], 2.0)) / 2)
    loss.backward()
    assert ours.grad is not None
    assert ours.grad.isfinite().all() and ours.grad[0, 2] == 0

    states = [torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 4, 3)]
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]])
    for term, given in (
        (hidden_loss, states),
        (attention_loss, [F.softmax(torch.randn(2, 2, 4, 4, requires_grad=True), -1) for _ in range(2)]),
    ):
        whole, part = term(*given, mask), term(*(g[:1] for g in given), mask[:1])
        torch.testing.assert_close(whole, part / 2)
        whole.backward()
    assert states[0].grad is not None and states[0].grad.isfinite().all()


def test_a_kept_teacher_may_lack_choices_and_nothing_else():
    lacking = torch.tensor([[1.0, -torch.inf]])
    assert torch.equal(_narrow(lacking, "fp16"), lacking.half())
    for odd in (torch.nan, torch.inf, 1e6, -1e6):
        with pytest.raises(RecipeError):
            _narrow(torch.tensor([[odd]]), "fp16")
