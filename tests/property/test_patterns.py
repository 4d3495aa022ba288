"""Patterns and scopes against a plain definition, ties and dead weights included."""

import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from recipelang.pruning import patterns
from tests.property.examples import examples


@st.composite
def cases(draw, height=1, width=1):
    rows, cols = draw(st.integers(1, 4)) * height, draw(st.integers(1, 4)) * width
    values = st.integers(0, draw(st.sampled_from([1, 3, 50])))  # few values: many ties
    score = torch.tensor(draw(st.lists(values, min_size=rows * cols, max_size=rows * cols)), dtype=torch.float32)
    live = torch.tensor(draw(st.lists(st.booleans(), min_size=rows * cols, max_size=rows * cols)))
    return score.view(rows, cols), live.view(rows, cols)


def plain(score, live, zeros):
    """Dead weights go first, then the smallest, of equal ones the first."""
    order = sorted(range(len(score)), key=lambda i: (bool(live[i]), float(score[i]) if live[i] else 0.0, i))
    keep = np.ones(len(score), bool)
    keep[order[:zeros]] = False
    return keep


@settings(max_examples=examples(30))
@given(cases(width=4), st.sampled_from([(1, 4), (2, 4), (3, 4), (1, 2)]))
def test_n_of_m_keeps_n_of_every_m_neighbours(case, size):
    score, live = case
    n, m = size
    keep = patterns.n_of_m(score, n, m, live).view(-1, m).numpy()
    for got, s, a in zip(keep, score.view(-1, m), live.view(-1, m), strict=True):
        assert got.tolist() == plain(s, a, m - n).tolist()


@settings(max_examples=examples(30))
@given(cases(width=32))
def test_large_groups_are_sorted_and_agree(case):
    score, live = case
    keep = patterns.n_of_m(score, 8, 32, live).view(-1, 32).numpy()
    for got, s, a in zip(keep, score.view(-1, 32), live.view(-1, 32), strict=True):
        assert got.tolist() == plain(s, a, 24).tolist()


@settings(max_examples=examples(30))
@given(cases(), st.data())
def test_rows_have_their_own_count(case, data):
    score, live = case
    zeros = data.draw(st.integers(0, score.shape[1]))
    keep = patterns.rows(score, zeros, live).numpy()
    for got, s, a in zip(keep, score, live, strict=True):
        assert got.tolist() == plain(s, a, zeros).tolist()


@settings(max_examples=examples(30))
@given(cases(height=2, width=3), st.data())
def test_blocks_go_as_a_whole_by_their_mean(case, data):
    score, live = case
    tiles = (score.shape[0] // 2) * (score.shape[1] // 3)
    gone = data.draw(st.integers(0, tiles))
    scores = [lambda: score.reshape(-1)]
    (keep,) = patterns.choose("block", (2, 3), "uniform", scores, [gone * 6], [live])
    per_tile = keep.view(score.shape[0] // 2, 2, -1, 3).permute(0, 2, 1, 3).reshape(-1, 6)
    assert set(per_tile.sum(1).tolist()) <= {0, 6}
    means = patterns.tile_scores(score, 2, 3).reshape(-1)
    alive = patterns.tile_live(live, 2, 3).reshape(-1)
    assert per_tile.any(1).tolist() == plain(means, alive, gone).tolist()


@settings(max_examples=examples(30))
@given(cases(), cases(), st.data())
def test_one_ranking_over_several_tensors(first, second, data):
    sizes = [first[0].numel(), second[0].numel()]
    zeros = data.draw(st.integers(0, sum(sizes)))
    scores = [lambda s=s: s.reshape(-1) for s, _ in (first, second)]
    keeps = patterns.choose("unstructured", (0, 0), "global", scores, [zeros], [first[1], second[1]])
    whole = torch.cat([first[0].reshape(-1), second[0].reshape(-1)])
    alive = torch.cat([first[1].reshape(-1), second[1].reshape(-1)])
    got = torch.cat([k.reshape(-1) for k in keeps])
    if zeros >= int((~alive).sum()):
        assert got.tolist() == plain(whole, alive, zeros).tolist()
    assert int((~got).sum()) == zeros
