"""A checkpoint saved and loaded, against `torch.save` and `torch.load` of the same tensors.

    python benchmarks/checkpoints.py [--base] [--rounds 9] [--folder DIR]

Weights, two moments of AdamW and masks at 90 % of a BERT encoder of 6 x 384, with `--base` of BERT-base's size. Ours
writes safetensors into a new folder and names it when all is on the disk, with a digest of every file; loading compares
the digests. The floor writes one file and waits for the disk as well. Both in turns on the same disk; ratios are of
medians. The time of the digests is given on its own: nothing else checks that what is read is what was written. They are
made beside the reading, so a machine with one idle processor pays for them in full. Of a save, the copy that steps wait for
is given too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from plans import acting, block
from timing import timed
from transformers import BertConfig, BertForQuestionAnswering

from recipelang.engine import checkpoint
from recipelang.engine.position import Position, Session
from recipelang.modifiers.modifier import State
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import Plan, Segment, StagePlan
from recipelang.storage.reading import sha256


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured; none: the temporary one")
    arguments = parser.parse_args()
    size: dict[str, Any] = (
        {} if arguments.base else {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    )
    model = BertForQuestionAnswering(BertConfig(**size))
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    names = [n for n, p in model.named_parameters() if p.ndim == 2 and "encoder" in n]
    prune, state = acting(model, optimizer, block(model, names, "global", [0.9]))
    prune.on_step_start(state)
    state.masks.apply_gradients()
    optimizer.step()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        measure(Path(name), model, state, optimizer, planned(prune.plan), arguments.rounds)


DIGEST = "sha256:" + "0" * 64


def planned(block: PrunePlan) -> Plan:
    """What a checkpoint is compared with: one stage, a step of which is done."""
    rate = Segment(shape="constant", first=0, last=10, start=1e-4, end=1e-4)
    stage = StagePlan.model_construct(
        name="sparse", index=0, steps=10, optimizer="adamw", learning_rate=(rate,), seed=0, prunes=(block,)
    )
    return Plan.model_construct(behaviour_digest=DIGEST, data=(), stages=(stage,), seed=0)


def position() -> Position:
    session = Session(started="now", environment={}, spec=DIGEST)
    return Position(behaviour=DIGEST, step=1, sessions=[session])


def digests(folder: Path) -> list[str]:
    return [sha256(p) for p in folder.iterdir()]


def measure(
    folder: Path, model: torch.nn.Module, state: State, optimizer: torch.optim.Optimizer, plan: Plan, rounds: int
) -> None:
    ours, theirs = folder / "ours", folder / "theirs.pt"

    def save_ours() -> None:
        checkpoint.save(ours, position(), model, state.masks, optimizer, 1)

    def save_theirs() -> None:
        body = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "masks": state.masks.state()}
        with theirs.with_suffix(".tmp").open("wb") as file:
            torch.save(body, file)
            file.flush()
            os.fsync(file.fileno())
        theirs.with_suffix(".tmp").replace(theirs)

    def load_ours() -> None:
        (newest,) = checkpoint.newest_first(ours)
        loaded = checkpoint.load(newest, plan, model)
        checkpoint.restore(loaded, model, state.masks, optimizer, random_states=False)

    def load_theirs() -> None:
        body = torch.load(theirs, weights_only=True)
        model.load_state_dict(body["model"])
        optimizer.load_state_dict(body["optimizer"])
        state.masks.load(body["masks"], dict(model.named_parameters()))

    def begin() -> None:
        begun.append(checkpoint.begin(ours, position(), model, state.masks, optimizer, 1))

    times: dict[str, list[float]] = {}
    begun: list[Any] = []
    for _ in range(rounds):
        times.setdefault("begin", []).append(timed(begin))
        begun[-1].wait()
        for run in (save_ours, save_theirs, load_ours, load_theirs):
            times.setdefault(run.__name__, []).append(timed(run))
        (newest,) = checkpoint.newest_first(ours)
        times.setdefault("digests", []).append(timed(partial(digests, newest)))
        shutil.rmtree(ours)
    medians = {name: statistics.median(t) for name, t in times.items()}
    print(f"{theirs.stat().st_size / 1e6:,.0f} MB, {rounds} rounds, {os.cpu_count()} processors")
    print(f"the digests, one after the other: {medians['digests'] * 1e3:.0f} ms")
    print(f"a step waits {medians['begin'] * 1e3:.0f} ms for a checkpoint, which is finished beside the next ones")
    for what in ("save", "load"):
        mine, floor = medians[f"{what}_ours"], medians[f"{what}_theirs"]
        print(f"{what}: ours {mine * 1e3:.0f} ms, torch.{what} {floor * 1e3:.0f} ms: {mine / floor:.2f} times")


if __name__ == "__main__":
    main()
