"""Training in fp16: the loss is scaled, a step that overflows changes nothing, and a run resumes to the same bits."""

import json
import math

import pytest
import torch

from recipelang.engine import gradients
from recipelang.engine.records import Interrupted, Reporter
from recipelang.modifiers.modifier import Modifier
from recipelang.source import RecipeError

from .steps import StopAt, also_acting, run, same, weights
from .test_pruning import targets

RECIPE = """recipe 1 "half"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, samples = 24 samples }
stage sparse {
  length = 8 steps
  batch = 8
  micro_batch = 4
  precision = PRECISION
  optimizer = OPTIMIZER
  learning_rate = linear(1e-3 -> 1e-4, over = start..end)
  checkpoint_every = 3 steps
  prune weights {
    targets = @linear & @encoder
    method = METHOD
    sparsity = linear(0% -> 60%, over = start..end, every = 2 steps)
  }
}
"""


class Overflow(Modifier):
    """At some steps one gradient is infinite, as if the backward pass had overflowed: seen before anybody else acts."""

    def __init__(self, *steps):
        self.steps = steps
        self.rates = []

    def on_loss(self, state):
        if state.step in self.steps:
            state.loss = state.loss * math.inf

    def on_step_end(self, state):
        self.rates.append(state.optimizer.param_groups[0]["lr"])


class Told(Reporter):
    def __init__(self):
        self.losses, self.messages = [], []

    def stepped(self, stage, step, loss, rate, sparsity):
        self.losses.append(loss)

    def message(self, text):
        self.messages.append(text)


@pytest.fixture
def recipe(project, tmp_path):
    def write(precision="fp16", method="magnitude", optimizer="adamw"):
        changes = {"PRECISION": precision, "METHOD": method, "OPTIMIZER": optimizer}
        text = RECIPE
        for old, new in changes.items():
            text = text.replace(old, new)
        (tmp_path / "half.recipe").write_text(text, "utf-8")
        return tmp_path / "half.recipe"

    return write


def recorded(out):
    return json.loads((out / "run.json").read_text("utf-8")).get("fp16")


