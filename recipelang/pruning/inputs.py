"""What is gathered of the inputs of a layer: sums over tokens, so that any number of them takes the same memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from recipelang.source import RecipeError, fail


def not_finite() -> RecipeError:
    return fail("E082", "the inputs of a layer are not finite", help="calibrate in fp32, or check the weights")


class Gathered(ABC):
    """Sums over the inputs of one matrix, or of several that read the same."""

    def __init__(self, sums: Tensor) -> None:
        self.sums = sums
        self.tokens = 0

    @classmethod
    @abstractmethod
    def empty(cls, inputs: int, device: torch.device) -> Gathered:
        """Before the first token, for so many inputs."""

    @abstractmethod
    def add(self, inputs: Tensor) -> None:
        """Some more tokens, [tokens, inputs]."""


class Squares(Gathered):
    """Σ x² of every input: [inputs]."""

    @classmethod
    def empty(cls, inputs: int, device: torch.device) -> Squares:
        return cls(torch.zeros(inputs, dtype=torch.float64, device=device))

    def add(self, inputs: Tensor) -> None:
        self.tokens += len(inputs)
        self.sums += inputs.float().square().sum(0, dtype=torch.float64)


class Gram(Gathered):
    """Σ x xᵀ of all pairs of inputs: [inputs, inputs]."""

    #: products in fp32, on a GPU too: TF32 has too few digits for what is inverted afterwards
    precision: ClassVar[str] = "highest"

    def __init__(self, sums: Tensor) -> None:
        super().__init__(sums)
        self.factor: Tensor | None = None  # what was made of the sums, in their place
        self.roots = sums.new_empty(0)  # of their diagonal, where a method divided by them

    @classmethod
    def empty(cls, inputs: int, device: torch.device) -> Gram:
        return cls(torch.zeros(inputs, inputs, dtype=torch.float32, device=device))

    def add(self, inputs: Tensor) -> None:
        self.tokens += len(inputs)
        x = inputs.float()
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.precision)
        try:
            self.sums.addmm_(x.T, x)
        finally:
            torch.set_float32_matmul_precision(before)
