"""A recipe in a loop of one's own does what the engine does."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import transformers
from torch import nn

import recipelang
from recipelang.loading.read import read_around
from recipelang.loops.notices import RecipeWarning
from recipelang.modifiers.distill_terms import kd_loss
from recipelang.source import RecipeError

from ..conftest import make_model
from ..forked import ranks
from ..model_types import config_of
from .loops import RECIPE, Loop, same, write, zeros
from .steps import run, weights


@pytest.fixture
def recipe(project, tmp_path):
    return write(tmp_path)


def loop_of(recipe, *params):
    return Loop(recipe, read_around(list(params)))


def attached(loop, recipe, **more):
    more = {"teacher": loop.teacher, "steps_per_epoch": loop.stage.steps_per_epoch, **more}
    return recipelang.attach(recipe, loop.model, loop.optimizer, **more)


def cut_in_two(recipe, method, cut, folder):
    """The model of a loop that saved everything after so many steps, and of another that went on from there."""
    first = loop_of(recipe, f"method={method}")
    pruning = attached(first, recipe, params={"method": method})
    steps(first, pruning, until=cut)
    pieces = (first.model.state_dict(), first.optimizer.state_dict(), pruning.state_dict())
    torch.save(pieces, folder / "checkpoint.pt")

    second = loop_of(recipe, f"method={method}")
    pruning = attached(second, recipe, params={"method": method})
    model, optimizer, state = torch.load(folder / "checkpoint.pt", weights_only=True)
    second.model.load_state_dict(model)
    second.optimizer.load_state_dict(optimizer)
    pruning.load_state_dict(state)
    steps(second, pruning, first=cut)
    pruning.end()
    return second.model


def steps(loop, pruning, first=0, until=None):
    """The loop of the documentation, with accumulation over halves of a batch left out."""
    for batch in list(loop.batches(first))[: None if until is None else until - first]:
        pruning.step_start()
        outputs = loop.model(**batch, **pruning.asks)
        pruning.loss(outputs.loss, outputs, batch).backward()
        pruning.gradients()
        trained = [p for group in loop.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, 0.5)
        loop.optimizer.step()
        loop.optimizer.zero_grad()
        pruning.step_end()


@pytest.mark.parametrize("method", ["magnitude", "movement"])
def test_loop_of_ones_own_is_the_engine_bit_for_bit(recipe, tmp_path, method):
    run(recipe, tmp_path / "out", params=(f"method={method}",))
    loop = loop_of(recipe, f"method={method}")
    pruning = attached(loop, recipe, params={"method": method})
    steps(loop, pruning)
    pruning.end()
    expected = weights(tmp_path / "out")
    assert zeros(expected, loop.plan) == loop.stage.prunes[0].events[-1].zeros[0]
    assert same(loop.model, expected)
    assert str(pruning.report()) == "step 12 of 12: 70.00% zeros, 70.00% planned"


@pytest.mark.parametrize("on", ["[hidden, logits]", "[attention]"])
def test_what_is_inside_a_wider_teacher_is_matched_as_by_the_engine(recipe, tmp_path, on):
    make_model(tmp_path / "teacher", hidden=48 if "hidden" in on else 32, layers=3, dropout=0)
    recipe.write_text(RECIPE.replace("hardness = 60%", f"on = {on}, hardness = 60%"), "utf-8")
    run(recipe, tmp_path / "out")
    loop = loop_of(recipe)
    steps(loop, pruning := attached(loop, recipe))
    pruning.end()
    assert same(loop.model, weights(tmp_path / "out"))
    assert loop.model.config._attn_implementation == loop_of(recipe).model.config._attn_implementation


def test_hidden_states_that_the_model_is_not_asked_for_are_missed(recipe):
    recipe.write_text(RECIPE.replace("hardness = 60%", "on = [hidden], hardness = 60%"), "utf-8")
    loop = loop_of(recipe)
    pruning = attached(loop, recipe)
    pruning.step_start()
    batch = next(loop.batches())
    outputs = loop.model(**batch)
    with pytest.raises(RecipeError, match="E086]: the model was not called with `output_hidden_states`"):
        pruning.loss(outputs.loss, outputs, batch)


@pytest.mark.parametrize("cut", [5, 6, 12])
def test_saved_and_loaded_is_uninterrupted(recipe, tmp_path, cut):
    """Cut before and on an event, and before the last events."""
    whole = loop_of(recipe, "method=movement")
    pruning = attached(whole, recipe, params={"method": "movement"})
    steps(whole, pruning)
    pruning.end()

    assert same(cut_in_two(recipe, "movement", cut, tmp_path), dict(whole.model.named_parameters()))


def test_state_of_another_plan_is_refused(recipe):
    loop = loop_of(recipe)
    state = attached(loop, recipe).state_dict()
    longer = attached(loop, recipe, params={"length": "3 epochs"})
    with pytest.raises(RecipeError, match="E083]: this state belongs to another plan"):
        longer.load_state_dict(state)


def test_parts_of_a_batch_are_one_step(recipe):
    """A mean of means of equal parts: the same step up to rounding, so the same counts."""
    loop = loop_of(recipe)
    pruning = attached(loop, recipe)
    for batch in loop.batches():
        pruning.step_start()
        parts = [{k: v[i::2] for k, v in batch.items()} for i in range(2)]
        for part in parts:
            outputs = loop.model(**part)
            (pruning.loss(outputs.loss, outputs, part) / 2).backward()
        pruning.gradients()
        loop.optimizer.step()
        loop.optimizer.zero_grad()
        pruning.step_end()
    pruning.end()
    assert zeros(dict(loop.model.named_parameters()), loop.plan) == loop.stage.prunes[0].events[-1].zeros[0]


def test_learning_rate_is_the_recipes_unless_it_is_not_wanted(recipe):
    loop = loop_of(recipe)
    pruning = attached(loop, recipe)
    pruning.step_start()
    assert loop.optimizer.param_groups[0]["lr"] == 1e-3
    loop.optimizer.param_groups[0]["lr"] = 0.25
    attached(loop, recipe, learning_rate=False).step_start()
    assert loop.optimizer.param_groups[0]["lr"] == 0.25


# ------------------------------------------------------------------ other models
class Net(nn.Module):
    """Not of transformers: its output is a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(torch.relu(self.inner(x)))


