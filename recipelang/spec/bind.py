"""Blocks against the closed schema: every attribute evaluated, typed and placed, or a precise error."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pydantic import ValidationError

from recipelang.kinds.base import Evaluated, Kind, Mismatch
from recipelang.kinds.plain import Reference
from recipelang.source import Diagnostics, Fix, Label, Source, Span
from recipelang.source.suggest import closest, instead
from recipelang.spec.blocks import BLOCKS, LATER_BLOCKS, ColumnsSpec, DataSpec, MixSpec, Spec, StageSpec
from recipelang.spec.compose import word
from recipelang.spec.ends import settled
from recipelang.spec.evaluator import NAMES, Evaluator
from recipelang.syntax import tree as t
from recipelang.values import aliases
from recipelang.values.composite import POISON, Poison, Symbol, Written
from recipelang.values.quantities import Time

S = TypeVar("S", bound=Spec)


@dataclass(repr=False, eq=False)
class Binder:
    """`spans` maps a path such as `stage.sparse.prune.weights.targets` to where it was written."""

    source: Source
    diagnostics: Diagnostics
    spans: dict[str, Span] = field(default_factory=dict)
    #: which blocks there are, and what the whole file is called
    table: Mapping[str, Mapping[str, type[Spec]]] = field(default_factory=lambda: BLOCKS)
    whole: str = "a recipe"
    #: parameters that are one of some names, and the names that an attribute takes: judged once
    _options_judged: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)

    def attributes(self, statements: Iterable[t.Statement], known: Container[str]) -> dict[str, t.Attribute]:
        """Attributes by name; a second one of the same name is an error that shows both."""
        found: dict[str, t.Attribute] = {}
        for statement in statements:
            if not isinstance(statement, t.Attribute):
                continue
            if statement.name in found:
                first = found[statement.name]
                self._error(
                    "E012",
                    f"`{statement.name}` is given twice",
                    statement.name_span,
                    help="keep one of them",
                    secondary=(Label(self.source, first.name_span, "first given here"),),
                )
                continue
            if statement.operator != "=" and statement.name in known:
                self._error(
                    "E031",
                    f"there is no inherited `{statement.name}` to change",
                    statement.name_span,
                    help=f"`{statement.operator}` edits a value of a base recipe; write `=`",
                )
                continue
            found[statement.name] = statement
        return found

    def bind(
        self,
        block: t.Block,
        spec: type[S],
        evaluator: Evaluator,
        path: str,
        extra: Mapping[str, object] | None = None,
    ) -> S | None:
        """One block's attributes as its Spec; `None` when any of them is wrong."""
        self.spans[path] = block.header
        known = spec.attributes()
        values: dict[str, object] = dict(extra or {})
        written: dict[str, t.Attribute] = {}
        meant: dict[str, object] = {}
        sound = True
        for name, attribute in self.attributes(block.body, known).items():
            self.spans[f"{path}.{name}"] = attribute.value.span
            if name not in known:
                self._unknown_attribute(block, spec, attribute, evaluator)
                if not isinstance(attribute.value, t.Edited):
                    value = evaluator.value(attribute.value)  # a slip in its name does not hide one in its value
                    if word := _meant(name, known):
                        with suppress(Mismatch):
                            meant[word] = known[word].kind.read(value)
                sound = False
                continue
            written[name] = attribute
            value = self._value(attribute.value, known[name].kind, evaluator)
            if not isinstance(value, Poison):
                self._options(attribute, known[name].kind, evaluator)
            self._look_over(attribute, spec, evaluator)
            values[name] = self._relative(value, known[name].kind, name) if isinstance(value, Written) else value
        try:
            bound = spec.model_validate(values, context=Evaluated(meant))
        except ValidationError as error:
            self._refused(error, block, spec, path, written, evaluator, sound)
            return None
        return bound if sound else None

    def _refused(
        self,
        error: ValidationError,
        block: t.Block,
        spec: type[Spec],
        path: str,
        written: Mapping[str, t.Attribute],
        evaluator: Evaluator,
        sound: bool,
    ) -> None:
        """Everything that pydantic found in a block, with its code, at its place."""
        given = {s.name for s in block.body if isinstance(s, t.Attribute)}
        broken = any(isinstance(s, t.Broken) for s in block.body) or self._hides_text(block)
        found = error.errors(include_url=False)
        for item in found:
            name, facts = str(item["loc"][0]) if item["loc"] else "", item.get("ctx", {})
            if "mismatch" in facts:
                self._misfit(facts["mismatch"], written[name], spec, evaluator)
            elif item["type"] == "E053":
                if name not in given and not broken:
                    self._missing(block, name, spec.attributes()[name].doc)
            elif sound and len(found) == 1:  # attributes may only contradict each other where each is right
                at = self.spans.get(f"{path}.{facts.get('attribute')}", block.header)
                if (subject := facts.get("subject")) and (inside := written.get(facts["attribute"])):
                    named = Mismatch(item["type"], item["msg"], subject=subject)
                    at = _innermost(inside.value, named, evaluator) or at
                self._error(item["type"], item["msg"], at, help=facts.get("help"))

    def _hides_text(self, block: t.Block) -> bool:
        """An open string in the block may have swallowed attributes."""
        return any(
            d.code == "E003" and d.primary and block.span.start <= d.primary.span.start < block.span.end
            for d in self.diagnostics
        )

    def _value(self, expr: t.Expr, kind: Kind, evaluator: Evaluator) -> object:
        """An attribute's value, with what a child's `+=` and `-=` changed in it."""
        if not isinstance(expr, t.Edited):
            return evaluator.value(expr)
        value = self._value(expr.inherited, kind, evaluator)
        change = evaluator.value(expr.change)
        if isinstance(value, Poison) or isinstance(change, Poison):
            return POISON
        try:
            return kind.edit(value, expr.operator, change)
        except Mismatch as mismatch:
            return evaluator.mismatch(mismatch, expr.change.span)

    def _relative(self, value: Written, kind: Kind, name: str) -> str:
        """A path written in another file of the recipe, seen from the file that was asked for."""
        path = name == "source" or "/" in value or "." in value  # else it may be a split of the source
        if value.folder is not None:
            return posixpath.join(value.folder, value) if path else str(value)
        is_path = isinstance(kind, Reference) and (kind.what == "model" or path)
        file = self.source.file(value.span)
        if not is_path or "://" in value + file.name or value[:1] in "~/" or file.name == self.source.name:
            return str(value)
        here, there = (posixpath.dirname(s.name) for s in (self.source, file))
        return posixpath.relpath(posixpath.join(there, value), here or ".")

    def _misfit(self, mismatch: Mismatch, attribute: t.Attribute, spec: type[Spec], evaluator: Evaluator) -> None:
        at = _innermost(attribute.value, mismatch, evaluator)
        evaluator.misfit(mismatch, attribute.value, at, spec.attributes()[attribute.name].kind)

    def _options(self, attribute: t.Attribute, kind: Kind, evaluator: Evaluator) -> None:
        """Every name that a `one_of` parameter may be must do where the parameter is the value."""
        defined = evaluator.definitions.get(attribute.value.text) if isinstance(attribute.value, t.Path) else None
        if defined is None or not kind.symbols:
            return
        if (defined.name, kind.symbols) in self._options_judged:
            return  # the findings would be the same, at the same places
        self._options_judged.add((defined.name, kind.symbols))
        for name, span in zip(defined.symbols or (), defined.places, strict=False):
            if name not in kind.symbols and (mismatch := kind.unknown(Symbol(name))).code == "E022":
                evaluator.mismatch(mismatch, span)

    def _look_over(self, attribute: t.Attribute, spec: type[Spec], evaluator: Evaluator) -> None:
        """The branches of an `if` that were not taken: every name in them must do as well."""
        quiet = Evaluator(
            self.source,
            Diagnostics(),
            evaluator.definitions,
            evaluator.locals,
            unread=evaluator.unread,
            evaluations=evaluator.evaluations,
        )
        for branch in _branches(attribute.value):
            value = quiet.value(branch)
            try:
                spec.attributes()[attribute.name].kind.read(value)
            except Mismatch as mismatch:
                self._misfit(mismatch, replace(attribute, value=branch), spec, quiet)
        self.diagnostics.extend([d for d in quiet.diagnostics if d.code in (*NAMES, "E051")])

    # ---------------------------------------------------------------- structure
    def children(self, block: t.Block) -> list[tuple[t.Block, type[Spec]]]:
        """The blocks inside a block that may stand there; the others are reported."""
        return self.known_blocks(block.body, block.kind)

    def known_blocks(self, statements: Iterable[t.Statement], parent: str) -> list[tuple[t.Block, type[Spec]]]:
        table = self.table.get(parent, {})
        found: list[tuple[t.Block, type[Spec]]] = []
        seen: dict[tuple[str, tuple[str, ...]], t.Block] = {}
        statements = tuple(statements)
        whole = {(s.kind, s.labels) for s in statements if isinstance(s, t.Block)}
        for statement in statements:
            if parent and (word := _keyword(statement)):
                self._error(
                    "E052",
                    f"`{word}` cannot appear inside a block",
                    statement.span,
                    help="move it to the top of the file",
                )
            if not isinstance(statement, t.Block):
                continue
            if statement.kind not in table:
                meant = self._unknown_block(statement, parent, statements)
                if meant is None or (meant, statement.labels) in whole:
                    continue
                statement = replace(statement, kind=meant)
            spec = table[statement.kind]
            if not self._labels(statement, spec):
                continue
            key = (statement.kind, statement.labels)
            if key in seen:
                name = " ".join(key[:1] + key[1])
                self._error(
                    "E012",
                    f"`{name}` is given twice",
                    statement.header,
                    help="merge them, or rename one",
                    secondary=(Label(self.source, seen[key].header, "first given here"),),
                )
                continue
            seen[key] = statement
            found.append((statement, spec))
        return found

    def _labels(self, block: t.Block, spec: type[Spec]) -> bool:
        least, most = spec.LABELS
        if least <= len(block.labels) <= most:
            return True
        if not block.labels:
            help = f"write `{block.kind} NAME {{ ... }}`"
            self._error("E053", f"`{block.kind}` needs a name", block.kind_span, help=help)
        else:
            self._error(
                "E054",
                f"`{block.kind}` takes {'no name' if most == 0 else 'one name'}",
                block.label_spans[most],
                help=f"write `{block.kind} {{ ... }}`" if most == 0 else None,
            )
        return False

    # ----------------------------------------------------------------- messages
    def _unknown_attribute(
        self, block: t.Block, spec: type[Spec], attribute: t.Attribute, evaluator: Evaluator
    ) -> None:
        name, kind = attribute.name, block.kind
        here = spec.attributes()
        word = _meant(name, here)
        where = f"`{kind}`" if kind else "the top of a recipe"
        message = f"unknown attribute `{name}` in {where}"
        fixes: tuple[Fix, ...] = ()
        if word and name in aliases.OTHER_VALUES:
            help = f"use `{word}`: {aliases.OTHER_VALUES[name] or f'{here[word].doc}, as in `{word} = {here[word].example}`'}"
        elif word and self._stands_first(word, attribute, block, here):
            help = f"`{word}` is already given: remove one of the two"
        elif word:
            help = f"did you mean `{word}`?"
            fixes = instead(name, word, attribute.name_span, here)
            if aliases.ATTRIBUTES.get(name) == word:
                fixes = (replace(fixes[0], applicability="safe"),)
        elif name in BLOCKS.get(kind, {}):
            help = f"`{name}` is a block: write `{name} {{ ... }}`"
        elif not kind and (defined := evaluator.definitions.get(name)) and defined.kind == "param":
            help = f"`{name}` is a parameter: give an inherited one its value with `set {name} = ...`"
        elif homes := _homes(aliases.ATTRIBUTES.get(name, name), column=bool(kind)):
            home = aliases.ATTRIBUTES.get(name, name)
            help = f"`{home}` belongs in {' or '.join(f'`{h}`' for h in homes)}, not in {where}"
        elif not kind:
            help = f"define a value of your own with `let {name} = ...` or `param {name}: TYPE = ...`"
        else:
            help = f"it takes {', '.join(f'`{a}`' for a in here)}"
        self._error("E051", message, attribute.name_span, help=help, fixes=fixes)

    def _stands_first(self, word: str, attribute: t.Attribute, block: t.Block, here: Mapping[str, object]) -> bool:
        """Whether the file gives the block that attribute, or has a wrong name for it before this one: two would be
        too many."""
        named = [s for s in block.body if isinstance(s, t.Attribute) and self._same_file(s, attribute)]
        return any(
            s.name == word or (s.name not in here and s.span < attribute.span and _meant(s.name, here) == word)
            for s in named
        )

    def _same_file(self, a: t.Statement, b: t.Statement) -> bool:
        return self.source.file(a.span) is self.source.file(b.span)

    def _unknown_block(self, block: t.Block, parent: str, beside: Iterable[t.Statement]) -> str | None:
        """Said with the kind that was meant, where that is clear: the block is then read as one of it.

        `beside`: what stands there as well; no fix writes a block that its file has already.
        """
        where = f"`{parent}`" if parent else self.whole
        if (parent, block.kind) in LATER_BLOCKS:
            self._error(
                "E055", f"this release does not support `{block.kind}` yet", block.kind_span, help="remove it for now"
            )
            return None
        table = self.table.get(parent, {})
        near = closest(block.kind, table) or aliases.meant(block.kind, aliases.BLOCKS, table)
        if block.labels and block.labels[0] in table and (patch := closest(block.kind, ["patch"])):
            near = patch  # `ptach stage NAME { ... }` looks like a block with two names
        homes = [p for p, inner in self.table.items() if block.kind in inner]
        if near:
            help = f"did you mean `{near}`?"
        elif homes:
            inside = f"inside `{homes[0]}`" if homes[0] else "outside all blocks"
            help = f"`{block.kind}` belongs {inside}"
        elif attributes := _homes(block.kind, column=True):
            example = next(a for spec in _specs() for n, a in spec.attributes().items() if n == block.kind).example
            help = f"`{block.kind}` is an attribute of `{attributes[0]}`: write `{block.kind} = {example}` there"
        else:
            help = f"{where} takes {', '.join(f'`{b}`' for b in table)}" if table else f"{where} takes no blocks"
        there = (s for s in beside if isinstance(s, t.Block) and self._same_file(s, block))
        twice = any((s.kind, s.labels) == (near, block.labels) for s in there)
        fixes = () if twice else instead(block.kind, near, block.kind_span, table)
        self._error("E052", f"unknown block `{block.kind}` in {where}", block.kind_span, help=help, fixes=fixes)
        return near if closest(block.kind, table) == near else None

    def _missing(self, block: t.Block, name: str, doc: str) -> None:
        misspelt = [s.name for s in block.body if isinstance(s, t.Attribute) and _meant(s.name, [name])]
        if misspelt:
            return  # the misspelling is reported where it stands
        self._error("E053", f"`{block.kind}` needs `{name}`", block.header, help=f"add `{name} = ...`: {doc}")

    def _error(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str | None = None,
        secondary: tuple[Label, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        self.diagnostics.say(code, message, Label(self.source, span), secondary, help=help, fixes=fixes)


def bind_stage(binder: Binder, block: t.Block, evaluator: Evaluator) -> StageSpec | None:
    """A stage with what acts in it; `start` and `end` are points in time for all its attributes."""
    path = f"stage.{block.labels[0]}"
    inner = evaluator.within({"start": Time(), "end": _length(block, evaluator)})
    sound = True
    parts: dict[str, list[Spec]] = {kind: [] for kind in BLOCKS["stage"]}
    for child, spec in binder.children(block):
        label = f".{child.labels[0]}" if child.labels else ""
        extra = {"name": child.labels[0]} if spec.LABELS[0] else None
        for stray, _ in binder.known_blocks(child.body, child.kind):
            binder.spans[f"{path}.{child.kind}.{stray.kind}"] = stray.header
        bound = binder.bind(child, spec, inner, f"{path}.{child.kind}{label}", extra)
        sound = sound and bound is not None
        if bound is not None:
            parts[child.kind].append(bound)
    own: dict[str, object] = {
        "name": block.labels[0],
        **{f"{kind}s": tuple(specs) for kind, specs in parts.items()},
    }
    stage = binder.bind(block, StageSpec, inner, path, own)
    return settled(stage) if sound and stage is not None else None


def _length(block: t.Block, evaluator: Evaluator) -> object:
    """`end` is the stage's length; a length that is wrong is reported with the attribute itself."""
    for statement in block.body:
        if isinstance(statement, t.Attribute) and statement.name == "length":
            if isinstance(statement.value, t.Edited):  # not for a length: told with the attribute
                return POISON
            quiet = evaluator.within({})
            value = quiet.value(statement.value)
            return value if isinstance(value, Time) else POISON
    modes = [s.value for s in block.body if isinstance(s, t.Attribute) and s.name == "mode"]
    quiet = evaluator.within({})
    one_shot = any(quiet.value(m) == Symbol("one_shot") for m in modes if not isinstance(m, t.Edited))
    return Time() if one_shot else POISON  # one shot has no time: it begins where it ends


def bind_data(binder: Binder, block: t.Block, evaluator: Evaluator, path: str) -> DataSpec | None:
    columns: tuple[tuple[str, str], ...] = ()
    mixes: list[MixSpec] = []
    for child, spec in binder.children(block):
        label = f".{child.labels[0]}" if child.labels else ""
        extra = {"name": child.labels[0]} if child.labels else None
        bound = binder.bind(child, spec, evaluator, f"{path}.{child.kind}{label}", extra)
        if isinstance(bound, ColumnsSpec):
            columns = tuple((k, v) for k, v in bound.model_dump().items() if v is not None)
        elif isinstance(bound, MixSpec):
            mixes.append(bound)
    written = sum(isinstance(s, t.Block) and s.kind == "mix" for s in block.body)
    own: dict[str, object] = {"columns": columns, "mixes": tuple(mixes) if len(mixes) == written else ()}
    return binder.bind(block, DataSpec, evaluator, path, own)


def _keyword(statement: t.Statement) -> str | None:
    """The word that begins a statement which stands at the top of a file only."""
    match statement:
        case t.Param():
            return "param"
        case t.Let():
            return "let"
        case t.Claim():
            return statement.kind
    return word(statement)


def _branches(expr: t.Expr) -> list[t.Expr]:
    """What a value may be, where it is an `if`."""
    found: list[t.Expr] = []
    stack: list[t.Expr] = [expr] if isinstance(expr, t.If) else []
    while stack:
        node = stack.pop()
        if isinstance(node, t.If):
            stack += [node.other, node.then]
        else:
            found.append(node)
    return found


def _meant(name: str, here: Collection[str]) -> str | None:
    """The attribute that a wrong name stands for: near it, elsewhere called so, or the only one that has it as a word.

    What belongs here goes before what has that name in another block.
    """
    if found := closest(name, here):
        return found
    if (word := aliases.ATTRIBUTES.get(name)) in here:
        return word
    holding = [a for a in here if name in a.split("_")]
    return holding[0] if len(holding) == 1 else None


def _specs() -> list[type[Spec]]:
    return [spec for table in BLOCKS.values() for spec in table.values()]


def _homes(name: str, *, column: bool) -> list[str]:
    """The blocks that have an attribute of this name; a `column` is meant only inside of a block."""
    every = [kind for table in BLOCKS.values() for kind, spec in table.items() if name in spec.attributes()]
    return [kind for kind in every if column or kind != "columns"]


def _innermost(expr: t.Expr, mismatch: Mismatch, evaluator: Evaluator) -> Span | None:
    """The part of a value that a mismatch speaks of: what it names, or the number that it replaces."""
    for node in t.inside(expr):
        match node:
            case t.Path() if node.text == mismatch.subject:
                return node.span
            case t.Call():
                if mismatch.code == "E022" and node.function.text == mismatch.subject:
                    return node.function.span
                for argument in reversed(node.arguments):  # of two with one name, the second is meant
                    if mismatch.code in ("E051", "E026") and argument.name == mismatch.subject and argument.name_span:
                        return argument.name_span
            case t.Number() if mismatch.code == "E038" and mismatch.replacement and node.unit is None:
                if mismatch.replacement.rstrip("%") == evaluator.source.slice(node.span):
                    return node.span
    return None
