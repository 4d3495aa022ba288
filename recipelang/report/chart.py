"""Charts as SVG: lines, dots and intervals over an axis of numbers or names. One colour and one shape a series.

Colours are classes, `c0` to `c7`, so that a page can give them for light and for dark; `alone` makes a file
of its own of a chart, with the light ones inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from recipelang.report.scale import Scale, bounds, marks, written
from recipelang.source.markup import escape

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, BOTTOM, TOP = 56, 18, 44, 12
_ROW = 20  # of the legend

#: told apart without colour too, and by people who see few colours (after Okabe and Ito)
LIGHT = ("#0b66b0", "#c8500a", "#0a7d5a", "#a33d83", "#8a6a00", "#3a8fc4", "#5c6370", "#6a4fc0")
DARK = ("#5fb0f5", "#ff9a52", "#3fcf9d", "#ec8fcb", "#e3c04a", "#8fd0ff", "#b4bcc8", "#b39dff")


@dataclass(frozen=True)
class Series:
    """`spans`: low and high ends at each point. `steps`: a value holds until the next one."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    spans: Sequence[tuple[float, float]] = ()
    line: bool = True
    dots: bool = True
    steps: bool = False
    faint: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """`names`: points stand at 0, 1, 2 … and are called so. `within`: shown at least."""

    label: str = ""
    percent: bool = False
    names: Sequence[str] = ()
    within: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """`parts`: places on the x axis where something begins, with its name. `level`: a line across."""

    title: str
    series: Sequence[Series]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    parts: Sequence[tuple[float, str]] = ()
    level: float | None = None
    apart: float = 0.0  # between series at one place, so that intervals do not hide each other

    @property
    def empty(self) -> bool:
        return not any(s.points for s in self.series)


def svg(chart: Chart, *, titled: bool = False) -> str:
    """The chart as an `svg` element for a page. Values that are not finite have no place in it, and are counted."""
    chart, missing = _finite(chart)
    named = [s for s in chart.series if s.name]
    rows = _legend_rows(named) if len(named) > 1 else []
    top = TOP + (24 if titled else 0) + _ROW * len(rows) + (14 if chart.parts else 0)
    x, y = _scales(chart, top)
    body = [
        *([f'<text class="title" x="{LEFT}" y="20">{escape(chart.title)}</text>'] if titled else []),
        *_legend(rows, TOP + (24 if titled else 0)),
        *_parts(chart, x, top),
        *_grid(chart, x, y),
        *(line for i, s in enumerate(chart.series) for line in _drawn(s, chart, x, y, i)),
        *_left_out(missing, top),
    ]
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT + top - TOP}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(chart.title)}</title>{"".join(body)}</svg>'
    )


def alone(picture: str) -> str:
    """A picture made for a page, as a file of its own: with its style, on white."""
    head, _, rest = picture.partition(">")
    size = head.partition('viewBox="0 0 ')[2].partition('"')[0].split()
    sized = f'{head} width="{size[0]}" height="{size[1]}"'
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return f"{sized}><style>{style(LIGHT, '#1c2128', '#626b77', '#dfe3e8')}</style>{ground}{rest}\n"


def style(colours: Sequence[str], ink: str, quiet: str, grid: str) -> str:
    """The classes of charts and maps."""
    each = "".join(f".c{i}{{color:{c}}}" for i, c in enumerate(colours))
    return (
        f"svg{{font-family:system-ui,'DejaVu Sans',Verdana,sans-serif;font-size:13px}}{each}"
        f".ink{{fill:{ink}}}.quiet{{fill:{quiet}}}.title{{fill:{ink};font-size:15px;font-weight:600}}"
        f".grid{{stroke:{grid};stroke-width:1}}.axis{{stroke:{quiet};stroke-width:1}}"
        f".part{{stroke:{quiet};stroke-width:1;stroke-dasharray:2 3}}"
        f".heat{{fill:{colours[0]}}}.cell{{stroke:{grid};stroke-width:1}}.pale{{fill:#ffffff}}"
    )