def net_recipe(
    targets='"inner.weight"', method="magnitude", sparsity="step(0% -> 50%, at = start + 1 steps)", more="", stages=""
):
    return f"""recipe 1 "net"
model {{ base = "none", task = token_classification }}
data {{ train = "none.json" }}
{stages}
stage s {{
  length = 4 steps, batch = 8, precision = fp16, learning_rate = constant(1e-2)
  prune p {{ targets = {targets}, method = {method}, sparsity = {sparsity} }}
  {more}
}}
"""


def net_loop(pruning, net, optimizer, steps=4):
    torch.manual_seed(3)
    for _ in range(steps):
        pruning.step_start()
        batch = {"x": torch.randn(8, 6), "labels": torch.randint(3, (8,))}
        out = net(batch["x"])
        pruning.loss(nn.functional.cross_entropy(out, batch["labels"]), out, batch).backward()
        pruning.gradients()
        optimizer.step()
        optimizer.zero_grad()
        pruning.step_end()


def test_any_model_of_torch_by_names(recwarn):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    pruning = recipelang.attach(net_recipe(), net, optimizer, steps_per_epoch=4)
    net_loop(pruning, net, optimizer)
    pruning.end()
    assert int((net.inner.weight == 0).sum()) == 48
    assert pruning.report().tensors == {"inner.weight": 0.5}
    assert not [w for w in recwarn if issubclass(w.category, RecipeWarning)]


def test_any_model_of_torch_learns_from_another():
    net, teacher = Net(), Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    text = net_recipe(more='distill { teacher = "none", hardness = 100%, temperature = 1 }')
    pruning = recipelang.attach(text, net, optimizer, steps_per_epoch=4, teacher=teacher)
    pruning.step_start()
    x, labels = torch.randn(8, 6), torch.zeros(8, dtype=torch.long)
    out = net(x)
    loss = pruning.loss(nn.functional.cross_entropy(out, labels), out, {"x": x, "labels": labels})
    s, t = torch.log_softmax(out, -1), torch.log_softmax(teacher(x), -1)
    assert torch.allclose(loss, (t.exp() * (t - s)).sum(-1).mean(), atol=1e-6)


