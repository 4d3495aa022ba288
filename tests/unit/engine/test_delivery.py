"""A batch crosses to the device in one piece, and its mask answers there what the host knows."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recipelang.engine.delivery import Counted, _moved, delivered

MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
ARRAYS = {
    "input_ids": np.arange(12).reshape(3, 4),
    "attention_mask": MASK,
    "labels": np.array([0.5, -1.5, 2.0], np.float32),
    "kept": np.arange(18, dtype=np.float16).reshape(3, 2, 3)[:, :, ::2],
    "nothing": np.zeros((3, 0), np.int64),
    "flags": np.array([True, False, True]),
}


def test_parts_of_one_buffer_are_what_was_packed():
    moved = _moved(ARRAYS, torch.device("cpu"))
    assert list(moved) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert torch.equal(moved[name], torch.from_numpy(array.copy()))
    assert len({moved[n].untyped_storage().data_ptr() for n in ("input_ids", "labels", "kept", "flags")}) == 1


def test_what_changes_one_part_in_place_changes_no_other_for_autograd():
    moved = _moved(ARRAYS, torch.device("cpu"))
    weight = torch.ones(12, 2, requires_grad=True)
    loss = F.embedding(moved["input_ids"], weight).sum()
    moved["labels"].add_(1)
    loss.backward()
    assert torch.equal(weight.grad, torch.ones(12, 2))


@pytest.mark.parametrize("cuts", [None, [slice(0, 2), slice(2, 3)], [slice(1, 2)]])
def test_cuts_of_a_batch_stay_in_the_memory_of_a_cpu(cuts):
    parts = delivered(ARRAYS, torch.device("cpu"), cuts)
    for part, cut in zip(parts, cuts or [slice(0, 3)], strict=True):
        assert all(np.array_equal(part[name].numpy(), array[cut]) for name, array in ARRAYS.items())
        assert np.shares_memory(part["input_ids"].numpy(), ARRAYS["input_ids"])


@pytest.fixture(params=[MASK, np.ones((2, 3), np.int64)], ids=["padded", "whole"])
def mask(request):
    plain = torch.from_numpy(request.param)
    return plain, Counted(plain, int(plain.sum()))


def untold(mask, plain):
    """The same knowledge about values that are wrong: an answer from it has not looked at them."""
    return Counted(torch.full_like(plain, 7), mask.ones)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.all(),
        lambda m: m.to(torch.bool).all(),
        lambda m: m.to(device="cpu", dtype=torch.bool).all(),
        lambda m: m.bool().sum() == m.numel(),
        lambda m: torch.all(m == 1),
        lambda m: m.flatten(0, -2).clone().view(-1).all(),
        lambda m: m.sum(),
    ],
)
def test_whether_a_mask_leaves_anything_out_is_known_without_a_look(mask, ask):
    plain, counted = mask
    assert ask(counted).item() == ask(plain).item() == ask(untold(counted, plain)).item()


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m[:, None, None, :].expand(-1, 1, 2, -1),
        lambda m: (1.0 - m) * -1e9,
        lambda m: m.sum(-1),
        lambda m: m.sum(dim=1, keepdim=True),
        lambda m: m.all(-1),
        lambda m: m.float().mean(),
        lambda m: m == 0,
        lambda m: torch.arange(6.0)[: m.shape[1]] * m,
        lambda m: m.unsqueeze(-1),
        lambda m: m.view(torch.int32),
        lambda m: F.pad(m, (0, 2)),
        lambda m: torch.cat([m, m]),
        lambda m: torch.where(m.bool(), 1.0, 2.0),
        lambda m: m.cumsum(-1),
        lambda m: m.to(torch.float32),
    ],
)
def test_everything_else_is_done_with_the_mask_itself(mask, use):
    plain, counted = mask
    found = use(counted)
    assert type(found) is torch.Tensor
    assert torch.equal(found, use(plain))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.zero_(),
        lambda m: m.__setitem__((0, 0), 0),
        lambda m: m[0].fill_(0),
        lambda m: m.masked_fill_(torch.ones(m.shape, dtype=torch.bool), 0),
        lambda m: m.view(-1)[:1].sub_(1),
    ],
)
def test_a_mask_that_was_changed_is_looked_at_again(mask, change):
    plain, counted = mask
    change(counted)
    assert (counted.all().item(), counted.sum().item()) == (plain.all().item(), plain.sum().item())
    assert counted.bool().all().item() is False


def test_a_mask_is_as_any_tensor_to_whoever_asks_what_it_is(mask):
    plain, counted = mask
    assert isinstance(counted, torch.Tensor)
    assert (counted.shape, counted.dtype, counted.device, counted.ndim) == (
        plain.shape, plain.dtype, plain.device, plain.ndim,
    )  # fmt: skip


def test_transformers_makes_the_same_attention_mask_of_it(mask):
    from transformers import BertConfig
    from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

    plain, counted = mask
    config = BertConfig()
    config._attn_implementation = "sdpa"
    states = torch.zeros(*plain.shape, 8)
    for make in (create_bidirectional_mask, create_causal_mask):
        one, other = (make(config, states, m, None) for m in (plain, counted))
        assert one is other is None or torch.equal(one, other)
