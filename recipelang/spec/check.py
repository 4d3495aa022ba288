"""The front half in one call: text in, a checked recipe or precise findings out. No torch, no network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from recipelang.kinds.formats import others
from recipelang.source import Diagnostics, Label, Source, Span
from recipelang.source.suggest import closest
from recipelang.spec import vocabulary
from recipelang.spec.bind import Binder, bind_data, bind_stage
from recipelang.spec.blocks import DataSpec, EvaluateSpec, ExportSpec, MetaSpec, ModelSpec, StageSpec, TopSpec
from recipelang.spec.claims import check_claims, explain_values
from recipelang.spec.compose import Composed, compose
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.harness import HarnessSpec
from recipelang.spec.imports import Loader, no_imports
from recipelang.spec.ladder import written_out
from recipelang.spec.metrics import METRICS
from recipelang.spec.params import Given, Params
from recipelang.spec.recipe import Checked, Claim, Outline, Recipe
from recipelang.spec.requirements import check_listed, check_requires
from recipelang.spec.scope import Definition
from recipelang.spec.track import TrackSpec
from recipelang.spec.watched import check_watched
from recipelang.syntax import Parsed, parse, tree as t
from recipelang.values.composite import POISON, Poison, StageRef, Symbol


def check(
    source: Source,
    given: Mapping[str, Given] | None = None,
    *,
    complete: bool = False,
    load: Loader = no_imports,
    overlays: Sequence[Source] = (),
) -> Checked:
    """Parse, compose, evaluate, bind, and look at the names and types of claims. `complete`: a parameter without a value is an error (`run`, `plan`).

    `load` reads what the recipe builds on; `overlays` are laid over it, the last on top.
    """
    diagnostics = Diagnostics()
    parsed = parse(source, diagnostics)
    if (study := study_of(parsed.recipe)) is not None:
        help = f"run it with `recipelang study {source.name}`"
        diagnostics.say("E100", "this is a study, not a recipe", Label(source, study.header), help=help)
        return Checked(parsed, None, diagnostics)
    composed = compose(parsed, diagnostics, load, overlays) if parsed.recipe is not None else None
    if composed is None:
        return Checked(parsed, None, diagnostics)
    checked = _Checker(parsed, composed, diagnostics, given or {}, complete).run()
    if checked.outline is not None:
        check_claims(checked.outline, diagnostics)
    return checked


def study_of(tree: t.Recipe | None) -> t.Block | None:
    """The block that makes a file a study, which varies a recipe of another file; it may be misspelt."""
    blocks = {s.kind: s for s in reversed(tree.statements) if isinstance(s, t.Block)} if tree else {}
    if "study" not in blocks and blocks.keys() & {"model", "data", "stage"}:
        return None
    return next((blocks[kind] for kind in ("study", "arm", "vary") if kind in blocks), None)


class _Checker:
    def __init__(
        self, parsed: Parsed, composed: Composed, diagnostics: Diagnostics, given: Mapping[str, Given], complete: bool
    ) -> None:
        self.parsed = parsed
        self.composed = composed
        self.source = composed.source
        self.tree = composed.tree
        self.diagnostics = diagnostics
        self.evaluator = Evaluator(self.source, diagnostics, unread=set(composed.unread))
        self.params = Params(self.source, diagnostics, self.evaluator, given)
        self.binder = Binder(self.source, diagnostics)
        self.complete = complete
        self.outline: Outline | None = None
        self.written_out = True  # every stage that repeats

    def run(self) -> Checked:
        self._define()
        self._write_out()
        for definition in self.evaluator.definitions.values():
            self.evaluator._demand(definition.name, definition.span)
        abstract = bool(self.params.missing)
        if abstract and self.complete:
            self._ask_for_missing()
        empty = not self.tree.statements and bool(self.diagnostics.errors)  # no header, and nothing else
        recipe = None if empty else self._bind()
        self._require(sound=recipe is not None and not abstract)
        if not self.diagnostics.errors:
            vocabulary.check_arguments(self.tree, self.evaluator)
        sound = recipe is not None and not abstract and not self.diagnostics.errors
        missing = tuple(self.params.missing)
        return Checked(
            self.parsed,
            recipe if sound else None,
            self.diagnostics,
            missing,
            self.outline,
            self.composed,
            self.evaluator,
        )

    def _write_out(self) -> None:
        """Repeated stages become the stages that they stand for."""
        self.tree, self.written_out = written_out(self.tree, self.evaluator)
        self.composed = replace(self.composed, tree=self.tree)
        self.__dict__.pop("_words", None)  # they may have been asked for by a list

    # ------------------------------------------------------------ definitions
    def _define(self) -> None:
        lets: set[str] = set()
        blocks = (s for s in self.tree.statements if isinstance(s, t.Block))
        measured = frozenset(b.labels[0] for b in blocks if b.kind == "evaluate" and b.labels)
        self.evaluator.evaluations = measured
        for statement in self.tree.statements:
            match statement:
                case t.Param():
                    if self._is_new(statement.name, statement.name_span, measured):
                        self.params.declare(statement)
                case t.Let():
                    if self._is_new(statement.name, statement.name_span, measured):
                        lets.add(statement.name)
                        self._let(statement)
                case t.Attribute() if statement.name not in TopSpec.attributes():
                    self.evaluator.unread.add(statement.name)  # told where it stands: it may have been meant as a `let`
                case t.Broken():
                    self.evaluator.unread.update(re.findall(r"^\s*\w+\s+([A-Za-z_]\w*)", statement.text))
        self.params.check_unknown(frozenset(lets))

    def _is_new(self, name: str, span: Span, measured: frozenset[str]) -> bool:
        alias, dot, _ = name.partition(".")
        if dot and (alias == "stage" or alias in measured):
            self.diagnostics.say(
                "E039",
                f"the alias `{alias}` clashes with a name that claims measure",
                Label(self.source, span),
                help="use the library under another name",
            )
            return False
        if name in ("start", "end", "stage"):
            self.diagnostics.say(
                "E039",
                f"`{name}` is a name reserved by the language",
                Label(self.source, span),
                help="choose another name",
            )
            return False
        first = self.evaluator.definitions.get(name)
        if first is not None:
            self.diagnostics.say(
                "E012",
                f"`{name}` is defined twice",
                Label(self.source, span),
                (Label(self.source, first.span, "first defined here"),),
                help="keep one of them",
            )
        return first is None

    def _let(self, node: t.Let) -> None:
        def compute() -> object:
            value = self.evaluator.within({}).value(node.value)
            return value if isinstance(value, Poison) or self._words_known(node.value) else POISON

        self.evaluator.definitions[node.name] = Definition(node.name, "let", compute, node.name_span)

    @cached_property
    def _words(self) -> tuple[frozenset[str], list[str]]:
        return vocabulary.names_of(self.tree, self.evaluator), vocabulary.stages_of(self.tree)

    def _words_known(self, value: t.Expr) -> bool:
        return vocabulary.is_known(value, *self._words, self.evaluator)

    def _ask_for_missing(self) -> None:
        for name in self.params.missing:
            at = self.evaluator.definitions[name].span
            self.diagnostics.say(
                "E053",
                f"parameter `{name}` needs a value",
                Label(self.source, at),
                help=f"pass it with `-p {name}=...`",
            )

    # ------------------------------------------------------------------ blocks
    def _bind(self) -> Recipe | None:
        found: dict[type, list[object]] = {}
        data: dict[str, DataSpec] = {}
        sound = True
        kinds: set[str] = set()
        blocks = self.binder.known_blocks(self.tree.statements, "")
        for block, spec in blocks:
            kinds.add(block.kind)
            path = ".".join((block.kind, *block.labels))
            bound: object
            if spec is StageSpec:
                bound = bind_stage(self.binder, block, self.evaluator)
            elif spec is DataSpec:
                bound = bind_data(self.binder, block, self.evaluator, path)
                if isinstance(bound, DataSpec):
                    data[block.labels[0] if block.labels else ""] = bound
            else:
                for child, _ in self.binder.children(block):
                    self.binder.spans[f"{path}.{child.kind}"] = child.header
                extra = {"name": block.labels[0]} if spec.LABELS[0] else None
                bound = self.binder.bind(block, spec, self.evaluator, path, extra)
            if isinstance(bound, MetaSpec):
                at = self.binder.spans.get("meta.requires", block.header)
                check_requires(bound, Label(self.source, at), self.diagnostics)
            sound = sound and bound is not None
            found.setdefault(spec, []).append(bound)
        stages = tuple(block.labels[0] for block, spec in blocks if spec is StageSpec)
        formats = [tuple(others(e)) for e in found.get(ExportSpec, []) if isinstance(e, ExportSpec)]
        harnesses = tuple(block.labels[0] for block, spec in blocks if spec is HarnessSpec)
        self.outline = self._outline(stages, found.get(EvaluateSpec, []), (formats or [()])[-1], harnesses)
        top = self._top()
        for kind in ("model", "stage"):
            if kind not in kinds and not self._is_library:
                sound = False
                refused = any(isinstance(s, t.Block) and s.kind == kind for s in self.tree.statements)
                if not refused and not self._nearly(kind):
                    self._missing_block(kind)
        if not sound or top is None or not {"model", "stage"} <= kinds:
            return None
        recipe = self._recipe(found, data, top)
        self._stage_references(recipe)
        self._data_labels(recipe)
        check_watched(recipe, self.diagnostics)
        if not self.diagnostics.errors:
            check_listed(recipe, self.diagnostics)
        return recipe

    def _outline(
        self,
        stages: tuple[str, ...],
        evaluations: list[object],
        formats: tuple[str, ...] = (),
        harnesses: tuple[str, ...] = (),
    ) -> Outline | None:
        """None where what could not be read may have been an evaluation or a stage."""
        task = ""
        for block in self.tree.statements:
            for a in block.body if isinstance(block, t.Block) and block.kind == "model" else ():
                if isinstance(a, t.Attribute) and a.name == "task" and isinstance(a.value, t.Path):
                    value = self.evaluator.value(a.value)
                    task = value.name if isinstance(value, Symbol) else a.value.text
        metrics: dict[str, tuple[tuple[str, ...], bool]] = {}
        for e in evaluations:
            names = (e.metrics or METRICS.get(task)) if isinstance(e, EvaluateSpec) else ()
            if not isinstance(e, EvaluateSpec) or not names:
                return None
            metrics[e.name] = (names, e.compare == "dense")
        if not self.written_out or any(isinstance(s, t.Broken) for s in self.tree.statements):
            return None
        claims = tuple(self._claim(s) for s in self.tree.statements if isinstance(s, t.Claim) and s.kind != "require")
        return Outline(self.source, claims, stages, metrics, self.evaluator, formats, harnesses)

    def _top(self) -> TopSpec | None:
        header = Span(0, 0)
        statements = tuple(s for s in self.tree.statements if isinstance(s, t.Attribute))
        block = t.Block("", (), statements, span=header, kind_span=header)
        return self.binder.bind(block, TopSpec, self.evaluator, "top")

    @property
    def _is_library(self) -> bool:
        """Only values, for other recipes to take: nothing to run, and nothing amiss while nobody runs it."""
        has = any(isinstance(s, t.Let) for s in self.tree.statements)
        return has and not self.complete and all(map(_belongs_to_library, self.tree.statements))

    def _nearly(self, kind: str) -> bool:
        """A misspelt block was reported where it stands; a broken statement may have been the block."""
        return any(
            (isinstance(s, t.Block) and closest(s.kind, [kind])) or isinstance(s, t.Broken)
            for s in self.tree.statements
        )

    def _missing_block(self, kind: str) -> None:
        hint = {
            "model": 'add `model { base = "hf://...", task = question_answering }`',
            "stage": "add `stage NAME { length = 2 epochs, batch = 16, learning_rate = ... }`",
        }[kind]
        at = self.tree.version_span
        self.diagnostics.say("E053", f"the recipe has no `{kind}`", Label(self.source, at), help=hint)

    def _recipe(self, found: dict[type, list[object]], data: dict[str, DataSpec], top: TopSpec) -> Recipe:
        def one(kind: type) -> object:
            return found[kind][0] if kind in found else kind()

        claims = [self._claim(s) for s in self.tree.statements if isinstance(s, t.Claim)]
        return Recipe(
            source=self.source,
            name=self.tree.name or "recipe",
            version=self.tree.version,
            doc=self.tree.doc,
            meta=one(MetaSpec),  # type: ignore[arg-type]
            model=found[ModelSpec][0],  # type: ignore[arg-type]
            data=data,
            stages=tuple(found[StageSpec]),  # type: ignore[arg-type]
            evaluations=tuple(found.get(EvaluateSpec, ())),  # type: ignore[arg-type]
            export=one(ExportSpec),  # type: ignore[arg-type]
            top=top,
            claims=tuple(c for c in claims if c.kind != "require"),
            requires=tuple(c for c in claims if c.kind == "require"),
            params=tuple(self.params.declared),
            evaluator=self.evaluator,
            spans=self.binder.spans,
            harnesses=tuple(found.get(HarnessSpec, ())),  # type: ignore[arg-type]
            track=found[TrackSpec][0] if TrackSpec in found else None,  # type: ignore[arg-type]
        )

    def _claim(self, node: t.Claim) -> Claim:
        text = self.source.slice(node.condition.span)
        message = self.evaluator.value(node.message) if node.message is not None else None
        return Claim(node.kind, node.condition, " ".join(text.split()), message if isinstance(message, str) else None)

    def _stage_references(self, recipe: Recipe) -> None:
        earlier: list[str] = []
        for stage in recipe.stages:
            for distill in stage.distills:
                if isinstance(distill.teacher, StageRef) and distill.teacher.name not in earlier:
                    near = closest(distill.teacher.name, earlier)
                    listed = ", ".join(f"`stage.{n}`" for n in earlier)
                    help = f"did you mean `stage.{near}`?" if near else f"earlier stages here: {listed}"
                    if not earlier:
                        help = "no stage comes before this one: name a model, in quotes"
                    at = recipe.label(f"stage.{stage.name}.distill.teacher")
                    message = f"`stage.{distill.teacher.name}` is not an earlier stage"
                    if near and distill.teacher.name not in [s.name for s in recipe.stages]:
                        # claims say the same of a name that no stage has: one finding for both
                        message, help = f"no stage is named `{distill.teacher.name}`", f"did you mean `{near}`?"
                    self.diagnostics.say("E022", message, at, help=help)
            earlier.append(stage.name)

    def _data_labels(self, recipe: Recipe) -> None:
        users = [(f"stage.{s.name}.data", s.data) for s in recipe.stages if s.reads_data or s.data]
        users += [(f"evaluate.{e.name}.data", e.data) for e in recipe.evaluations if e.source is None]
        for path, name in users:
            if name in recipe.data:
                continue
            if not name:
                if not self._nearly("data"):
                    self._no_default_data(recipe, path)
                continue
            near = closest(name, recipe.data)
            labels = ", ".join(f"`{d}`" for d in recipe.data if d)
            help = f"labels here: {labels}" if labels else f"write `data {name} {{ ... }}`, or remove this"
            if near:
                help = f"did you mean `{near}`?"
            self.diagnostics.say("E022", f"no data is labelled `{name}`", recipe.label(path), help=help)

    def _no_default_data(self, recipe: Recipe, path: str) -> None:
        at: Label | None = Label(self.source, self.tree.version_span)
        message, help = "the recipe has no `data`", 'add `data { source = "..." }`'
        if recipe.data:
            at = recipe.label(path)
            message = f"`{path.partition('.')[0]}` needs `data`: every data set here has a label"
            help = "write " + " or ".join(f"`data = {d}`" for d in recipe.data)
        self.diagnostics.say("E053", message, at, help=help)

    # ----------------------------------------------------------------- requires
    def _require(self, *, sound: bool) -> None:
        """`sound`: every value is known, so a requirement can fail; names in it are judged in any case."""
        for node in self.tree.statements:
            if not isinstance(node, t.Claim) or node.kind != "require":
                continue
            value = self.evaluator.value(node.condition)
            if value is True or isinstance(value, Poison) or not sound:
                continue
            claim = self._claim(node)
            labels = explain_values(self.source, claim.condition, self.evaluator)
            message = claim.message or "a requirement of this recipe does not hold"
            at = Label(self.source, claim.condition.span)
            params = [p for p in self.params.declared if p.name in _names(claim.condition)]
            labels += tuple(Label(self.source, p.fixed, f"`{p.name}` is set here") for p in params if p.fixed)
            options = [f"`-p {p.name}=...`" for p in params if not p.fixed]
            help = f"give another value with {' or '.join(options)}" if options else "change the values"
            self.diagnostics.say("E050", message, at, labels, help=help)


def _names(expr: t.Expr) -> set[str]:
    """The names an expression uses."""
    found: set[str] = set()
    stack: list[object] = [expr]
    while stack:
        match stack.pop():
            case t.Path() as path:
                found.add(path.names[0])
            case t.Binary() as node:
                stack += [node.left, node.right]
            case t.Unary() as node:
                stack.append(node.operand)
            case t.If() as node:
                stack += [node.condition, node.then, node.other]
            case t.ListOf() as node:
                stack += node.items
    return found


def _belongs_to_library(statement: t.Statement) -> bool:
    match statement:
        case t.Let() | t.Param() | t.Broken():
            return True
        case t.Block(kind=kind):
            return kind == "meta" or closest(kind, ["meta"]) is not None
    return False