@pytest.mark.parametrize("left_out", [True, False])
def test_a_teacher_is_compared_where_labels_of_chats_are_not_left_out(left_out):
    torch.manual_seed(0)
    model, teacher = (transformers.AutoModelForCausalLM.from_config(config_of("llama")) for _ in range(2))
    text = """recipe 1 "chats"
    model { base = "model", task = causal_lm }
    data { train = "none.jsonl" }
    stage tune {
      length = 4 steps, batch = 2, learning_rate = 1e-3
      distill { teacher = "none", hardness = 100%, temperature = 2 }
      prune all { targets = @linear & @decoder, method = magnitude, sparsity = 10% }
    }"""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruning = recipelang.attach(text, model, optimizer, steps_per_epoch=4, teacher=teacher)
    pruning.step_start()
    there = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    batch = {"input_ids": torch.randint(5, 60, (2, 6)), "attention_mask": there}
    batch["labels"] = batch["input_ids"].masked_fill(there == 0, -100)
    if left_out:
        batch["labels"][:, :3] = -100
    outputs = model(**batch)
    found = pruning.loss(outputs.loss, outputs, batch)
    with torch.no_grad():
        theirs = teacher(**batch).logits
    predicted = torch.nn.functional.pad(batch["labels"][:, 1:] >= 0, (0, 1)) if left_out else there
    assert found.item() == pytest.approx(kd_loss(outputs.logits, theirs, 2.0, predicted).item()) and found.item() > 0


def test_compiled_and_wrapped_models_go_by_their_own_names():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruning = recipelang.attach(net_recipe(), torch.compile(net), optimizer, steps_per_epoch=4)
    assert pruning.model is net


def test_snip_takes_the_gradients_of_the_batches_it_is_given():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    data = [{"x": torch.randn(8, 6), "labels": torch.randint(3, (8,))} for _ in range(3)]

    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch["x"]), batch["labels"])

    total = sum(torch.autograd.grad(loss(net, b), net.inner.weight)[0] for b in data[:2])
    effect = (net.inner.weight * total).abs().flatten()
    text = net_recipe(method="snip(batches = 2)", sparsity="50%")
    pruning = recipelang.attach(text, net, optimizer, steps_per_epoch=4, batches=data, task_loss=loss)
    before = torch.get_rng_state()
    pruning.step_start()
    assert torch.equal(torch.get_rng_state(), before), "the loop's own random numbers were used"
    assert net.inner.weight.grad is None and net.training
    kept = (net.inner.weight.detach() != 0).flatten()
    assert effect[kept].min() >= effect[~kept].max() and int(kept.sum()) == 48


def test_batches_that_a_loader_shuffles_are_the_same_again_within_an_event():
    from recipelang.loops.gradients import Sampler

    net = Net()
    loader = torch.utils.data.DataLoader([{"x": torch.randn(6)} for _ in range(16)], batch_size=4, shuffle=True)
    pruning = recipelang.attach(net_recipe(), net, torch.optim.SGD(net.parameters()), steps_per_epoch=4)
    seen = []
    sampler = Sampler(pruning._state, loader, lambda m, b: (seen.append(b["x"]), m(**b).sum())[1], pruning.plan)
    for _ in range(2):
        assert len(list(sampler(6, 4))) == 6
    assert torch.equal(torch.stack(seen[:6]), torch.stack(seen[6:]))
    pruning._state.step = 2
    list(sampler(6, 4))
    assert not torch.equal(torch.stack(seen[:6]), torch.stack(seen[12:]))
    with pytest.raises(RecipeError, match="E086]: each gradient needs 16 examples"):
        list(sampler(6, 16))


