"""A study as it is written: the text read, its names known, its arms as overlays. No torch, no data, no model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from recipelang.loading.files import References
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Span
from recipelang.source.suggest import closest, instead
from recipelang.source.words import limit_text
from recipelang.spec.bind import Binder
from recipelang.spec.check import study_of
from recipelang.spec.compose import word
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.imports import Edits
from recipelang.spec.study_blocks import STUDY_BLOCKS, ArmSpec, SearchSpec, StudySpec
from recipelang.study.ranges import NotARange, Range, range_of
from recipelang.syntax import parse, tree as t
from recipelang.values.composite import Symbol

#: runs of a study
MAX_VARIANTS = 1_000
#: arms that one is made of
MAX_MADE_OF = 16
#: recipes and overlays that a study names, and the characters in them
MAX_FILES, MAX_TEXT = 64, 1024 * 1024


@dataclass(frozen=True)
class Vary:
    """A parameter, and the values it takes, as they stand in the study."""

    name: str
    name_span: Span
    values: tuple[t.Expr, ...]


@dataclass(frozen=True)
class Arm:
    """`overlays`: what is laid over the recipe `of`, the last on top."""

    name: str
    doc: str
    of: Source
    overlays: tuple[Source, ...]
    span: Span

    @property
    def size(self) -> int:
        """Characters that checking it reads; what is blank in an overlay costs little."""
        return sum(len(source.text) - source.text.count(" ") for source in (self.of, *self.overlays))


@dataclass(frozen=True)
class Search:
    """`path`: what is measured and sought. `ranges`: of the varied parameters, in their order."""

    trials: int
    path: str
    maximize: bool
    sampler: str
    seed: int
    ranges: tuple[Range, ...]
    span: Span
    path_span: Span


@dataclass(frozen=True)
class Study:
    source: Source
    name: str
    doc: str
    seeds: tuple[int | None, ...]
    seeds_span: Span
    baseline: str | None
    against: str | None
    drops_weights: bool
    vary: tuple[Vary, ...]
    arms: tuple[Arm, ...]
    search: Search | None = None

    @property
    def runs(self) -> int:
        if self.search is not None:
            return self.search.trials * len(self.seeds)
        return math.prod((len(self.arms), len(self.seeds), *(len(v.values) for v in self.vary)))


def read_study(source: Source) -> Study:
    """`RecipeError` with every mistake in the study's own text; the recipes are not looked at yet."""
    found = Diagnostics()
    parsed = parse(source, found)
    found.raise_errors()
    assert parsed.recipe is not None
    if study_of(parsed.recipe) is None:
        at = Label(source, parsed.recipe.version_span)
        help = 'a study holds `study { of = "./recipe.recipe" }`; `recipelang run` runs a recipe'
        raise RecipeError(Diagnostic("E100", "this file is not a study", at, help=(help,)))
    study = _Reader(source, parsed.recipe, found).study()
    found.raise_errors()
    assert study is not None
    return study


def _named(measured: t.Path | t.Call) -> object:
    """What a search seeks is a name here: a study measures nothing itself."""
    return Symbol((measured if isinstance(measured, t.Path) else measured.function).text)


