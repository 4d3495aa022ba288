"""Sparsity of every matrix as a map: a row for each kind of matrix, a column for each layer."""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.source.markup import escape

WIDE, HIGH = 54, 24
TOP = 26


def heat(sparsity: Mapping[str, float]) -> str:
    """An `svg` for a page. Names in dots, each at most one number in it: the layer. Others stand in a column of their own."""
    rows: dict[str, dict[int | None, tuple[str, float]]] = {}
    for name, share in sparsity.items():
        kind, layer = _taken_apart(name)
        rows.setdefault(kind, {})[layer] = (name, share)
    layers = sorted({x for row in rows.values() for x in row if x is not None})
    wide = WIDE if len(layers) <= 16 else 30
    left = round(24 + 7.4 * max(len(_shown(k)) for k in [*rows, "layer"]))
    inside = {k: r for k, r in rows.items() if None not in r}
    outside = {k: r for k, r in rows.items() if None in r}
    out = [
        f'<text class="quiet" x="{left + (i + 0.5) * wide}" y="{TOP - 9}" text-anchor="middle">{layer}</text>'
        for i, layer in enumerate(layers)
    ]
    if layers:
        out.append(f'<text class="quiet" x="{left - 8}" y="{TOP - 9}" text-anchor="end">layer</text>')
    y = TOP
    for kind, row in inside.items():
        out += _row(kind, [(layers.index(x), *row[x]) for x in layers if x in row], y, wide, left)
        y += HIGH
    y += 10 if inside and outside else 0
    for kind, row in outside.items():
        out += _row(kind, [(0, *row[None])], y, WIDE, left)
        y += HIGH
    width = max(left + max(1, len(layers)) * wide + 4, left + 160)
    return (
        f'<svg class="map" viewBox="0 0 {width} {y + 4}" style="max-width:{width}px" role="img" '
        f'xmlns="http://www.w3.org/2000/svg"><title>sparsity of every matrix</title>{"".join(out)}</svg>'
    )


def _row(kind: str, cells: list[tuple[int, str, float]], y: int, wide: int, left: int) -> list[str]:
    out = [f'<text class="ink" x="{left - 8}" y="{y + 16.5}" text-anchor="end">{escape(_shown(kind))}</text>']
    for column, name, share in cells:
        x = left + column * wide
        tip = f"<title>{escape(name)}: {share:.2%}</title>"
        out.append(
            f'<g>{tip}<rect class="cell" fill="none" x="{x}" y="{y}" width="{wide}" height="{HIGH}"/>'
            f'<rect class="heat" fill-opacity="{share:.3f}" x="{x + 0.5}" y="{y + 0.5}" width="{wide - 1}" '
            f'height="{HIGH - 1}"/>'
        )
        colour = "pale" if share > 0.6 else "ink"
        text = f"{100 * share:.1f}" if wide == WIDE else f"{100 * share:.0f}"
        out.append(
            f'<text class="{colour}" x="{x + wide / 2}" y="{y + 16.5}" text-anchor="middle" font-size="12">{text}</text></g>'
        )
    return out


def _shown(kind: str) -> str:
    return kind if len(kind) <= 32 else "…" + kind[-31:]


def _taken_apart(name: str) -> tuple[str, int | None]:
    """`bert.encoder.layer.3.output.dense.weight` into `output.dense` and 3."""
    parts = name.removesuffix(".weight").split(".")
    at = next((i for i, p in enumerate(parts) if p.isdigit()), None)
    if at is None:
        return ".".join(parts[1:] or parts), None
    return ".".join(parts[at + 1 :]) or parts[at - 1], int(parts[at])
