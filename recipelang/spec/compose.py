"""Several files as one tree: a base's statements, edited by its child, then by overlays.

Only trees are changed here, nothing is evaluated: a base's lets and windows are
computed afterwards, and so see the values that a child sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, fields, replace
from typing import Any

from recipelang.source import Diagnostics, Edit, Fix, Label, Source, Span
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest, instead
from recipelang.spec.imports import MAX_DEPTH, Edits, File, Imports, Loader, no_imports, root
from recipelang.syntax import Parsed, tree as t

_WORDS = {t.Set: "set", t.Unset: "unset", t.Patch: "patch", t.Extends: "extends", t.Use: "use"}


@frozen
class Composed:
    """`tree` holds no composition any more. `replaced`: path -> the statements that later ones took the place of."""

    source: Source
    tree: t.Recipe
    replaced: dict[str, list[t.Statement]] = field(default_factory=dict)
    #: aliases of `use` whose file could not be read: their names are silent
    unread: frozenset[str] = frozenset()


def compose(
    parsed: Parsed, diagnostics: Diagnostics, load: Loader = no_imports, overlays: Sequence[Source] = ()
) -> Composed | None:
    """One recipe of all its files; `None` when a base or an overlay cannot be read."""
    top = root(parsed)
    assert top is not None
    imports = Imports(top.source, diagnostics, load)
    imports.count(parsed)
    chain = imports.chain(top)
    placed = [imports.place(overlay) for overlay in overlays]
    if chain is None or None in placed:
        return None
    composer = _Composer(imports, diagnostics)
    for file in reversed(chain):
        composer.add(file)
    for overlay in placed:
        assert overlay is not None
        composer.overlay(overlay)
    tree = replace(top.tree, statements=tuple(composer.statements))
    return Composed(imports.source, tree, composer.replaced, frozenset(composer.unread))


class _Composer:
    def __init__(self, imports: Imports, diagnostics: Diagnostics) -> None:
        self.imports = imports
        self.diagnostics = diagnostics
        self.statements: list[t.Statement] = []
        self.replaced: dict[str, list[t.Statement]] = {}
        self.unread: set[str] = set()
        self.overlays = 0  # so far
        self.set_by: dict[str, int] = {}  # parameter -> the overlay that has set it, 0: the recipe

    def add(self, file: File) -> None:
        """A file's statements on top of what it inherits."""
        own: list[t.Statement] = []
        for statement in file.tree.statements:
            match statement:
                case t.Extends():
                    pass
                case t.Use():
                    own += self._use(statement, [file.source.name])
                case t.Set() | t.Unset() | t.Patch():
                    self._change(statement, file.tree.statements)
                case t.Param() if (index := self._definition(statement.name)) is not None:
                    self._declare_again(index, statement)
                case t.Attribute() if self._inherited(statement):
                    self.statements = list(self._with(self.statements, statement, ""))
                case t.Block() if (index := _find(self.statements, statement)) is not None:
                    self._again(index, statement)
                case _:
                    own.append(statement)
        self.statements += own

    def overlay(self, file: File) -> None:
        self.overlays += 1
        for statement in file.tree.statements:
            match statement:
                case t.Set() | t.Patch():
                    self._change(statement, ())
                case t.Unset() if isinstance(file.source, Edits):
                    self._change(statement, ())
                case t.Broken():
                    pass
                case _:
                    self._error(
                        "E034",
                        "an overlay holds only `set` and `patch`",
                        statement.span,
                        help="write it in the recipe, or as a child: a recipe that `extends` it",
                    )

    def _change(self, statement: t.Set | t.Unset | t.Patch, own: tuple[t.Statement, ...]) -> None:
        match statement:
            case t.Set():
                self._set(statement, own)
            case t.Unset():
                self._unset(statement)
            case t.Patch():
                self._patch(statement)

    def _may_be(self, name: str, body: Iterable[t.Statement]) -> bool:
        """A broken statement among these may have been the one that is named: that was reported."""
        return any(isinstance(s, t.Broken) and re.search(rf"\b{re.escape(name)}\b", s.text) for s in body)

    # ----------------------------------------------------------------- params
    def _definition(self, name: str) -> int | None:
        """Where an inherited parameter of this name stands."""
        places = (i for i, s in enumerate(self.statements) if isinstance(s, t.Param) and s.name == name)
        return next(places, None)

    def _set(self, statement: t.Set, own: tuple[t.Statement, ...]) -> None:
        index = self._definition(statement.path.text)
        if index is None:
            self._no_parameter(statement, own)
            return
        param = self.statements[index]
        assert isinstance(param, t.Param)
        if self._is_fixed(param, statement.path.span):
            return
        self._note(param.name, param)
        self.set_by[param.name] = self.overlays
        self.statements[index] = replace(param, default=statement.value, fixed=statement.path.span)

    def _is_fixed(self, param: t.Param, span: Span) -> bool:
        """What a recipe has `set` is final; what an overlay has, a later overlay may set anew."""
        if param.fixed is not None and 0 < self.set_by.get(param.name, 0) < self.overlays:
            return False
        if param.fixed is not None:
            set_here = Label(self.imports.source, param.fixed, "fixed here")
            help = "change it there, or remove this line"
            self._error("E037", f"`{param.name}` is set already", span, help=help, secondary=(set_here,))
        return param.fixed is not None

    def _no_parameter(self, statement: t.Set, own: tuple[t.Statement, ...]) -> None:
        name = statement.path.text
        if self._may_be(name, self.statements):
            return
        inherited = [s.name for s in self.statements if isinstance(s, t.Param)]
        near = closest(name, inherited)
        fixes: tuple[Fix, ...] = ()
        if "." in name:
            help = "`set` gives a parameter its value; a block is changed by `patch KIND NAME { ... }`"
        elif any(isinstance(s, t.Param) and s.name == name for s in own):
            help = f"`{name}` is declared in this file: write the value there, after `=`"
        elif any(isinstance(s, t.Let) and s.name == name for s in self.statements):
            help = f"`{name}` is a `let` of the base: only a `param` can be set"
        elif near:
            help = f"did you mean `{near}`?"
            fixes = instead(name, near, statement.path.span, inherited)
        elif inherited:
            help = f"it has {', '.join(f'`{n}`' for n in inherited)}"
        elif self.statements:
            help = f"its base declares none: write `param {name}: TYPE = ...` there"
        else:
            help = "name a base with `extends`; without one there is nothing to set"
        self._error("E036", f"there is no inherited parameter `{name}`", statement.path.span, help=help, fixes=fixes)

    def _declare_again(self, index: int, param: t.Param) -> None:
        """A child's declaration narrows the base's: both hold, and the base's default stays unless there is a new one."""
        base = self.statements[index]
        assert isinstance(base, t.Param)
        if self._same_file(base, param):
            self.statements.append(param)  # reported as defined twice, with all other definitions
        elif not self._is_fixed(base, param.name_span):
            self._note(param.name, base)
            default = param.default if param.default is not None else base.default
            doc = param.doc or base.doc
            self.statements[index] = replace(param, default=default, narrows=base, doc=doc)

    # ----------------------------------------------------------------- blocks
    def _patch(self, statement: t.Patch) -> None:
        block = statement.block
        index = _find(self.statements, block)
        if index is None:
            self._nothing_to_patch(block, self.statements, "")
            return
        inherited = self.statements[index]
        assert isinstance(inherited, t.Block)
        self.statements[index] = self._merged(inherited, block, _path("", block))

    def _again(self, index: int, block: t.Block) -> None:
        """A block that the base has too: without a name it is merged, with one it must say `patch`."""
        inherited = self.statements[index]
        assert isinstance(inherited, t.Block)
        if self._same_file(inherited, block):
            self.statements.append(block)
        elif block.labels:
            there = (Label(self.imports.source, inherited.header, "defined in the base"),)
            fix = Fix("write `patch`", (Edit(Span(block.span.start, block.span.start), "patch "),), "unsafe")
            name = _name(block)
            help = f"write `patch {name} {{ ... }}` to change it, or rename this one"
            self._error("E032", f"`{name}` already exists", block.header, help=help, secondary=there, fixes=(fix,))
        else:
            self.statements[index] = self._merged(inherited, block, _path("", block))

    def _merged(self, inherited: t.Block, patch: t.Block, path: str) -> t.Block:
        body: list[t.Statement] = list(inherited.body)
        for statement in patch.body:
            match statement:
                case t.Attribute():
                    body = list(self._with(body, statement, path))
                case t.Block() if (index := _find(body, statement)) is not None:
                    inner = body[index]
                    assert isinstance(inner, t.Block)
                    if self._same_file(inner, statement):
                        body.append(statement)
                    else:
                        body[index] = self._merged(inner, statement, _path(path, statement))
                case t.Block() if statement.labels:
                    self._nothing_to_patch(statement, body, _name(patch))
                case _:
                    body.append(statement)
        return replace(inherited, body=tuple(body))

    def _nothing_to_patch(self, block: t.Block, among: Iterable[t.Statement], where: str) -> None:
        name = _name(block)
        among = tuple(among)
        if self._may_be(block.labels[-1] if block.labels else block.kind, among):
            return
        names = [_name(s) for s in among if isinstance(s, t.Block)]
        near = closest(name, [n for n in names if n.startswith(block.kind)]) or closest(name, names)
        same = [n for n in names if n.startswith(f"{block.kind} ")]
        fixes: tuple[Fix, ...] = ()
        if near:
            help = f"did you mean `{near}`?"
            fixes = instead(name, near, block.header, names)
        elif same:
            help = f"the base has {', '.join(f'`{n}`' for n in same)}"
        elif where:
            help = f"a patch cannot add `{block.kind}`: remove `{where}` with `unset`, then write it again"
        else:
            help = f"write `{name} {{ ... }}` without `patch` to add it"
        inside = f" in `{where}`" if where else ""
        self._error("E033", f"there is no inherited `{name}`{inside} to patch", block.header, help=help, fixes=fixes)

    # ------------------------------------------------------------- attributes
    def _inherited(self, attribute: t.Attribute) -> bool:
        return any(isinstance(s, t.Attribute) and s.name == attribute.name for s in self.statements)

    def _with(self, body: Sequence[t.Statement], attribute: t.Attribute, path: str) -> Iterable[t.Statement]:
        """A block's statements with an attribute in place of the one of its name, or behind the others."""
        places = [i for i, s in enumerate(body) if isinstance(s, t.Attribute) and s.name == attribute.name]
        if not places or self._same_file(body[places[-1]], attribute):
            return [*body, attribute]
        old = body[places[-1]]
        assert isinstance(old, t.Attribute)
        self._note(f"{path}.{attribute.name}".lstrip("."), old)
        if attribute.operator != "=":
            change = t.Edited(old.value, attribute.operator, attribute.value, span=attribute.value.span)
            attribute = replace(attribute, operator="=", value=change)
        return [*body[: places[-1]], attribute, *body[places[-1] + 1 :]]

    def _unset(self, statement: t.Unset) -> None:
        path = statement.path
        left = self._without(self.statements, path.names, path.text)
        if left is not None:
            self.statements = list(left)
            return
        if self._may_be(path.names[-1], self._everything(self.statements)):
            return
        known = [path for path, _ in paths(self.statements, "")]
        near = closest(path.text, known)
        fixes = instead(path.text, near, path.span, known)
        inside = [k for k in known if k.startswith(f"{path.text.rpartition('.')[0]}.")] or known
        help = f"did you mean `{near}`?" if near else f"the base has {', '.join(f'`{k}`' for k in inside[:8])}"
        if any(isinstance(s, t.Param | t.Let) and s.name == path.text for s in self.statements):
            help = "a parameter or `let` of a base cannot be removed; `set` gives a parameter its value"
        if not known:
            help = "name a base with `extends`; without one there is nothing to remove"
        self._error("E035", f"there is no inherited `{path.text}` to unset", path.span, help=help, fixes=fixes)

    def _everything(self, body: Iterable[t.Statement]) -> Iterator[t.Statement]:
        """Statements, and those inside blocks."""
        for statement in body:
            yield statement
            if isinstance(statement, t.Block):
                yield from self._everything(statement.body)

    def _without(
        self, body: Sequence[t.Statement], names: tuple[str, ...], path: str
    ) -> tuple[t.Statement, ...] | None:
        """The statements less the one that a path names; `None` when it names none."""
        for index, statement in enumerate(body):
            match statement:
                case t.Attribute() if names == (statement.name,):
                    left: tuple[t.Statement, ...] = ()
                case t.Block() if names[: 1 + len(statement.labels)] == (statement.kind, *statement.labels):
                    rest = names[1 + len(statement.labels) :]
                    inner = self._without(statement.body, rest, path) if rest else ()
                    if inner is None:
                        continue
                    left = (replace(statement, body=inner),) if rest else ()
                case _:
                    continue
            if not left:
                self._note(path, statement)
            return (*body[:index], *left, *body[index + 1 :])
        return None

    # -------------------------------------------------------------- libraries
    def _use(self, statement: t.Use, active: list[str]) -> list[t.Statement]:
        """The lets of a library, each under `ALIAS.NAME`."""
        if len(active) > MAX_DEPTH:
            self._error("E041", f"`use` chains more than {MAX_DEPTH} recipes", statement.reference.span)
            file = None
        else:
            file = self.imports.read(statement.reference, active)
        if file is None:
            self.unread.add(statement.alias)
            return []
        lets: list[t.Let] = []
        broken: set[str] = set()
        for inner in file.tree.statements:
            match inner:
                case t.Let():
                    lets.append(inner)
                case t.Use():
                    lets += [s for s in self._use(inner, [*active, file.source.name]) if isinstance(s, t.Let)]
                    self.unread |= {statement.alias} if inner.alias in self.unread else set()
                case t.Block(kind="meta"):
                    pass
                case t.Broken():  # it may have defined any name that is missing
                    self.unread.add(statement.alias)
                    broken |= set(re.findall(r"[A-Za-z_]\w*", inner.text))
                case _:
                    used = (Label(self.imports.source, statement.span, "used here"),)
                    help = "put shared values in `let`s; build on a whole recipe with `extends`"
                    message = "a recipe named by `use` may hold only `let`"
                    self._error("E034", message, inner.span, help=help, secondary=used)
        names = {let.name for let in lets} | broken
        return [
            replace(let, name=f"{statement.alias}.{let.name}", value=_renamed(let.value, names, statement.alias))
            for let in lets
        ]

    # -------------------------------------------------------------------- own
    def _note(self, path: str, old: t.Statement) -> None:
        """For `trace`: what stood at a path before."""
        self.replaced.setdefault(path, []).append(old)

    def _same_file(self, a: t.Statement, b: t.Statement) -> bool:
        source = self.imports.source
        return source.file(a.span) is source.file(b.span)

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
        at = Label(self.imports.source, span)
        self.diagnostics.say(code, message, at, secondary, help=help, fixes=fixes)


