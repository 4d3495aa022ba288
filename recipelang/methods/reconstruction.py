"""What may be done with the weights of a layer that stay, once it is pruned. The code is `pruning/reconstruction.py`."""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.choice import Argument, Signature
from recipelang.kinds.plain import Number
from recipelang.methods.declaration import whole

RECONSTRUCTIONS: dict[str, Signature] = {
    "layer": Signature(
        "layer",
        "trains the remaining weights of each layer, once it is pruned, to give what the dense model gives after that layer "
        "(arXiv 2510.14444); a layer in which that does not help keeps the weights it had",
        (
            whole("steps", 50, "number of steps for each layer, each on `micro_batch` samples"),
            Argument(
                "learning_rate",
                Number(0, above=True),
                Fraction(1, 1000),
                "of Adam at the first step; it falls to 0 linearly",
            ),
        ),
    )
}
#: bytes for each weight of a layer: two moments, the weight, its gradient and the last step, in single precision; beside
#: the gradient as it comes and the weight as it was
BYTES = 8 + 4 + 8
