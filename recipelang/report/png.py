"""SVG as PNG, by resvg: small, without dependencies, and only in the extra `recipelang[report]`."""

from __future__ import annotations

_ZOOM = 2


def drawn(svg: str) -> bytes | None:
    """None where the extra is not installed."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        return None
    return bytes(svg_to_bytes(svg_string=svg, zoom=_ZOOM, sans_serif_family="DejaVu Sans"))