def test_masks_go_on_into_the_next_stage():
    first = """
stage a {
  length = 2 steps, batch = 8, learning_rate = constant(1e-2)
  prune p { targets = "inner.weight", method = magnitude, sparsity = 25% }
}"""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    text = net_recipe(stages=first)
    with pytest.raises(RecipeError, match="E086]: this recipe has 2 stages"):
        recipelang.attach(text, net, optimizer, steps_per_epoch=4)
    a = recipelang.attach(text, net, optimizer, steps_per_epoch=4, stage="a")
    net_loop(a, net, optimizer, 2)
    a.end()
    gone = net.inner.weight.detach() == 0
    with pytest.raises(RecipeError, match="E086]: this stage continues with the masks of `a`"):
        recipelang.attach(text, net, optimizer, steps_per_epoch=4, stage="s")
    s = recipelang.attach(text, net, optimizer, steps_per_epoch=4, stage="s", after=a)
    net_loop(s, net, optimizer)
    s.end()
    assert int(gone.sum()) == 24 and bool((net.inner.weight[gone] == 0).all())
    assert int((net.inner.weight == 0).sum()) == 48


# ------------------------------------------------------------------------ errors
def wrong(code, message, text=None, **more):
    net = more.pop("model", None) or Net()
    optimizer = more.pop("optimizer", None) or torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(RecipeError) as error:
        recipelang.attach(text or net_recipe(), net, optimizer, **{"steps_per_epoch": 4, **more})
    (d,) = error.value.diagnostics
    assert (d.code, d.message) == (code, message)
    shown = str(error.value)
    assert shown.startswith(f"error[{code}]: {message}\n")
    return shown


def test_what_does_not_fit_is_said_before_the_first_step():
    shown = wrong("E073", "the roles and layers of this model are unknown", net_recipe("@linear & @encoder"))
    assert '`"inner.weight"`, `"head.weight"`' in shown and "<text>:7:23" in shown
    wrong("E070", '`"iner.weight"` matches nothing in this model', net_recipe('"iner.weight"'))
    wrong("E086", "`steps_per_epoch` is 0", steps_per_epoch=0)
    wrong("E086", "`teacher=` is given, but this stage has no `distill`", teacher=Net())
    wrong("E086", "`batches=` is given, but no method of this stage uses batches", batches=[])
    wrong("E086", "`snip` needs batches to compute gradients", net_recipe(method="snip", sparsity="50%"))
    distils = net_recipe(more="distill { teacher = stage.a, hardness = 50%, temperature = 1 }", stages=DENSE)
    wrong("E086", "a custom loop must pass the teacher", distils, stage="s")
    net = Net()
    wrong("E086", "the teacher is the model itself", distils, stage="s", model=net, teacher=net)
    wrong("E086", "this recipe has no stage `t`", stage="t")
    other = torch.optim.SGD(Net().parameters(), lr=0.1)
    wrong("E086", "the optimizer does not hold `inner.weight`", optimizer=other)
    groups = [{"params": net.inner.parameters(), "lr": 0.1}, {"params": net.head.parameters(), "lr": 0.2}]
    two = torch.optim.SGD(groups)
    wrong("E086", "the groups of the optimizer have different learning rates", model=net, optimizer=two)
    recipelang.attach(net_recipe(), net, two, steps_per_epoch=4, learning_rate=False)


DENSE = "stage a { length = 2 steps, batch = 8, learning_rate = constant(1e-2) }"


def test_events_out_of_order_and_out_of_the_stage_are_errors():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruning = recipelang.attach(net_recipe(), net, optimizer, steps_per_epoch=4)
    with pytest.raises(RecipeError, match="E086]: `gradients` was called where `step_start` was expected"):
        pruning.gradients()
    pruning.step_start()
    with pytest.raises(RecipeError, match="E086]: `step_start` was called where `gradients` was expected"):
        pruning.step_start()
    pruning.gradients()
    with pytest.raises(RecipeError, match="E086]: `loss` was called where `step_end` was expected"):
        pruning.loss(torch.zeros(()))
    pruning.step_end()
    net_loop(pruning, net, optimizer, 3)
    with pytest.raises(RecipeError, match="E086]: this stage has 4 steps, but the loop continues"):
        pruning.step_start()


