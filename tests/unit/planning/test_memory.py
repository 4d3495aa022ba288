"""What a method takes beside the weights is in the plan: bytes at the peak, and oBERT's passes."""

import json

import pytest
import torch
from torch import nn

from recipelang.loading.plan import planned
from recipelang.methods.declaration import Memory
from recipelang.modifiers.prune import make
from recipelang.planning import memory
from recipelang.planning.calibration import _Read, _work
from recipelang.pruning.passes import block_bytes
from tests.cli.command import command

SCHEDULE = "cubic(50% -> target, over = 0%..80%, every = 2 steps)"


def recipe(project, method: str):
    path = project(replace=(SCHEDULE, "cubic(0% -> target, over = 0%..80%, every = 2 steps)"))
    old = "if scope == uniform then magnitude(scope = uniform) else magnitude(scope = global)"
    path.write_text(path.read_text("utf-8").replace(old, method), "utf-8")
    return path


def of(project, method: str):
    plan = planned(str(recipe(project, method)))[1]
    return plan, plan.stages[1].prunes[0]


# weights of the tiny model's encoder
TARGETS = 16_384


#: bytes a weight are our own measure of each: from the declaration they would be compared with themselves
@pytest.mark.parametrize(
    ("method", "bytes_a_weight"),
    [("magnitude", 0), ("movement", 4), ("snip", 4), ("rigl", 4), ("soft_movement", 16), ("redrawn_movement", 20)],
)
def test_scores_and_moments_are_counted(project, method, bytes_a_weight, monkeypatch):
    monkeypatch.setattr(memory, "_SHARE", 0)  # holes, which are a share of all that is counted
    plan, prune = of(project, method)
    assert (prune.scoring, prune.passes) == (bytes_a_weight * TARGETS, 1)
    least = of(project, "magnitude")[0]
    assert plan.peak_memory == least.peak_memory + prune.scoring


@pytest.mark.parametrize(("method", "moments"), [("movement", 1), ("soft_movement", 3)])
def test_what_is_counted_is_what_is_kept(method, moments):
    weight = nn.Parameter(torch.ones(8, 8))
    weight.grad = torch.ones(8, 8)
    it = make(method, {}, ["w"], 0)
    it.observe([weight])
    assert sum(t.numel() for t in it.state().values() if t.dim()) == moments * 64


def test_obert_takes_all_blocks_at_once_unless_it_may_not(project):
    _, prune = of(project, "obert(block = 32)")
    assert prune.passes == 1
    assert prune.scoring == 4 * TARGETS + TARGETS // 32 * block_bytes(32)


# a block of 32 weights takes 6,144 bytes, and there are 512
@pytest.mark.parametrize(
    ("memory", "passes", "blocks"), [("10 MB", 1, 512), ("1 MB", 4, 162), ("100 kB", 32, 16), ("1 B", 512, 1)]
)
def test_passes_are_as_many_as_the_memory_asks_for(project, memory, passes, blocks):
    _, prune = of(project, f"obert(block = 32, memory = {memory})")
    assert prune.passes == passes
    assert prune.scoring == 4 * TARGETS + blocks * block_bytes(32)


def test_the_plan_has_the_passes_that_the_engine_makes(project):
    plan, prune = of(project, "obert(block = 32, memory = 100 kB)")
    weights = [nn.Parameter(torch.randn(t.shape)) for t in prune.targets]
    parts = make("obert", prune.args, [t.name for t in prune.targets], 0)._cut(weights)
    assert len(parts) == prune.passes
    assert plan.peak_memory > prune.scoring


def test_the_screen_tells_passes_and_draws(project):
    path = recipe(project, "obert(block = 32, gradients = 64, batch = 4, recomputations = 2, memory = 1 MB)")
    shown = " ".join(command("plan", str(path)).out.split())
    # 4 parts: the scores of each, and the update of all but the last, in each of two rounds
    assert "each event draws 64 gradients of 4 examples 14 times; 1.06 MB in 4 passes" in shown
    shown = " ".join(command("plan", str(recipe(project, "obert(block = 32)"))).out.split())
    assert (
        "each event draws 1,024 gradients of 16 examples; 3.21 MB in one pass, in more passes if less memory is free"
        in shown
    )


def test_json_of_the_plan_has_them_too(project):
    path = recipe(project, "obert(block = 32, memory = 1 MB)")
    prune = json.loads(command("plan", str(path), "--json").out)["stages"][1]["prunes"][0]
    assert prune["passes"] == 4 and prune["scoring"] > 0 and prune["args"]["memory"] == 1_000_000


def test_statistics_are_there_until_the_last_matrix_that_reads_the_same_is_done():
    """Two matrices that share 10 inputs, and one of 20 with more weights than both: bytes counted by hand."""
    memory = Memory(pair=4, made=8, fitted=20)
    reads = [_Read("qk", 10, 50), _Read("qk", 10, 30), _Read("down", 20, 100)]
    work = _work(reads, memory)
    assert work.gathered == 4 * 100 + 4 * 400
    assert work.statistics == 4 * 400 + 8 * 400  # those of the last one alone, with what is made of them
    assert work.fitted == max(4800, 8 * 400 + 20 * 100, 8 * 100 + 4 * 400 + 20 * 50)


def test_statistics_of_one_number_an_input_are_gathered_once_for_all_that_read_the_same():
    work = _work([_Read("gu", 10, 60), _Read("gu", 10, 60)], Memory(input=8, fitted=8))
    assert (work.gathered, work.statistics, work.fitted) == (80, 80, 80 + 8 * 60)
