"""The engine's loop against a bare PyTorch loop that does the same work.

    python benchmarks/throughput.py [--rounds 12]

The same batches of `lib://facts`, the same forward, teacher forward, distillation
loss, backward, clipping and fused AdamW, on equal 6 x 384 encoders, fp32; ours
with masks at 90 %, schedules, the finite-loss check and a reporter. Chunks of
steps are taken in turns, order swapped. Needs the quickstart's encoder (`make demo`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch

from recipelang.engine.acting import acting
from recipelang.engine.environment import chosen_device
from recipelang.engine.groups import make_optimizer
from recipelang.engine.loop import train
from recipelang.engine.models import load_model
from recipelang.engine.order import batches
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.modifiers.distill import Running
from recipelang.modifiers.distill_terms import kd_loss
from recipelang.modifiers.modifier import State
from recipelang.planning.data import load_examples
from recipelang.pruning.masks import Masks
from recipelang.tasks import question_answering as task

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.recipe"
CHUNK = 4  # few steps, so that both see the same of whoever else is at work


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args().rounds
    _, plan, _ = planned(str(RECIPE), read_around([f"sparse={CHUNK * (rounds + 1)} steps"]))
    stage, data = plan.stages[1], plan.data[0]
    folder = Path(plan.model.path)
    features = task.featurize(load_examples(data, "train"), task.load_tokenizer(folder), data.max_length, data.stride)
    mine, bare, teacher = (load_model(folder, plan.model, plan.seed) for _ in range(3))
    state = State(mine, make_optimizer(stage, mine), Masks(), stage.steps)
    modifiers = acting(stage, [Running(teacher)], task.OUTPUTS)
    device = chosen_device()
    optimizer = make_optimizer(stage, bare)
    bare.train()
    hardness, temperature = stage.distills[0].hardness[0].start, stage.distills[0].temperature[0].start

    def ours(first: int) -> None:
        train(
            stage, state, features, modifiers, device, nullcontext,
            shuffle=True, order_seed=stage.seed, until=first + CHUNK,
            after_step=lambda watch, due: watch.agree(0, due, now=state.step == first + CHUNK),
        )  # fmt: skip

    def plain(first: int) -> None:
        for rows in batches(stage, len(features), True, stage.seed, first, first + CHUNK):
            batch = {k: torch.from_numpy(v) for k, v in features.batch(rows).items()}
            outputs = bare(**batch)
            with torch.no_grad():
                known = teacher(**{k: v for k, v in batch.items() if k not in task.TASK.labels})
            kd = sum(kd_loss(getattr(outputs, o), getattr(known, o), temperature) for o in task.OUTPUTS) / 2
            loss = (1 - hardness) * outputs.loss + hardness * kd
            loss.backward()
            torch.nn.utils.clip_grad_norm_(bare.parameters(), stage.clip or 1.0)
            for group in optimizer.param_groups:
                group["lr"] = 1e-5
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    ours(0)
    plain(0)
    times = []
    for i in range(1, rounds + 1):
        order = (ours, plain) if i % 2 else (plain, ours)
        took = {run: both_clocks(partial(run, i * CHUNK)) for run in order}
        times.append((took[ours], took[plain]))
    print(f"{torch.get_num_threads()} threads, {rounds} rounds of {CHUNK} steps, torch {torch.__version__}")
    for clock, name in enumerate(("wall clock", "processor")):
        own, floor = ([pair[arm][clock] for pair in times] for arm in (0, 1))
        low, middle, high = statistics.quantiles([b / a for a, b in zip(own, floor, strict=True)], n=4)
        print(
            f"{name}: ours {statistics.median(own) / CHUNK:.3f} s a step, bare loop {statistics.median(floor) / CHUNK:.3f} s;"
            f" throughput ratio {middle:.3f} (median of paired rounds; quartiles {low:.3f}..{high:.3f}),"
            f" of the fastest rounds {min(floor) / min(own):.3f}"
        )


def both_clocks(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds that pass, and seconds of the processor, which others at work on the machine change little."""
    start, worked = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - worked


if __name__ == "__main__":
    main()
