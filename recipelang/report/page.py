"""One page of HTML that needs nothing else: its style inside, no scripts, no links to anywhere but its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recipelang.report.chart import DARK, LIGHT, Chart, style, svg
from recipelang.source.markup import escape

_LIGHT = style(LIGHT, "#1c2128", "#626b77", "#dfe3e8")
_DARK = style(DARK, "#e6eaf0", "#9aa4b2", "#343b46").replace(".pale{fill:#ffffff}", ".pale{fill:#0f141b}")

_STYLE = f"""
:root{{color-scheme:light dark;--ground:#fff;--card:#f6f7f9;--ink:#1c2128;--quiet:#626b77;--line:#dfe3e8;
--good:#0a7d5a;--bad:#b3261e;--link:#0b66b0}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,"DejaVu Sans",Verdana,sans-serif}}
main{{max-width:1280px;margin:0 auto;padding:28px 24px 60px}}
h1{{font-size:26px;line-height:1.25;margin:0 0 4px}}h2{{font-size:19px;margin:38px 0 12px}}h3{{font-size:15px;margin:0 0 6px}}
p{{margin:6px 0;max-width:78ch}}.quiet-text{{color:var(--quiet)}}a{{color:var(--link)}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}}
.tile{{background:var(--card);border-radius:8px;padding:12px 14px}}.tile b{{display:block;font-size:21px;line-height:1.3}}
.tile span{{color:var(--quiet);font-size:13px;overflow-wrap:anywhere}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,370px),1fr));gap:18px}}
figure{{margin:0;background:var(--card);border-radius:8px;padding:14px 14px 8px;min-width:0}}
figcaption{{color:var(--quiet);font-size:13px;margin-top:4px}}
svg.chart{{width:100%;height:auto;display:block}}svg.map{{width:100%;height:auto;display:block;min-width:420px}}
.scroll{{overflow-x:auto}}table{{margin:0 0 14px}}
table{{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}}
td.text{{min-width:6ch}}th{{text-align:left;color:var(--quiet);font-weight:600;vertical-align:bottom}}
th,td{{padding:5px 14px 5px 0;border-bottom:1px solid var(--line)}}td{{vertical-align:top}}
td.number,th.number{{text-align:right;white-space:nowrap}}td.text{{max-width:60ch;overflow-wrap:break-word}}
.yes{{color:var(--good);font-weight:600}}.no{{color:var(--bad);font-weight:600}}
details{{margin:10px 0}}summary{{cursor:pointer;color:var(--link)}}
pre{{background:var(--card);border-radius:8px;padding:12px 14px;overflow-x:auto;font:13px/1.45 ui-monospace,"DejaVu Sans Mono",monospace}}
code{{font:13px ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:break-word}}
{_LIGHT}
@media (prefers-color-scheme:dark){{:root{{--ground:#0f141b;--card:#171d26;--ink:#e6eaf0;--quiet:#9aa4b2;--line:#343b46;
--good:#3fcf9d;--bad:#ff8a80;--link:#5fb0f5}}{_DARK}}}
@media (max-width:560px){{main{{padding:18px 14px 40px}}}}
@media print{{figure,.tile,pre{{break-inside:avoid}}}}
"""


def page(title: str, *parts: str, scripts: str = "") -> str:
    """The whole document. `parts` are HTML already. `scripts`: digests of those that may run; no other does."""
    allowed = f"; script-src {scripts}" if scripts else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'"
        f'{allowed}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(p for p in parts if p)}\n</main></body></html>\n"
    )


def heading(title: str, below: Iterable[str]) -> str:
    said = " · ".join(escape(b) for b in below if b)
    return f'<h1>{escape(title)}</h1><p class="quiet-text">{said}</p>'


def section(title: str, *parts: str) -> str:
    body = "\n".join(p for p in parts if p)
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>" if body else ""


def paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(p.strip())}</p>" for p in text.split("\n\n") if p.strip())


def tiles(found: Iterable[tuple[str, str]]) -> str:
    each = "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(n)}</span></div>' for n, v in found)
    return f'<div class="tiles">{each}</div>'


def figures(charts: Iterable[Chart | tuple[Chart, str]]) -> str:
    out = []
    for one in charts:
        chart, caption = one if isinstance(one, tuple) else (one, "")
        if not chart.empty:
            below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
            out.append(f"<figure><h3>{escape(chart.title)}</h3>{svg(chart)}{below}</figure>")
    return f'<div class="charts">{"".join(out)}</div>' if out else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = (), raw: bool = False) -> str:
    """`numbers`: columns set to the right. `raw`: cells are HTML already. A column with nothing in it is left out."""
    rows = list(rows)
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    right = {kept.index(i) for i in numbers if i in kept}
    head, rows = [head[i] for i in kept], [[row[i] for i in kept] for row in rows]
    if not kept:
        return ""

    def cell(tag: str, i: int, text: str) -> str:
        kind = "number" if i in right else "text"
        return f'<{tag} class="{kind}">{text}</{tag}>'

    heads = "".join(cell("th", i, escape(h)) for i, h in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td", i, c if raw else escape(c)) for i, c in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(summary: str, inside: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>" if inside else ""


def listing(text: str) -> str:
    return f"<pre>{escape(text.rstrip())}</pre>" if text.strip() else ""


def met(value: bool | None) -> str:
    return {True: '<span class="yes">✓ yes</span>', False: '<span class="no">✗ no</span>', None: "not checked"}[value]
