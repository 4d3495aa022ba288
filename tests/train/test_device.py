"""A run on a device that is not the CPU: the same bits, and no step that waits for it or copies more than it has to.

Every recipe here runs on both in one process, forked once. `make device` runs every method in every pattern.
"""

import json
import os

import pytest

from recipelang.methods import METHODS

from ..conftest import RECIPE, make_data, make_model
from ..forked import forked
from ..other_tasks import make_task

PROGRAM = "from tests.train.on_device import main\nmain()"

HEAD = """recipe 1 "device"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens, samples = 24 samples }
"""
TRAIN = """stage sparse {
  length = 4 steps
  batch = 8
  learning_rate = 1e-3
  MORE
  prune weights {
    targets = @linear & @encoder
    method = METHOD
    pattern = PATTERN
    sparsity = SPARSITY
  }
}
evaluate dev { metrics = [f1] }
"""
ONE_SHOT = """stage cut {
  mode = one_shot
  prune weights { targets = @linear & @encoder, method = METHOD, pattern = PATTERN, sparsity = 50% }
}
evaluate dev { metrics = [f1] }
"""
ARGUMENTS = {"obert": "(block = 8, gradients = 4, batch = 4)", "sparsegpt": "(block = 16)"}
SCHEDULES = {"2:4": "step(0% -> 50%, at = 2 steps)", "rigl": "linear(50% -> 60%, over = start..end, every = 2 steps)"}

FEATURES = """freeze e { targets = @embeddings, until = 3 steps }
  group head { targets = @head, learning_rate = 1e-2 }
  checkpoint_every = 3 steps"""
MIX = "teacher = stage.dense, hardness = 80%, temperature = 2, on = [logits, hidden(weight = 0.5), attention]"
KEPT = "teacher = stage.dense, hardness = 80%, temperature = 2, cache = true"


def small(method, pattern="unstructured", text=TRAIN, more=""):
    sparsity = (
        SCHEDULES.get(pattern) or SCHEDULES.get(method) or "linear(0% -> 60%, over = start..end, every = 2 steps)"
    )
    arguments = "(scope = uniform)" if method == "wanda" and pattern.startswith("block") else ARGUMENTS.get(method, "")
    changes = {"METHOD": method + arguments, "PATTERN": pattern, "SPARSITY": sparsity, "MORE": more}
    for old, new in changes.items():
        text = text.replace(old, new)
    return HEAD + text


def two_stages(distill, extra, micro):
    text = RECIPE.format(length="2 epochs", extra=extra).replace(", checkpoint_every = 1 epoch", "")
    old = "teacher = stage.dense, hardness = 80%, temperature = 2"
    assert old in text
    return (
        text.replace(old, distill)
        .replace("micro: int = 8", f"micro: int = {micro}")
        .replace("evaluate dev { metrics = [f1, exact_match] }", "evaluate dev { metrics = [f1], every = 4 steps }")
    )


#: recipes, each with the step at which it is interrupted and resumed on the device
KINDS = {
    "states and maps of a teacher": (two_stages(MIX, "", 4), None),
    "what a teacher has said, resumed": (two_stages(KEPT, FEATURES, 4), 14),
    "movement": (small("movement", "2:4"), None),
    "obert": (small("obert"), None),
    "rigl": (small("rigl"), None),
    "wanda in one shot": (small("wanda", text=ONE_SHOT), None),
}
#: a step is skipped, without the host's knowledge
NARROW = "movement in fp16, resumed"
KINDS[NARROW] = (small("movement", more="precision = fp16\n  micro_batch = 4"), 3)
if os.environ.get("RECIPELANG_WHOLE_DEVICE"):
    KINDS |= {
        f"{m.name} {pattern} {kind}": (small(m.name, pattern, text, more), None)
        for m in METHODS.values()
        if m.scheduled
        for pattern in ("unstructured", "2:4", "block(2, 4)")
        for kind, text, more in (
            ("trained", TRAIN, ""),
            ("in small parts", TRAIN, "micro_batch = 2"),
            ("in one shot", ONE_SHOT, ""),
        )
        if (m.looks_at != "inputs" if text is TRAIN else m.looks_at != "steps" and not m.regrows)
        and pattern.partition("(")[0].replace("2:4", "N:M") in m.patterns
    }
