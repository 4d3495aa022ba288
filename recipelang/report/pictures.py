"""Plots as files: SVG, and PNG where the extra `recipelang[report]` is installed: resvg is small, without dependencies."""

from __future__ import annotations

from pathlib import Path

from recipelang.report.chart import alone
from recipelang.storage.writing import write_bytes, write_text

_ZOOM = 2


def write_pictures(folder: Path, pictures: dict[str, str]) -> list[Path]:
    """Each as SVG, and as PNG if there is something to draw it with."""
    written = []
    for name, picture in pictures.items():
        path = folder / "plots" / f"{name}.svg"
        write_text(path, alone(picture), inside=folder)
        written.append(path)
        if (data := drawn(alone(picture))) is not None:
            write_bytes(path.with_suffix(".png"), data, inside=folder)
            written.append(path.with_suffix(".png"))
    return written


def drawn(svg: str) -> bytes | None:
    """An SVG as PNG; none where the extra is not installed."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        return None
    return bytes(svg_to_bytes(svg_string=svg, zoom=_ZOOM, sans_serif_family="DejaVu Sans"))
