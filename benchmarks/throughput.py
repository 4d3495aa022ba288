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
from contextlib import nullcontext
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
CHUNK = 8


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

    def ours(first: int) -> float:
        start = time.perf_counter()
        train(
            stage, state, features, modifiers, device, nullcontext,
            shuffle=True, order_seed=stage.seed, until=first + CHUNK, after_step=lambda loss, due: None,
        )  # fmt: skip
        return time.perf_counter() - start

    def plain(first: int) -> float:
        start = time.perf_counter()
        for rows in batches(stage, len(features), True, stage.seed, first, first + CHUNK):
            batch = {k: torch.from_numpy(v) for k, v in task.collate(features, rows).items()}
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
        return time.perf_counter() - start

    ours(0), plain(0)
    times = []
    for i in range(1, rounds + 1):
        first = i * CHUNK
        if i % 2:
            a = ours(first)
            b = plain(first)
        else:
            b = plain(first)
            a = ours(first)
        times.append((a, b))
    a, b = (statistics.median(t) / CHUNK for t in zip(*times, strict=True))
    ratio = statistics.median(y / x for x, y in times)
    print(f"{torch.get_num_threads()} threads, {rounds} rounds of {CHUNK} steps, torch {torch.__version__}")
    print(f"ours {a:.3f} s a step, bare loop {b:.3f} s; throughput ratio {ratio:.3f} (median of paired rounds)")


if __name__ == "__main__":
    main()