# --------------------------------------------------------------------- pieces
def _finite(chart: Chart) -> tuple[Chart, int]:
    """The chart without values that are no finite numbers, and how many points those are."""

    def kept(s: Series) -> Series:
        spans = [*s.spans, *[(0.0, 0.0)] * (len(s.points) - len(s.spans))]
        both = [(p, e) for p, e in zip(s.points, spans, strict=True) if all(map(math.isfinite, (*p, *e)))]
        return replace(s, points=[p for p, _ in both], spans=[e for _, e in both][: len(s.spans)])

    series = [kept(s) for s in chart.series]
    return replace(chart, series=series), sum(
        len(a.points) - len(b.points) for a, b in zip(chart.series, series, strict=True)
    )


def _left_out(missing: int, top: int) -> list[str]:
    if not missing:
        return []
    text = f"{missing:,} value{'s are' if missing > 1 else ' is'} not finite and not shown"
    return [f'<text class="quiet" x="{WIDTH - RIGHT}" y="{top + 14}" text-anchor="end">{text}</text>']


def _scales(chart: Chart, top: int) -> tuple[Scale, Scale]:
    xs = [p[0] for s in chart.series for p in s.points]
    ys = [p[1] for s in chart.series for p in s.points] + [v for s in chart.series for span in s.spans for v in span]
    ys += [chart.level] if chart.level is not None else []
    if chart.x.names:
        low, high = -0.5, len(chart.x.names) - 0.5
    else:
        low, high = bounds([*xs, *(chart.x.within or ())], room=0.0 if chart.x.within else 0.04)
    bottom, ceiling = bounds([*ys, *(chart.y.within or ())], room=0.06)
    if chart.y.within and bottom < chart.y.within[0] <= min(ys, default=math.inf):
        bottom = chart.y.within[0]
    return (
        Scale(low, high, LEFT, WIDTH - RIGHT),
        Scale(bottom, ceiling, HEIGHT + top - TOP - BOTTOM, top),
    )


def _grid(chart: Chart, x: Scale, y: Scale) -> list[str]:
    out = []
    ticks = marks(y.low, y.high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    for value in ticks:
        at = f"{y(value):.1f}"
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        text = written(value, percent=chart.y.percent, step=step)
        out.append(f'<text class="quiet" x="{LEFT - 7}" y="{y(value) + 4.5:.1f}" text-anchor="end">{text}</text>')
    if chart.level is not None:
        at = f"{y(chart.level):.1f}"
        out.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
    floor = y.start
    out.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor:.1f}" y2="{floor:.1f}"/>')
    names = _x_names(chart, x)
    for value, name in names:
        out.append(f'<text class="quiet" x="{x(value):.1f}" y="{floor + 18:.1f}" text-anchor="middle">{name}</text>')
    if chart.x.label:
        middle = (LEFT + WIDTH - RIGHT) / 2
        out.append(
            f'<text class="quiet" x="{middle}" y="{floor + 37:.1f}" text-anchor="middle">{escape(chart.x.label)}</text>'
        )
    return out


def _x_names(chart: Chart, x: Scale) -> list[tuple[float, str]]:
    if chart.x.names:
        room = max(4, int((WIDTH - LEFT) / len(chart.x.names) / 7))
        return [(i, escape(n if len(n) <= room else n[: room - 1] + "…")) for i, n in enumerate(chart.x.names)]
    ticks = marks(x.low, x.high, 6)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return [(t, written(t, percent=chart.x.percent, step=step)) for t in ticks]


def _parts(chart: Chart, x: Scale, top: int) -> list[str]:
    out = []
    for at, name in chart.parts:
        place = f"{x(at):.1f}"
        if at > x.low:
            out.append(f'<line class="part" x1="{place}" x2="{place}" y1="{top}" y2="{HEIGHT + top - TOP - BOTTOM}"/>')
        out.append(f'<text class="quiet" x="{x(at) + 3:.1f}" y="{top - 3}">{escape(name)}</text>')
    return out


