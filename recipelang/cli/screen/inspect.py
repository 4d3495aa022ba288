"""How a model was made, on the screen."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from recipelang.cli import screen
from recipelang.source.render import clean, line_of
from recipelang.source.words import first_n
from recipelang.spec.figures import shown

#: of a long table
_MOST = 12


def show(told: dict[str, Any]) -> None:
    console = screen.console()
    name = told.get("name") or "?"
    version = f" {line_of(str(told['version']))}" if told.get("version") else ""
    head = f"{line_of(str(name))}{version}"
    console.print(
        Text.assemble((head, "bold"), (f"  {told['kind']}, as stated by itself (not verified)", "dim")), soft_wrap=True
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _rows(told):
        table.add_row(f"  {label}", Text(line_of(text)))
    console.print(table)
    if told.get("claims"):
        claims = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
        for column in ("claim", "expected", "measured by the run", "met"):
            claims.add_column(column, overflow="fold")
        for claim in told["claims"]:
            met = {True: "yes", False: "no"}.get(claim.get("met"), "?")
            cells = (f"{claim.get('kind')} {claim.get('text')}", claim.get("expected"), claim.get("measured"), met)
            claims.add_row(*(Text(line_of(str(cell))) for cell in cells))
        console.print()
        console.print(claims)
    if told.get("recipe"):
        console.print()
        console.print(Text(clean(told["recipe"]).rstrip()), soft_wrap=True)


def _rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows that there are, in the order of how the model was made."""
    rows = [("from", told.get("base"))]
    if told.get("status") not in (None, "finished"):
        rows.append(("status", told["status"]))
    if told.get("rehearsal"):
        rows.append(("rehearsal", f"only {first_n(told['rehearsal'], 'step')} of every stage"))
    rows.append(("parameters", ", ".join(f"{n} = {v}" for n, v in told.get("parameters", {}).items())))
    rows += [(kind, digest) for kind, digest in told["digests"].items()]
    rows.append(("seed", told.get("seed")))
    environment = told.get("environment") or {}
    rows.append(
        ("ran in", ", ".join(f"{n} {environment[n]}" for n in ("recipelang", "torch", "device") if n in environment))
    )
    rows.append(("at", told.get("time")))
    if told.get("sparsity") is not None:
        rows.append(("sparsity", f"{told['sparsity']:.2%} of all matrices"))
    metrics = [(n, v) for n, v in told.get("metrics", {}).items() if not n.startswith("stage.")]
    rows.append(("measured", ", ".join(f"{n} {v:.4f}" for n, v in metrics[:_MOST])))
    rows += [("size and speed", f"{n}: {shown(n, v)}") for n, v in [*told.get("figures", {}).items()][:_MOST]]
    rows += [(_label(n), v) for n, v in told.get("annotations", {}).items() if _label(n) not in ("title", "version")]
    rows.append(("tensors", told.get("tensors")))
    files = told.get("files")
    rows.append(("files", ", ".join(map(str, files[:_MOST])) if isinstance(files, list) else files))
    rows.append(("model files", ", ".join(told.get("weights", [])[:_MOST])))
    rows.append(("cites", ", ".join(told.get("cites", []))))
    rows.append(("signature", told.get("signature")))
    return [(label, str(value)) for label, value in rows if value not in (None, "")]


def _label(annotation: str) -> str:
    """Of an annotation, the part that says what it is; the start names whose vocabulary it is of."""
    return annotation.removeprefix("org.opencontainers.image.").removeprefix("dev.recipelang.").replace(".", " ")