def test_distilled_loss_that_is_never_asked_for_is_an_error():
    net = Net()
    text = net_recipe(more='distill { teacher = "none", hardness = 50%, temperature = 1 }')
    pruning = recipelang.attach(text, net, torch.optim.SGD(net.parameters()), steps_per_epoch=4, teacher=Net())
    pruning.step_start()
    with pytest.raises(RecipeError, match=r"E086\]: the loop never called `pruning\.loss`"):
        pruning.gradients()


def test_loop_that_ends_early_is_warned_of():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruning = recipelang.attach(net_recipe(sparsity="50%"), net, optimizer, steps_per_epoch=4)
    net_loop(pruning, net, optimizer, 3)
    with pytest.warns(RecipeWarning, match=r"the loop ended at step 3 of 4; step 3 of 4: 50.00% zeros, 50.00% planned"):
        pruning.end()


def test_optimizer_that_moves_masked_weights_is_found_at_once():
    class Drifting(torch.optim.SGD):
        """As one that keeps the weights somewhere else."""

        def step(self, closure=None):
            super().step(closure)
            with torch.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p += 1e-3

    net = Net()
    optimizer = Drifting(net.parameters(), lr=0.1)
    pruning = recipelang.attach(net_recipe(), net, optimizer, steps_per_epoch=4)
    with pytest.raises(RecipeError, match="E086]: the optimizer moves masked weights"):
        net_loop(pruning, net, optimizer)
    assert pruning.step == 2


def test_weights_loaded_behind_the_masks_are_found():
    net = Net()
    dense = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruning = recipelang.attach(net_recipe(), net, optimizer, steps_per_epoch=4)
    net_loop(pruning, net, optimizer)
    net.load_state_dict(dense)
    with pytest.raises(RecipeError, match="E086]: masked weights are no longer zero"):
        pruning.end()


def test_matrices_without_a_role_are_warned_of(recipe):
    loop = loop_of(recipe)
    loop.model.extra = nn.Linear(32, 4)
    with pytest.warns(RecipeWarning, match="W106.*1 matrix has no role"):
        attached(loop, recipe)
    loop = loop_of(recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecipeWarning)
        attached(loop, recipe)


def test_model_without_a_head_has_roles_too(recipe):
    from transformers import BertModel

    loop = loop_of(recipe)
    body = BertModel(loop.model.config, add_pooling_layer=False)
    pruning = recipelang.attach(
        recipe, body, torch.optim.SGD(body.parameters()), steps_per_epoch=6, teacher=loop.teacher
    )
    assert pruning.plan.prunes[0].targets[0].name == "encoder.layer.0.attention.self.query.weight"


PROCESS = """
import gc, torch, torch.distributed as dist, recipelang
from tests.train.test_attach import Net, net_recipe

dist.init_process_group("gloo")
torch.manual_seed(0)
net = Net()
wrapped = torch.nn.parallel.DistributedDataParallel(net)
optimizer = torch.optim.AdamW(net.parameters())
text = net_recipe(method="movement", sparsity="cubic(0% -> 75%, over = start..end, every = 2 steps)")
pruning = recipelang.attach(text, wrapped, optimizer, steps_per_epoch=4)
torch.manual_seed(dist.get_rank() + 1)
for _ in range(pruning.steps):
    pruning.step_start()
    pruning.loss(wrapped(torch.randn(8, 6)).square().mean()).backward()
    pruning.gradients()
    optimizer.step()
    optimizer.zero_grad()
    pruning.step_end()
pruning.end()
both = [torch.empty_like(net.inner.weight) for _ in range(2)]
dist.all_gather(both, net.inner.weight.detach())
assert torch.equal(*both) and int((both[0] == 0).sum()) == 72, both
# the reducer would be the last to hold the group, and end it with Python's lock, for which the group's threads wait
del pruning, wrapped
gc.collect()
dist.destroy_process_group()
"""


def test_processes_that_share_gradients_have_the_same_masks():
    with ranks(program=PROCESS) as both:
        ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