#: its head has the weights of the embeddings
TIED = "weights under two names"
KINDS[TIED] = ("", None)
#: methods that look at every step
LOOPS = [m.name for m in METHODS.values() if m.looks_at == "steps"]
SPOILED = "a gradient that is not finite"


@pytest.fixture(scope="module")
def found(tmp_path_factory, request):
    """What the child found of every kind that is asked for."""
    folder = tmp_path_factory.mktemp("device")
    make_model(folder / "model", hidden=16, layers=2)
    make_data(folder / "train.json", 44)
    make_data(folder / "dev.json", 10, seed=1)
    asked = {
        i.callspec.params["kind"]
        for i in request.session.items
        if i.module is request.module and "kind" in i.fixturenames
    }
    jobs = {}
    for number, (name, (text, stop)) in enumerate(
        {**KINDS, SPOILED: (small("magnitude", more="checkpoint_every = 2 steps"), None)}.items()
    ):
        path = folder / f"kind-{number}.recipe"
        if name == TIED:
            (folder / "tied").mkdir()
            path = make_task(folder / "tied", "masked_lm")
        else:
            path.write_text(text, "utf-8")
        if name in asked or name == SPOILED:
            broken = [1] if name == NARROW else []
            jobs[name] = {"recipe": str(path), "stop": stop, "spoil": 2 if name == SPOILED else None, "broken": broken}
    for method in LOOPS:
        jobs |= {f"{method}, {taken}": {"method": method, "taken": taken} for taken in (True, False)}
    (folder / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    with forked(folder / "jobs.json", program=PROGRAM) as child:
        out, err = child.communicate(timeout=60 + 30 * len(jobs))
    assert child.poll() == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_leaves_the_bits_of_the_cpu(found, kind):
    it = found[kind]
    assert "failed" not in it, it["failed"]
    assert it["same"] and it["metrics"] and it["resumed"]
    assert it["zeros"] > 0


def counts(step):
    return tuple(sum(step[what].values()) for what in ("reads", "left", "arrived"))


def plain(steps, stage):
    """Steps without an event, a checkpoint or an evaluation: what a stage does thousands of times."""
    return [s for s in steps if s["stage"] == stage and s["step"] in (1, 9)]


@pytest.mark.parametrize("kind", [k for k in KINDS if "teacher" in k])
def test_no_step_waits_for_the_device_and_all_of_a_batch_crosses_at_once(found, kind):
    steps = found[kind]["steps"]
    assert [counts(s) for s in plain(steps, "dense")] == [(0, 0, 1)]
    assert [counts(s) for s in plain(steps, "sparse")] == [(0, 0, 1)] * 2
    last = [s for s in steps if s["step"] == (5 if s["stage"] == "dense" else 11)]
    assert [counts(s) for s in last] == [(0, 1, 1)] * 2  # all losses since the last time at once


def test_a_step_that_overflows_in_fp16_is_skipped_on_the_device(found):
    steps = found[NARROW]["steps"]
    assert [counts(s) for s in plain(steps, "sparse")] == [(0, 0, 1)]


def test_the_first_bad_step_is_named_and_nothing_of_it_is_kept(found):
    it = found[SPOILED]
    assert "failed" not in it, it["failed"]
    assert (it["code"], it["message"]) == ("E082", "the norm of the gradients is nan at step 2 of stage `sparse`")
    assert it["kept"] == ["stage-00-step-00000002"]  # before that step; the next would have been of the end


@pytest.mark.parametrize("method", LOOPS)
def test_a_loop_of_ones_own_does_not_wait_for_the_device(found, method):
    """A step whose gradients a scaler throws away leaves no trace in the scores, and nobody has asked the device for it."""
    it = found[f"{method}, False"]
    assert "failed" not in it, it["failed"]
    assert it["same"]
    waits = it["waits"]
    # a choice of masks counts zeros: at events, or at every step from the first on
    chosen = range(7, len(waits)) if METHODS[method].masks == "draws" else (7, 9, 13, 19)
    assert not any(n for step, n in enumerate(waits) if step not in (0, *chosen)), waits


@pytest.mark.parametrize("method", LOOPS)
def test_a_loop_of_ones_own_names_the_first_bad_step(found, method):
    it = found[f"{method}, True"]
    assert "failed" not in it, it["failed"]
    assert it["said"] == ["E082: gradients are not finite at step 5"]
