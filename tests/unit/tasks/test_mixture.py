"""Which rows of which source a mixture draws: exact shares, every row once a pass, and a function of the position alone."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from recipelang.engine.order import batches, drawn
from recipelang.engine.seeds import stream
from recipelang.planning.data import load_split
from recipelang.planning.data_plan import SharePlan, SplitPlan
from recipelang.tasks.mixture import Mixed, Mixture, parts_of, shared
from tests.other_tasks import TASKS
from tests.unit.engine.test_order import stage
from tests.unit.planning.test_prepared import made

MIXTURE = Mixture(("a", "b", "c"), (6, 3, 1), (40, 1000, 7))
DRAW = partial(stream, 7, "stage")


@pytest.mark.parametrize("draw", [DRAW, None])
@pytest.mark.parametrize("first", [0, 10, 4090, 12_340])
def test_every_round_has_its_share_of_every_source(draw, first):
    source = np.digitize(MIXTURE.rows(first, first + 5000, draw), [40, 1040])
    assert all(np.bincount(some, minlength=3).tolist() == [6, 3, 1] for some in source.reshape(-1, 10))


@pytest.mark.parametrize("draw", [DRAW, None])
def test_a_source_is_passed_over_again_and_again(draw):
    rows = MIXTURE.rows(0, 10_000, draw)
    assert len(set(rows[(rows >= 40) & (rows < 1040)].tolist())) == 1000
    first = rows[rows < 40]
    passes = first[: 40 * 150].reshape(-1, 40)
    assert all(sorted(one) == list(range(40)) for one in passes.tolist())
    assert (len({tuple(one) for one in passes.tolist()}) == 1) == (draw is None)


@pytest.mark.parametrize("draw", [DRAW, None])
@pytest.mark.parametrize(("first", "behind"), [(0, 1), (3, 17), (4095, 4101), (8200, 12_290), (9999, 10_000), (5, 5)])
def test_what_a_position_draws_depends_on_nothing_else(draw, first, behind):
    assert MIXTURE.rows(first, behind, draw).tolist() == MIXTURE.rows(0, 15_000, draw)[first:behind].tolist()


def test_another_seed_or_stage_draws_other_rows():
    found = [
        MIXTURE.rows(0, 500, partial(stream, seed, name)).tolist() for seed, name in ((7, "s"), (8, "s"), (7, "t"))
    ]
    assert len(set(map(tuple, found))) == 3 and len({tuple(np.sort(f).tolist()) for f in found}) > 1


def test_without_a_draw_sources_take_turns_evenly():
    assert Mixture(("a", "b"), (3, 1), (9, 9)).rows(0, 8, None).tolist() == [0, 1, 9, 2, 3, 4, 10, 5]


@pytest.mark.parametrize(("shares", "parts"), [
    (["7/10", "3/10"], (7, 3)), (["1/3", "2/3"], (1, 2)), (["1"], (1,)), (["0.005", "0.995"], (1, 199)),
])  # fmt: skip
def test_shares_as_rows_of_a_round(shares, parts):
    assert parts_of([Fraction(s) for s in shares]) == parts


def test_samples_are_shared_out_without_a_rest():
    assert shared(100, (7, 3)) == (70, 30) and shared(3, (1, 1)) == (2, 1) and shared(1, (1, 99)) == (0, 1)
    assert all(sum(shared(n, (5, 3, 3))) == n for n in range(60))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("by_length", [True, False])
def test_steps_from_the_middle_are_those_from_the_start(shuffle, by_length):
    lengths = np.random.default_rng(0).integers(5, 200, 1047) if by_length and shuffle else None
    s = stage(1047)
    whole = list(batches(s, 1047, shuffle, 7, 0, 3 * s.steps_per_epoch, lengths, MIXTURE))
    assert sum(map(len, whole)) == 3 * 1047
    for first in (1, 130, 131, 200, 392):
        more = batches(s, 1047, shuffle, 7, first, 3 * s.steps_per_epoch, lengths, MIXTURE)
        assert [m.tolist() for m in more] == [w.tolist() for w in whole[first:]]
    counts = Counter(np.digitize(np.concatenate(whole), [40, 1040]).tolist())
    assert all(abs(counts[i] - 3141 * share) < 10 for i, share in enumerate((0.6, 0.3, 0.1)))
    assert drawn(s, 1047, shuffle, 7, 393, lengths, MIXTURE).tolist() == sorted(set(np.concatenate(whole).tolist()))


@pytest.mark.parametrize("task", [*TASKS, "question_answering", "causal_lm", "text_to_text", "chats"])
def test_batches_hold_the_rows_of_every_source(tmp_path, task):
    plan, model = made(tmp_path, task)
    split = plan.splits["train"]
    both = plan.model_copy(
        update={
            "splits": {"mix.a": split, "mix.b": split},
            "mixture": (SharePlan(name="a", rows=7), SharePlan(name="b", rows=3)),
        }
    )
    _, one = load_split(plan, "train", model)
    examples, mixed = load_split(both, "train", model)
    n = len(one)
    assert isinstance(mixed, Mixed) and len(mixed) == len(mixed.lengths) == 2 * n and mixed.width == one.width
    assert mixed.mixture.items == (n, n) and mixed.sequences == one.sequences
    assert len(examples) == 2 * len(load_split(plan, "train", model)[0])
    rows = [0, n, 1, n + 1]
    found, wanted = mixed.batch(rows), one.batch([0, 1])
    assert {k: (v.dtype, v.shape[1:]) for k, v in found.items()} == {
        k: (v.dtype, v.shape[1:]) for k, v in wanted.items()
    }
    for name in wanted:
        assert found[name][[0, 2]].tolist() == wanted[name].tolist()  # `draw` of the first source is its own
        if task != "masked_lm":
            assert found[name][[1, 3]].tolist() == wanted[name].tolist()
    alone = mixed.batch([n, n + 1], draw=3)
    again = one.batch([0, 1], draw=4)
    assert all(alone[name].tolist() == again[name].tolist() for name in again)


def test_rows_of_different_lengths_are_padded_to_the_widest(tmp_path):
    plan, model = made(tmp_path, "sequence_classification")
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"sentence1": "the of is " * 6, "sentence2": "a", "label": 1}) + "\n", "utf-8")
    both = plan.model_copy(
        update={
            "splits": {"mix.a": plan.splits["train"], "mix.b": SplitPlan(reference=str(path), split="train")},
            "mixture": (SharePlan(name="a", rows=1), SharePlan(name="b", rows=1)),
        }
    )
    _, mixed = load_split(both, "train", model)
    shortest = int(np.argmin(mixed.sources[0].lengths))
    batch = mixed.batch([shortest, len(mixed) - 1])
    size = int(mixed.sources[0].lengths[shortest])
    assert batch["input_ids"].shape == (2, 24) and batch["attention_mask"].sum(1).tolist() == [size, 22]
    assert batch["input_ids"][0, size:].tolist() == [mixed.sources[0].pad_id] * (24 - size)
