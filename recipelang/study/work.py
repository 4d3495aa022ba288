"""What one run of a study is to whoever starts it. Loads no torch: a job of a cluster begins with it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from recipelang.storage.writing import open_to_append

#: how a run ends that was stopped and can go on
STOPPED = (130, 143)


@dataclass(frozen=True)
class Work:
    """One run of a study: its name, the folders and files that it has, of how many steps a
    rehearsal is, and the digest of what it runs."""

    name: str
    folder: Path
    recipe: Path
    log: Path
    out: Path
    rehearsal: int | None = None
    spec: str = ""

    @property
    def begun(self) -> bool:
        """Whether there is something to resume."""
        return (self.folder / "recipe" / "plan.json").is_file()

    def arguments(self) -> list[str]:
        """After `recipelang`."""
        if self.begun:
            return ["resume", str(self.folder)]
        steps = ["--steps", str(self.rehearsal)] if self.rehearsal else []
        return ["run", str(self.recipe), "-o", str(self.folder), *steps]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "recipelang", *self.arguments()]

    def open_log(self) -> IO[bytes]:
        return open_to_append(self.log, inside=self.out, anew=not self.begun)

    def absolute(self) -> Work:
        """For somebody with another working folder."""
        paths = {n: Path(os.path.abspath(getattr(self, n))) for n in ("folder", "recipe", "log", "out")}
        return replace(self, **paths)  # type: ignore[arg-type]
