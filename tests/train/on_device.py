"""A recipe run on the CPU and on the pretended device, in a process of its own.

Prints a line of JSON: whether both left the same bits, and what crossed in every step.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.pretended import CROSSED, device  # before the first backward: torch counts devices then  # isort: skip
from torch.nn.attention import SDPBackend, sdpa_kernel

from recipelang.engine import stages, watch
from recipelang.modifiers.modifier import Modifier, State
from tests.train.steps import run, same, weights


class Steps(Modifier):
    """Acts first: what crosses from one start of a step to the next is that step's."""

    def __init__(self, stage: str, noted: list[dict[str, Any]]) -> None:
        self.stage, self.noted = stage, noted

    def on_step_start(self, state: State) -> None:
        self._note()
        self.noted.append({"stage": self.stage, "step": state.step})

    def on_end(self, state: State) -> None:
        self._note()

    def _note(self) -> None:
        """Complete the step before."""
        if self.noted and "reads" not in self.noted[-1]:
            self.noted[-1] |= {
                "reads": CROSSED.reads.copy(),
                "left": CROSSED.left.copy(),
                "arrived": CROSSED.arrived.copy(),
            }
        CROSSED.clear()


def compare(recipe: Path, params: Sequence[str] = ()) -> dict[str, Any]:
    """Attention is computed in the way that the device has, on the CPU too."""
    out = recipe.parent
    watch.READ_SECONDS = math.inf  # a slow machine reads as often as a fast one
    noted: list[dict[str, Any]] = []
    acting = stages.acting
    with sdpa_kernel(SDPBackend.MATH):
        run(recipe, out / "on-cpu", params=tuple(params))
        stages.acting = lambda stage, *rest, **more: [Steps(stage.name, noted), *acting(stage, *rest, **more)]  # type: ignore[assignment]
        with device():
            run(recipe, out / "on-device", params=tuple(params))
    return {"same": same(weights(out / "on-cpu"), weights(out / "on-device")), "steps": noted}


def main() -> None:
    recipe, *params = sys.argv[1:]
    print(json.dumps(compare(Path(recipe), params)))


if __name__ == "__main__":
    main()