class _Reader:
    def __init__(self, source: Source, tree: t.Recipe, found: Diagnostics) -> None:
        self.source, self.tree, self.found, self.load = source, tree, found, References(source).load
        self.binder = Binder(source, found, table=STUDY_BLOCKS, whole="a study")
        self.evaluator = Evaluator(source, found, measured=_named)
        self.files: dict[str, Source] = {}
        self.circles: list[set[str]] = []
        self.orders: dict[str, list[str] | None] = {}
        self.overlays: dict[str, Source] = {}
        self.too_many = False
        self.search: tuple[t.Block, SearchSpec] | None = None

    def study(self) -> Study | None:
        self._only(
            self.tree.statements, (t.Block, *_CHANGES), "a study may hold only blocks, `set`, `patch` and `unset`"
        )
        specs: dict[str, StudySpec] = {}
        arms: dict[str, tuple[t.Block, ArmSpec]] = {}
        vary: tuple[Vary, ...] = ()
        for block, kind in self.binder.known_blocks(self.tree.statements, ""):
            if block.kind == "vary":
                vary = tuple(self._vary(block))
                continue
            extra = {"name": block.labels[0]} if block.labels else None
            bound = self.binder.bind(block, kind, self.evaluator, ".".join((block.kind, *block.labels)), extra)
            if isinstance(bound, StudySpec):
                specs["study"] = bound
            elif isinstance(bound, SearchSpec):
                self.search = (block, bound)
            elif isinstance(bound, ArmSpec):
                self._can_be_a_folder(block)
                self._only(
                    block.body, (t.Attribute, *_CHANGES), "an arm may hold only attributes, `set`, `patch` and `unset`"
                )
                arms[block.labels[0]] = (block, bound)
        if "study" not in specs or self.found.errors:
            return None
        return self._made(specs["study"], arms, vary)

    def _made(self, spec: StudySpec, arms: dict[str, tuple[t.Block, ArmSpec]], vary: tuple[Vary, ...]) -> Study | None:
        self._known("study.baseline", spec.baseline, arms, "arm")
        self._known("study.against", spec.against, [v.name for v in vary], "varied parameter")
        common = [s for s in self.tree.statements if isinstance(s, _CHANGES)]
        below = (self._overlay(common),) if common else ()
        if not arms:  # the recipe itself is the only way
            of = self._file("study.of", spec.of, self.binder.spans["study"])
            made = [Arm(self._slug_of(spec), "", of, below, self.binder.spans["study"])] if of else []
        else:
            made = [arm for name in arms if (arm := self._arm(name, spec, arms, below)) is not None]
        seeds = self.binder.spans.get("study.seeds", self.binder.spans["study"])
        if (
            spec.seeds
            and (again := next((s for i, s in enumerate(spec.seeds) if s in spec.seeds[:i]), None)) is not None
        ):
            self._error(
                "E012", f"the seed `{again}` is given twice", seeds, "keep one: repeating a seed gives the same result"
            )
        search = self._searched(vary, len(made)) if self.search is not None else None
        if search is None:
            self._listed(vary)
        if not self.found.errors:
            trials = search.trials if search is not None else None
            self._count(len(made), vary, len(spec.seeds or (None,)), seeds, trials)
        if self.found.errors:
            return None
        return Study(
            self.source,
            self.tree.name or "study",
            self.tree.doc,
            spec.seeds or (None,),
            seeds,
            spec.baseline,
            spec.against,
            spec.weights == "drop",
            vary,
            tuple(made),
            search,
        )

    def _searched(self, vary: Sequence[Vary], arms: int) -> Search | None:
        assert self.search is not None
        block, spec = self.search
        ranges: list[Range] = []
        for varied in vary:
            expr = varied.values[0] if len(varied.values) == 1 else t.ListOf(varied.values, span=varied.name_span)
            try:
                ranges.append(range_of(varied.name, expr, tuple(self.source.slice(v.span) for v in varied.values)))
            except NotARange as why:
                self._error("E265", why.message, why.span, why.help)
        if not vary:
            self._error("E265", "the study has nothing to search", block.header, "add `vary { target = 50%..90% }`")
        if arms > 1:
            self._error("E265", "a search has one arm", block.header, "search each arm in a study of its own")
        path = "search.maximize" if spec.maximize else "search.minimize"
        measured, at = spec.maximize or spec.minimize or "", self.binder.spans.get(path, block.header)
        return Search(
            spec.trials, measured, bool(spec.maximize), spec.sampler, spec.seed, tuple(ranges), block.header, at
        )

    def _listed(self, vary: Sequence[Vary]) -> None:
        """Without a search, a range is nothing to run."""
        for varied in vary:
            for value in varied.values:
                ranged = isinstance(value, t.Binary) and value.operator == ".."
                if ranged or (isinstance(value, t.Call) and value.function.text == "log"):
                    help = "list its values, `[50%, 90%]`, or add `search { trials = 20, maximize = dev.f1 }`"
                    self._error("E265", f"`{varied.name}` is a range, and the study has no `search`", value.span, help)

    def _count(self, arms: int, vary: Sequence[Vary], seeds: int, at: Span, trials: int | None) -> None:
        """E101 before any of the runs is made: a few lines can ask for more of them than there are atoms."""
        total = arms * seeds * (trials or 1)
        for varied in vary if trials is None else ():
            total *= len(varied.values)
            if total > 10**12:
                break
        if total > MAX_VARIANTS:
            runs = f"{total:,}" if total <= 10**12 else "more than 10^12"
            message = f"this study has {runs} runs; at most {MAX_VARIANTS:,} are allowed"
            self._error("E101", message, at, "vary fewer values at once, or split the study")

    def _slug_of(self, spec: StudySpec) -> str:
        name = (spec.of or "").rpartition("/")[2].removesuffix(".recipe")
        return name if _NAME.fullmatch(name) else "recipe"

    def _can_be_a_folder(self, block: t.Block) -> None:
        """A name in quotes may be any text, and must not lead out of the study's folder."""
        if not _NAME.fullmatch(block.labels[0]):
            message = "an arm's name is also a folder name"
            help = "write letters, digits, `-` and `_`, beginning with a letter, at most 60"
            self._error("E024", message, block.label_spans[0], help)

    def _arm(
        self, name: str, study: StudySpec, arms: Mapping[str, tuple[t.Block, ArmSpec]], below: tuple[Source, ...]
    ) -> Arm | None:
        block, spec = arms[name]
        path = f"arm.{name}.of" if spec.of is not None else "study.of"
        of = self._file(path, spec.of or study.of, block.header)
        order = self._order(name, arms, [])
        if of is None or order is None:
            return None
        overlays = [o for one in order for o in self._changes(*arms[one])]
        return Arm(name, block.doc, of, (*below, *overlays), block.header)

    def _order(self, name: str, arms: Mapping[str, tuple[t.Block, ArmSpec]], way: list[str]) -> list[str] | None:
        """The arms that this one is made of, itself last, each once. None after a finding."""
        if name in way:
            self._circle(way[way.index(name) :])
            return None
        if name not in self.orders:
            self.orders[name] = self._made_of(name, arms, [*way, name])
        return self.orders[name]

    def _made_of(self, name: str, arms: Mapping[str, tuple[t.Block, ArmSpec]], way: list[str]) -> list[str] | None:
        order: dict[str, None] = {}
        for other in dict.fromkeys(arms[name][1].arms):
            if not self._known(f"arm.{name}.arms", other, arms, "arm"):
                return None
            inner = self._order(other, arms, way) if len(way) <= MAX_MADE_OF else None
            if len(way) > MAX_MADE_OF or (inner is not None and len(order) + len(inner) > MAX_MADE_OF):
                self._made_of_too_many(way[0])
            if inner is None or self.too_many:
                return None
            order |= dict.fromkeys(inner)
        return [*order, name]

    def _made_of_too_many(self, name: str) -> None:
        """Told once: the others hang on the same arms."""
        if self.too_many:
            return
        self.too_many = True
        span = self.binder.spans[f"arm.{name}.arms"]
        message = f"arm `{name}` combines more than {MAX_MADE_OF} other arms"
        self._error("E101", message, span, "put the changes into fewer arms, or into an `overlay` file")

    def _circle(self, way: list[str]) -> None:
        """Told once, whichever of its arms was looked at first."""
        if set(way) in self.circles:
            return
        self.circles.append(set(way))
        at = Label(self.source, self.binder.spans[f"arm.{way[0]}.arms"])
        notes, help = (f"the cycle is {' -> '.join([*way, way[0]])}",), "remove one of them from the list"
        self.found.say("E021", "these arms include each other", at, notes=notes, help=help)

    def _changes(self, block: t.Block, spec: ArmSpec) -> Iterator[Source]:
        """Files first, then what the arm says itself."""
        for reference in spec.overlay:
            if file := self._file(f"arm.{spec.name}.overlay", reference, block.header):
                yield file
        if own := [s for s in block.body if isinstance(s, _CHANGES)]:
            if spec.name not in self.overlays:
                self.overlays[spec.name] = self._overlay(own)
            yield self.overlays[spec.name]

    def _overlay(self, statements: Sequence[t.Statement]) -> Source:
        """The study's text with nothing in it but its header and these statements, each at its own place."""
        text = self.source.text
        first = min(s.span.start for s in self.tree.statements)
        keep = [Span(0, first), *(s.span for s in statements)]
        blank = [c if c == "\n" else " " for c in text]
        for span in keep:
            blank[span.start : span.end] = text[span.start : span.end]
        return Edits(self.source.name, "".join(blank))

    def _file(self, path: str, reference: str | None, otherwise: Span) -> Source | None:
        at = Label(self.source, self.binder.spans.get(path, otherwise))
        if reference is None:
            help = 'name it: `of = "./NAME.recipe"`'
            self.found.say("E053", "the study names no recipe", at, help=help)
            return None
        if reference not in self.files:
            try:
                self.files[reference] = self.load(reference, self.source)
            except RecipeError as error:
                self.found.extend([replace(d, primary=d.primary or at) for d in error.diagnostics])
                return None
            if len(self.files) > MAX_FILES or sum(len(f.text) for f in self.files.values()) > MAX_TEXT:
                message = f"this study names more than {MAX_FILES} files or {limit_text(MAX_TEXT)}"
                self.found.say("E042", message, at, help="split the study")
                self.found.raise_errors()
        return self.files[reference]

    def _vary(self, block: t.Block) -> Iterator[Vary]:
        self._only(block.body, (t.Attribute,), "`vary` holds `PARAMETER = [VALUE, ...]`")
        for name, attribute in self.binder.attributes(block.body, ()).items():
            values = attribute.value.items if isinstance(attribute.value, t.ListOf) else (attribute.value,)
            seen: set[str] = set()
            again = next((v for v in values if (text := self.source.slice(v.span)) in seen or seen.add(text)), None)  # type: ignore[func-returns-value]
            if again is not None:
                self._error("E012", f"`{self.source.slice(again.span)}` is given twice", again.span, "keep one of them")
            if not values:
                self._error("E024", f"`{name}` has no value here", attribute.value.span, "write one, or remove it")
            yield Vary(name, attribute.name_span, tuple(values))

    # ----------------------------------------------------------------- messages
    def _only(self, statements: Iterable[t.Statement], allowed: tuple[type, ...], message: str) -> None:
        for s in statements:
            if isinstance(s, (*allowed, t.Broken)):
                continue
            if isinstance(s, t.Block) and (near := closest(s.kind, ["patch", "unset"])):
                fixes = instead(s.kind, near, s.kind_span)
                at, help = Label(self.source, s.kind_span), f"did you mean `{near}`?"
                self.found.say("E052", f"unknown block `{s.kind}` here", at, help=help, fixes=fixes)
                continue
            kind = s.kind if isinstance(s, t.Block | t.Claim) else _WORDS.get(type(s)) or word(s)
            what = f"`{kind}`" if kind else "this"
            span = s.header if isinstance(s, t.Block) else s.span
            self._error("E034", message, span, f"{what} belongs in the recipe; change it here with `set` or `patch`")

    def _known(self, path: str, name: str | None, names: Iterable[str], what: str) -> bool:
        names = list(names)
        if name is None or name in names:
            return True
        span = self.binder.spans[path]
        near = closest(name, names)
        listed = ", ".join(f"`{n}`" for n in names)
        help = f"did you mean `{near}`?" if near else f"there is {listed}" if names else f"the study has no {what}"
        at = next((e.span for e in self._paths(path) if e.text == name), span)
        fixes = instead(name, near, at, names)
        self.found.say("E022", f"no {what} is named `{name}`", Label(self.source, at), help=help, fixes=fixes)
        return False

    def _paths(self, path: str) -> Iterator[t.Path]:
        """Bare names in the value of an attribute."""
        for statement in self.tree.statements:
            if isinstance(statement, t.Block):
                where = ".".join((statement.kind, *statement.labels))
                for a in statement.body:
                    if isinstance(a, t.Attribute) and f"{where}.{a.name}" == path:
                        yield from (e for e in t.inside(a.value) if isinstance(e, t.Path))

    def _error(self, code: str, message: str, span: Span, help: str) -> None:
        self.found.say(code, message, Label(self.source, span), help=help)


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
#: statements of a study that change the recipe
_CHANGES = (t.Set, t.Patch, t.Unset)
_WORDS = {t.Param: "param", t.Let: "let"}