def test_training_in_fp16_is_close_to_fp32(recipe, tmp_path):
    wide, narrow = Told(), Told()
    run(recipe("fp32", "movement"), tmp_path / "fp32", wide)
    run(recipe("fp16", "movement"), tmp_path / "fp16", narrow)
    assert narrow.losses == pytest.approx(wide.losses, abs=2e-3)
    assert narrow.losses != wide.losses
    one, other = targets(tmp_path / "fp32"), targets(tmp_path / "fp16")
    assert all(int((one[n] == 0).sum()) == int((other[n] == 0).sum()) > 0 for n in one)
    assert sum(int(((one[n] == 0) == (other[n] == 0)).sum()) for n in one) > 0.95 * sum(w.numel() for w in one.values())
    assert {w.dtype for w in other.values()} == {torch.float32}
    assert recorded(tmp_path / "fp32") is None
    assert recorded(tmp_path / "fp16") == {"sparse": {"skipped": 0, "scale": 65536.0}}


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [("movement", "adamw"), ("soft_movement", "sgd(momentum = 0.9)"), ("magnitude", "sgd(momentum = 0.9)")],
)
def test_a_step_that_overflows_changes_nothing_and_is_counted(recipe, tmp_path, monkeypatch, method, optimizer):
    """The learning rate and the events go by the number of a step, also where it was skipped; cut and resumed it is the same."""
    overflow, told = Overflow(0, 3), Told()
    also_acting(monkeypatch, lambda stage: overflow)
    path = recipe(method=method, optimizer=optimizer)
    run(path, tmp_path / "whole", told)
    assert [math.isfinite(loss) for loss in told.losses] == [n not in (0, 3) for n in range(8)]
    assert recorded(tmp_path / "whole") == {"sparse": {"skipped": 2, "scale": 16384.0}}
    assert [m for m in told.messages if "overflow" in m] == [
        f"fp16 overflow: step {n} of stage `sparse` changed nothing; the loss scale is now {scale}"
        for n, scale in ((0, "32,768"), (3, "16,384"))
    ]
    assert overflow.rates == pytest.approx([1e-3 - 9e-4 * n / 8 for n in range(8)])
    after = targets(tmp_path / "whole")
    assert all(w.isfinite().all() for w in after.values())
    zeros, size = (sum(f(w) for w in after.values()) for f in (lambda w: int((w == 0).sum()), torch.Tensor.numel))
    assert zeros == pytest.approx(0.6 * size, abs=len(after))
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", StopAt(1))
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", StopAt(3), resume=True)
    run(path, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert recorded(tmp_path / "cut") == recorded(tmp_path / "whole")


def test_where_no_scale_helps_the_run_ends_and_the_last_checkpoint_is_named(recipe, tmp_path, monkeypatch):
    also_acting(monkeypatch, lambda stage: Overflow(*range(4, 40)))
    path = recipe()
    path.write_text(path.read_text("utf-8").replace("8 steps\n", "40 steps\n"), "utf-8")
    with pytest.raises(RecipeError) as raised:
        run(path, tmp_path / "out")
    (said,) = raised.value.diagnostics
    assert (said.code, said.message) == ("E171", "fp16 overflow at step 20 of stage `sparse`")
    assert "the loss is not finite either" in said.notes[1]
    assert "the last good checkpoint is `stage-00-step-00000018`" in said.notes[2]
    assert recorded(tmp_path / "out") == {"sparse": {"skipped": 16, "scale": 1.0}}
    assert all(
        w.isfinite().all() for w in weights(tmp_path / "out" / "checkpoints" / "stage-00-step-00000018").values()
    )


ONE_SHOT = """recipe 1 "cut"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, samples = 16 samples }
stage cut {
  mode = one_shot
  precision = PRECISION
  prune weights { targets = @linear & @encoder, method = snip(batches = 2), sparsity = 50% }
}
"""


def test_gradients_of_an_event_are_scaled_and_scaled_back(project, tmp_path, monkeypatch):
    """A batch that overflows is done again with half the scale, until it does not."""
    scales = []
    scaled_back = gradients.unscale

    def look(grads, scale):
        scales.append(float(scale))
        return scaled_back(grads, scale)

    monkeypatch.setattr(gradients, "unscale", look)
    found = []
    for precision, start in (("fp32", 0.0), ("fp16", 65536.0), ("fp16", 2.0**24)):
        monkeypatch.setattr(gradients, "START", start)
        (tmp_path / "cut.recipe").write_text(ONE_SHOT.replace("PRECISION", precision), "utf-8")
        run(tmp_path / "cut.recipe", tmp_path / f"out-{len(found)}")
        found.append(targets(tmp_path / f"out-{len(found)}"))
    assert scales[:2] == [65536.0] * 2 and scales[2:4] == [2.0**24, 2.0**23] and 1.0 < scales[-1] < 2.0**24
    for other in found[1:]:
        agree = sum(int(((w == 0) == (other[n] == 0)).sum()) for n, w in found[0].items())
        assert agree > 0.98 * sum(w.numel() for w in other.values())
        assert sum(int((w == 0).sum()) for w in other.values()) == sum(int((w == 0).sum()) for w in found[0].values())


def test_gradients_of_an_event_that_overflow_at_every_scale_end_the_run(project, tmp_path, monkeypatch):
    monkeypatch.setattr(gradients, "unscale", lambda grads, scale: torch.ones(()))
    (tmp_path / "cut.recipe").write_text(ONE_SHOT.replace("PRECISION", "fp16"), "utf-8")
    with pytest.raises(RecipeError, match="E171]: fp16 overflow while gradients are gathered for a score"):
        run(tmp_path / "cut.recipe", tmp_path / "out")
