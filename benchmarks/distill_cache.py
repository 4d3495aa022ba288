"""What a teacher costs a training step: without one, with one that runs, with one whose outputs are kept.

    python benchmarks/distill_cache.py [--rounds 8]

The engine's own loop on equal 6 x 384 encoders with an equal teacher, fp32, the batches of `lib://facts`. A
round takes a chunk of steps of each of four: two without distillation, whose difference is the noise, one
with the teacher running, one with its outputs kept; the order rotates. Needs the quickstart's encoder
(`make demo`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from recipelang.engine.environment import chosen_device
from recipelang.engine.groups import make_optimizer
from recipelang.engine.loop import train
from recipelang.engine.models import load_model
from recipelang.engine.teacher_cache import Wanted, teacher_outputs
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.modifiers.distill import Distill, Running
from recipelang.modifiers.learning_rate import LearningRate
from recipelang.modifiers.modifier import Modifier, State
from recipelang.planning.data import load_examples
from recipelang.pruning.masks import Masks
from recipelang.tasks import question_answering as task

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.recipe"
CHUNK = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    _, plan, _ = planned(str(RECIPE), read_around([f"sparse={CHUNK * (rounds + 1)} steps"]))
    stage, data = plan.stages[1], plan.data[0]
    folder, distill = Path(plan.model.path), stage.distills[0]
    features = task.featurize(load_examples(data, "train"), task.load_tokenizer(folder), data.max_length, data.stride)
    device = chosen_device()

    def load() -> torch.nn.Module:
        return load_model(folder, plan.model, plan.seed).to(device)

    def chunks(*modifiers: Modifier) -> Callable[[int], float]:
        model = load()
        state = State(model, make_optimizer(stage, model), Masks(), stage.steps)

        def run(first: int) -> float:
            start = time.perf_counter()
            train(
                stage, state, features, [LearningRate(stage.learning_rate), *modifiers], device, nullcontext,
                shuffle=True, order_seed=stage.seed, until=first + CHUNK, after_step=lambda watch, due: watch.agree(0, due),
            )  # fmt: skip
            return time.perf_counter() - start

        return run

    with tempfile.TemporaryDirectory() as kept:
        wanted = Wanted(
            teacher="",
            features=features,
            per_token=task.TASK.per_token,
            rows=np.arange(len(features)),
            outputs=task.OUTPUTS,
            kept="fp16",
            precision="fp32",
        )
        start = time.perf_counter()
        cache = teacher_outputs(
            Path(kept), wanted, load, nullcontext, stage.micro_batch, lambda: None, lambda text: None
        )
        filled = time.perf_counter() - start
        size = sum(f.stat().st_size for f in Path(kept).rglob("*.safetensors"))
        arms = {
            "none": chunks(),
            "none again": chunks(),
            "teacher": chunks(Distill(distill, Running(load()), task.OUTPUTS)),
            "cache": chunks(Distill(distill, cache, task.OUTPUTS)),
        }
        for run in arms.values():
            run(0)
        times: dict[str, list[float]] = {name: [] for name in arms}
        names = [*arms]
        for i in range(1, rounds + 1):
            for name in names[i % 4 :] + names[: i % 4]:
                times[name].append(arms[name](i * CHUNK) / CHUNK)
    print(
        f"{device}, {torch.get_num_threads()} threads, {rounds} rounds of {CHUNK} steps, batch "
        f"{stage.batch} x {features.width} tokens, torch {torch.__version__}"
    )
    print(f"cache: {len(features):,} items in {filled:.1f} s, {size / 1e6:.2f} MB")
    for name in names:
        ratios = [a / b for a, b in zip(times[name], times["none"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:11} {statistics.median(times[name]) * 1e3:7.1f} ms a step, {middle:.3f} of none "
            f"(median of paired rounds; quartiles {low:.3f}..{high:.3f})"
        )


if __name__ == "__main__":
    main()