def _legend_rows(named: Sequence[Series]) -> list[list[tuple[float, Series]]]:
    rows: list[list[tuple[float, Series]]] = [[]]
    at = float(LEFT)
    for series in named:
        wide = 40 + 7.6 * len(series.name)
        if rows[-1] and at + wide > WIDTH:
            rows.append([])
            at = float(LEFT)
        rows[-1].append((at, series))
        at += wide
    return rows


def _legend(rows: list[list[tuple[float, Series]]], top: int) -> list[str]:
    out = []
    for i, row in enumerate(rows):
        y = top + i * _ROW + 6
        for at, s in row:
            dash = ' stroke-dasharray="5 4"' if s.dashed else ""
            line = f'<line stroke="currentColor" stroke-width="2" x1="{at}" x2="{at + 20}" y1="{y}" y2="{y}"{dash}/>'
            out.append(
                f'<g class="c{s.colour % 8}">{line if s.line else ""}{_dot(s.colour, at + 10, y) if s.dots else ""}</g>'
            )
            out.append(f'<text class="ink" x="{at + 25}" y="{y + 4.5}">{escape(s.name)}</text>')
    return out


def _drawn(s: Series, chart: Chart, x: Scale, y: Scale, index: int) -> list[str]:
    """Intervals first, then the line, then dots. Series with intervals stand a little apart."""
    if not s.points:
        return []
    apart = (index - (len(chart.series) - 1) / 2) * chart.apart
    places = [(x(a) + apart, y(b)) for a, b in s.points]
    pale = ' opacity=".35"' if s.faint else ""
    out = [f'<g class="c{s.colour % 8}"{pale}>']
    for (px, _), (low, high) in zip(places, s.spans, strict=False):
        a, b = y(low), y(high)
        out.append(
            f'<path fill="none" stroke="currentColor" stroke-width="1.6" d="M{px - 3:.1f} {a:.1f}h6m-3 0V{b:.1f}m-3 0h6"/>'
        )
    if s.line and len(places) > 1:
        dash = ' stroke-dasharray="5 4"' if s.dashed else ""
        width = 1 if s.faint else 2
        path = _stairs(places) if s.steps else " ".join(f"{px:.1f} {py:.1f}" for px, py in places)
        out.append(
            f'<path fill="none" stroke="currentColor" stroke-width="{width}" stroke-linejoin="round"{dash} d="M{path}"/>'
        )
    if s.dots:
        for (px, py), (a, b) in zip(places, s.points, strict=True):
            tip = escape(f"{s.name}: {_told(a, chart.x)}, {_told(b, chart.y)}".removeprefix(": "))
            out.append(f"<g>{_dot(s.colour, px, py)}<title>{tip}</title></g>")
    return [*out, "</g>"]


def _stairs(places: Sequence[tuple[float, float]]) -> str:
    (x, y), *others = places
    return f"{x:.1f} {y:.1f}" + "".join(f"H{px:.1f}V{py:.1f}" for px, py in others)


def _told(value: float, axis: Axis) -> str:
    if axis.names:
        return axis.names[round(value)]
    return f"{value:.2%}" if axis.percent else f"{value:.5g}"


def _dot(series: int, x: float, y: float) -> str:
    """Circle, square, triangle, diamond, and the same hollow; where colours begin again, with another shape each."""
    shape = series + series // 8
    fill = 'fill="currentColor"' if shape % 8 < 4 else 'fill="none" stroke="currentColor" stroke-width="2"'
    match shape % 4:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {fill}/>'
        case 1:
            return f'<rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2" {fill}/>'
        case 2:
            return f'<path d="M{x:.1f} {y - 4.8:.1f}l4.6 8.2h-9.2z" {fill}/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" {fill}/>'
