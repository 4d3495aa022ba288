"""A list of recipes as a page that can be searched, and as JSON: what each does, who measured it, how to use it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from recipelang.report import page as p
from recipelang.source.markup import escape
from recipelang.source.render import clean
from recipelang.source.words import plural
from recipelang.storage.writing import write_json, write_text

PAGE, DATA = "index.html", "index.json"

_SEARCH = """
const box = document.getElementById("search"), count = document.getElementById("count");
const every = [...document.querySelectorAll("article")];
function search() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const each of every) {
    each.hidden = !words.every(word => each.dataset.words.includes(word));
    shown += !each.hidden;
  }
  count.textContent = words.length ? `${shown} of ${every.length}` : "";
}
box.addEventListener("input", search);
box.value = decodeURIComponent(location.hash.slice(1));
search();
"""
_STYLE = """<style>
#search{font:inherit;width:min(100%,34rem);padding:9px 12px;border:1px solid var(--line);border-radius:8px;
background:var(--ground);color:var(--ink)}
#count{color:var(--quiet);margin-left:10px}
article{background:var(--card);border-radius:8px;padding:14px 18px;margin:16px 0}
article h2{margin:0 0 4px;font-size:18px;overflow-wrap:anywhere}
article pre{background:var(--ground);margin:8px 0 0;user-select:all;white-space:pre-wrap;overflow-wrap:anywhere}
</style>"""


@dataclass(frozen=True)
class Told:
    """A claim, as one run says it measured it."""

    claim: str
    measured: str
    met: bool | None
    #: who says so: the file that was not signed, or that was, which `verify` checks
    by: str


@dataclass(frozen=True)
class Listed:
    """One recipe. A text is empty, and a list too, where the recipe says nothing."""

    #: what to type for it
    where: str
    name: str
    version: str
    task: str
    summary: str
    #: what is pruned or cut, and how far: `linear & encoder: 90%`
    targets: tuple[str, ...]
    methods: tuple[str, ...]
    tags: tuple[str, ...]
    licence: str
    authors: tuple[str, ...]
    cites: tuple[str, ...]
    spec: str
    manifest: str
    claims: tuple[str, ...]
    measured: tuple[Told, ...]

    def form(self) -> dict[str, object]:
        """As JSON."""
        return {**vars(self), "measured": [vars(each) for each in self.measured]}

    @property
    def runs(self) -> bool:
        """Whether it can be run as it is: a base lacks values."""
        return bool(self.spec or self.claims or self.targets) or self.task == "study"

    @property
    def words(self) -> str:
        """What a search looks at, in lower case."""
        several = (*self.targets, *self.methods, *self.tags, *self.authors, *self.cites, *self.claims)
        one = (self.where, self.name, self.version, self.task, self.summary, self.licence, self.spec, self.manifest)
        return " ".join((*one, *several)).lower()


def document(places: Sequence[str], found: Sequence[Listed]) -> dict[str, object]:
    return {"format_version": "1.0", "places": list(places), "recipes": [each.form() for each in found]}


def text(title: str, found: Sequence[Listed]) -> str:
    script = base64.b64encode(hashlib.sha256(_SEARCH.encode("utf-8")).digest()).decode("ascii")
    return p.page(
        clean(title),
        _STYLE,
        p.heading(clean(title), [plural(len(found), "recipe")]),
        '<p><input id="search" type="search" placeholder="Search: task, target, method, author, digest" '
        'aria-label="Search recipes" autofocus><span id="count" role="status"></span></p>',
        *map(_card, found),
        f"<script>{_SEARCH}</script>",
        scripts=f"'sha256-{script}'",
    )


def write(folder: Path, title: str, places: Sequence[str], found: Sequence[Listed]) -> None:
    """`index.html` and `index.json`."""
    write_text(folder / PAGE, text(title, found), inside=folder)
    write_json(folder / DATA, document(places, found), inside=folder)


def _card(of: Listed) -> str:
    title = " ".join(filter(None, (of.name, of.version)))
    above = [of.task, *of.targets, ", ".join(of.methods), of.licence or "no licence: to read, not to use"]
    below = [
        ("tags", ", ".join(of.tags)),
        ("authors", ", ".join(of.authors)),
        ("cites", ", ".join(of.cites)),
        ("spec digest", of.spec),
        ("manifest", of.manifest),
    ]
    start = [f"recipelang {'study' if of.task == 'study' else 'run'} {quote(of.where)}"] if of.runs else []
    use = [*start, f'extends "{of.where}"']
    more = p.table(("", ""), [(n, clean(v)) for n, v in below if v])
    return (
        f'<article data-words="{escape(clean(of.words))}"><h2>{escape(clean(title))}</h2>'
        + f'<p class="quiet-text">{escape(clean(" · ".join(filter(None, above))))}</p>'
        + p.paragraphs(clean(of.summary))
        + "".join(p.listing(clean(line)) for line in use)
        + p.folded(_measured(of), _claims(of))
        + p.folded("authors, sources and digests", more)
        + "</article>"
    )


def _measured(of: Listed) -> str:
    """What is above the claims."""
    if not of.measured:
        return f"{plural(len(of.claims), 'claim')}, measured by nobody yet"
    return f"{plural(len(of.claims), 'claim')}, {sum(t.met is True for t in of.measured)} of {len(of.measured)} measured as met"


def _claims(of: Listed) -> str:
    if of.measured:
        rows = [(escape(clean(t.claim)), escape(clean(t.measured)), p.met(t.met), escape(t.by)) for t in of.measured]
        return p.table(("claim", "measured", "met", "measured by"), rows, raw=True)
    return p.table(("claim",), [(clean(claim),) for claim in of.claims])
