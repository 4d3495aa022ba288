"""What a mask drops becomes plain 0.0, whatever it was; what it keeps stays bit for bit."""

import math

import pytest
import torch

from recipelang.pruning.masks import revived, zero

ODD = (math.nan, math.inf, -math.inf, -0.0, 0.0, -1.5, 2.5, 1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("lies", [lambda t: t, lambda t: t.T.contiguous().T, lambda t: t.repeat(1, 2)[:, ::2]])
def test_dropped_is_plain_zero_and_kept_is_untouched(dtype, lies):
    stored = lies(torch.tensor(ODD * 3, dtype=dtype).view(4, 6))
    before = stored.clone()
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    zero(stored, mask)
    assert not stored[~mask].any() and not torch.signbit(stored[~mask]).any()
    bits = torch.int64 if dtype == torch.float64 else torch.int32 if dtype == torch.float32 else torch.int16
    assert torch.equal(stored[mask].view(bits), before[mask].view(bits))
    assert revived(before, mask) and not revived(stored, mask)
    stored[~mask] = -0.0  # which is zero
    assert not revived(stored, mask)


def test_a_process_without_rows_has_nothing_to_zero():
    zero(torch.empty(0, 3), torch.empty(0, 3, dtype=torch.bool))
