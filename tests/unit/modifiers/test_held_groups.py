"""A row, a group or a block that holds more zeros than an event asks for is refused, and none comes back silently."""

import pytest
import torch

from recipelang.modifiers.prune import _would_revive
from recipelang.planning.prune_plan import PrunePlan, Target


def plan(pattern: str, size: tuple[int, int], scope: str = "uniform") -> PrunePlan:
    target = Target(name="w", shape=(4, 8))
    return PrunePlan(name="p", method="hold", scope=scope, pattern=pattern, pattern_size=size, targets=(target,))


def dead(*places: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(4, 8, dtype=torch.bool)
    for place in places:
        mask[place] = True
    return mask


@pytest.mark.parametrize(
    ("how", "held", "zeros", "revives"),
    [
        (plan("unstructured", (0, 0), "row"), dead((0, 0), (0, 1)), 8, False),
        (plan("unstructured", (0, 0), "row"), dead((0, 0), (0, 1), (0, 2)), 8, True),
        (plan("N:M", (2, 4)), dead((0, 0), (0, 1), (0, 4)), 16, False),
        (plan("N:M", (2, 4)), dead((0, 0), (0, 1), (0, 2)), 16, True),
        (plan("block", (2, 2)), dead((0, 0), (0, 1), (1, 0), (1, 1)), 16, False),
        (plan("block", (2, 2)), dead((0, 0)), 16, True),
        (plan("block", (4, 1)), dead(*((i, 3) for i in range(4))), 16, False),
    ],
)
def test_zeros_that_would_come_back_are_seen(how, held, zeros, revives):
    assert _would_revive(how, held, zeros, 4) is revives
