"""What keeping masks costs a training step: paired steps of a dense and a masked model in one process.

    python benchmarks/masked_steps.py [--rounds 100]

An encoder of 6 x 384 with a question answering head, batch 8 x 128 tokens, fp32,
clipping, fused AdamW. A round takes one step of each of three equal models, in an
order that rotates: two dense ones, whose difference is the noise, and one with 90 %
of its 36 encoder matrices masked. Intervals are 95 % bootstrap intervals of the
median paired difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import BertConfig, BertForQuestionAnswering

from recipelang.pruning import selection
from recipelang.pruning.masks import Masks
from recipelang.pruning.scores import magnitude


def model() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForQuestionAnswering(config).train()


def prune(net: torch.nn.Module) -> Masks:
    masks = Masks()
    targets = {n: p for n, p in net.named_parameters() if "encoder.layer" in n and p.dim() == 2}
    live = [masks.live(n, p) for n, p in targets.items()]
    keeps = selection.uniform(magnitude.scores(list(targets.values())), [round(0.9 * m.numel()) for m in live], live)
    for (name, parameter), keep in zip(targets.items(), keeps, strict=True):
        masks.set(name, parameter, keep)
    return masks


def stepper(net: torch.nn.Module, masks: Masks | None, batch: dict[str, torch.Tensor]) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)

    def step() -> float:
        start = time.perf_counter()
        net(**batch).loss.backward()
        if masks is not None:
            masks.apply_gradients()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - start

    return step


def report(name: str, differences: np.ndarray, step: float) -> None:
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(differences, (2_000, len(differences))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    middle = float(np.median(differences))
    print(
        f"{name:22} {middle * 1e3:+7.2f} ms  [{low * 1e3:+.2f}, {high * 1e3:+.2f}]"
        f"   {middle / step:+.2%} of a step  [{low / step:+.2%}, {high / step:+.2%}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=102)
    rounds = parser.parse_args().rounds
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1_000, 20_000, (8, 128), generator=generator)
    places = torch.randint(128, (8,), generator=generator)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "start_positions": places,
        "end_positions": places,
    }
    nets = [model() for _ in range(3)]
    steps = [stepper(nets[0], None, batch), stepper(nets[1], None, batch), stepper(nets[2], prune(nets[2]), batch)]
    for step in steps:
        step(), step()  # moments are made, memory is warm
    times = np.empty((rounds, 3))
    for i in range(rounds):
        order = [(i + k) % 3 for k in range(3)] if i % 2 else [(i - k) % 3 for k in range(3)]
        for k in order:
            times[i, k] = steps[k]()
    step_time = float(np.median(times[:, 0]))
    print(
        f"{torch.get_num_threads()} threads, {rounds} rounds, torch {torch.__version__}; a dense step {step_time:.3f} s"
    )
    report("dense - dense", times[:, 1] - times[:, 0], step_time)
    report("masked - dense", times[:, 2] - times[:, :2].mean(axis=1), step_time)


if __name__ == "__main__":
    main()
