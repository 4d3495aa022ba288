"""Draw `docs/plan.svg`, the picture of the README: what `recipelang plan recipes/quickstart.recipe` shows."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from recipelang.loading.plan import planned
from recipelang.report.plan_screen import full

ROOT = Path(__file__).parents[1]
WIDTH = 100


def main() -> None:
    recipe, plan, _ = planned(str(ROOT / "recipes" / "quickstart.recipe"))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(full(recipe, plan, WIDTH))
    svg = console.export_svg(title="recipelang plan recipes/quickstart.recipe", unique_id="plan")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # the reader's own font: nothing is fetched
    svg = svg.replace("Fira Code, monospace", "DejaVu Sans Mono, Menlo, Consolas, monospace")
    (ROOT / "docs" / "plan.svg").write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
