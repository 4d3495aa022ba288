"""What student and teacher are compared in, as pure functions of tensors. Every one but SquareHead is a mean over items.

So a batch gives the same loss however it is cut into micro-batches. `mask` is [items, tokens], 0 at padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def kd_loss(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """T²·KL(softmax(teacher/T) ‖ softmax(student/T)) over the last dimension, mean over the others; in fp32.

    Args:
        student: logits [items, classes], or [items, tokens, classes]. Where the teacher's are -inf (a choice that an
            item lacks), nothing is compared.
        teacher: logits of the same shape, no gradient.
        mask: of logits of tokens; padding says nothing. The mean is over an item's tokens, then over items; an item
            without tokens adds nothing.
    """
    s = F.log_softmax(student.float() / temperature, dim=-1)
    t = F.log_softmax(teacher.float() / temperature, dim=-1)
    apart = F.kl_div(s, t, reduction="none", log_target=True)
    if student.dim() == 2:
        apart = apart.masked_fill(t.isneginf(), 0.0)
    apart = apart.sum(-1)
    if mask is None or student.dim() != 3:
        return apart.mean() * temperature**2
    whole = mask.all()
    if whole.device.type == "cpu" and bool(whole):
        return apart.mean() * temperature**2
    within = ((apart * mask).sum(-1) / mask.sum(-1).clamp_min(1)).mean()
    if whole.device.type != "cpu":  # chosen there, so that nobody waits for the answer
        within = torch.where(whole, apart.mean(), within)
    return within * temperature**2


def reverse_loss(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """T²·KL(softmax(student/T) ‖ softmax(teacher/T)), otherwise as `kd_loss`: the student pays for what the teacher would
    not say, and not for what it leaves out. The divergence of MiniLLM (arXiv 2306.08543), of each token by itself and on the
    data's own texts; there it is of whole texts that the student writes.
    """
    s = F.log_softmax(student.float() / temperature, dim=-1)
    t = F.log_softmax(teacher.float() / temperature, dim=-1)
    lacks = t.isneginf()  # a choice that an item has not, filled in before there are products of it
    s, t = s.masked_fill(lacks, 0.0), t.masked_fill(lacks, 0.0)
    apart = (s.exp().masked_fill(lacks, 0.0) * (s - t)).sum(-1)
    if mask is None or student.dim() != 3:
        return apart.mean() * temperature**2
    return ((apart * mask).sum(-1) / mask.sum(-1).clamp_min(1)).mean() * temperature**2


def embedding_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """1 less the cosine of student's and teacher's embedding of a text, mean over texts, then over items.

    Args:
        student, teacher: [items, texts, width]; their lengths say nothing, as for cosines of texts.
    """
    return (1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1, eps=1e-12)).mean()


def number_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """(s - t)², mean over the outputs of an item, then over items; in fp32.

    Args:
        student, teacher: numbers [items, ...], of one shape; no distributions, so that there is no temperature.
    """
    return (student.float() - teacher.float()).square().mean()


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """‖s - t‖² / ‖t‖² of an item's tokens, mean over items. States are [items, tokens, width].

    An item without tokens, as a choice that a question lacks, adds nothing.
    """
    keep = mask.unsqueeze(-1).float()
    s, t = student.float() * keep, teacher.float() * keep
    return ((s - t).square().sum((1, 2)) / t.square().sum((1, 2)).clamp_min(torch.finfo(torch.float32).tiny)).mean()


def squarehead_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """MSE(t, s) / MSE(t, 0) over all tokens of the batch, of one layer; SquareHead (arXiv 2310.06927) adds up the layers.

    States are [items, tokens, width]. The only term that is no mean over items: a batch that is cut has other ratios.
    """
    keep = mask.unsqueeze(-1).float()
    s, t = student.float() * keep, teacher.float() * keep
    return (s - t).square().sum() / t.square().sum().clamp_min(torch.finfo(torch.float32).tiny)


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of where a token attends to, mean over heads and tokens, then over items.

    Maps are [items, heads, queries, keys], rows that add up to 1; padding as a key has 0 in both. An item
    without tokens adds nothing.
    """
    s, t = student.float(), teacher.float()
    apart = torch.xlogy(t, t) - t * s.clamp_min(torch.finfo(torch.float32).tiny).log()
    keep = mask.unsqueeze(1).float()
    return ((apart.sum(-1) * keep).mean(1).sum(-1) / mask.sum(-1).clamp_min(1)).mean()