def word(statement: t.Statement) -> str | None:
    """The keyword of a statement of composition."""
    return _WORDS.get(type(statement))


def _find(body: Sequence[t.Statement], block: t.Block) -> int | None:
    """Where a block of the same kind and name stands."""
    for index, statement in enumerate(body):
        if isinstance(statement, t.Block) and (statement.kind, statement.labels) == (block.kind, block.labels):
            return index
    return None


def _name(block: t.Block) -> str:
    return " ".join((block.kind, *block.labels))


def _path(parent: str, block: t.Block) -> str:
    return ".".join(filter(None, (parent, block.kind, *block.labels)))


def paths(body: Sequence[t.Statement], parent: str) -> Iterator[tuple[str, t.Attribute | t.Block]]:
    """Every attribute and block by its path: what `unset` and `trace` may name."""
    for statement in body:
        match statement:
            case t.Attribute():
                yield f"{parent}.{statement.name}".lstrip("."), statement
            case t.Block():
                path = _path(parent, statement)
                yield path, statement
                yield from paths(statement.body, path)


def _renamed(node: Any, names: set[str], alias: str) -> Any:
    """An expression whose names of its own file carry the alias under which the file is used."""
    match node:
        case t.Path() if node.library:
            return replace(node, library=f"{alias}.{node.library}")
        case t.Path() if node.text in names or node.names[0] in names:
            return replace(node, names=(alias, *node.names))
        case t.Path():  # not a name of the recipe that uses the file, even where that has one
            return replace(node, library=alias)
        case t.Call():  # a function is not a name of the file
            return replace(node, arguments=tuple(_renamed(a, names, alias) for a in node.arguments))
        case t.Binary(operator="per"):
            return replace(node, left=_renamed(node.left, names, alias))
        case t.Node():
            changes = {f.name: _renamed(getattr(node, f.name), names, alias) for f in fields(node)}
            return replace(node, **changes)
        case tuple():
            return tuple(_renamed(item, names, alias) for item in node)
    return node
