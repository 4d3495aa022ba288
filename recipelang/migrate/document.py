"""What a file holds: variables, stages, and modifiers with their places. The dialect is a matter of layout alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from recipelang.migrate import expressions as x, foreign
from recipelang.migrate.command import Command, training_command
from recipelang.migrate.nodes import (
    Alias,
    Anchors,
    Entry,
    List,
    Map,
    Node,
    Scalar,
    compose,
    front_matter,
    plain,
    tagged,
)
from recipelang.migrate.scalars import Traps, is_none
from recipelang.migrate.unread import tag_span, unread
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Span
from recipelang.source.render import line_of
from recipelang.syntax.tokens import KEYWORDS

#: what the two dialects are called in reports
LEGACY, NEWER = "SparseML 1, `!Tag` lists", "SparseML and llm-compressor, stages of modifiers"
#: scalars beside the stages that are no variables
_HEAD = ("version", "__metadata__", "metadata", "args", "recipe_version")


_NO_GROUP = "the file holds no modifiers"
#: of a stage, in the newer loaders
_UNREAD = ("enabled", "exclude_default", "group", "index")


@dataclass(frozen=True)
class Modifier:
    """`span` is where its name stands; `stage` the key that it stands under, none outside stages."""

    name: str
    span: Span
    arguments: Mapping[str, Entry]
    stage: str | None
    group: str
    comment: str = ""


@dataclass(frozen=True)
class Variable:
    """`formula` over other variables, or a plain value; a text where it is neither.

    `name` as it was written; `stage` is the one that it belongs to, none: the file.
    """

    name: str
    span: Span
    node: Scalar
    formula: x.Expression | None
    comment: str = ""
    stage: str | None = None


@dataclass(frozen=True)
class StageKey:
    key: str
    span: Span
    run_type: str | None


@dataclass
class Document:
    source: Source
    dialect: str
    traps: Traps
    modifiers: list[Modifier] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)  # by names that no two share
    scopes: dict[str | None, dict[str, str]] = field(default_factory=dict)  # stage -> name as written -> its own
    lists: dict[tuple[str | None, str], List] = field(default_factory=dict)  # stage, name -> what a variable lists
    stages: dict[str, StageKey] = field(default_factory=dict)
    command: Command = field(default_factory=Command)
    known: dict[str, Fraction] = field(default_factory=dict)
    anchored: dict[int, str] = field(default_factory=dict)  # a variable's node -> its name
    passed_over: list[str] = field(default_factory=list)  # why the last loader of the dialect took nothing
    anchor_twice: str | None = None
    refused: list[str] = field(default_factory=list)  # what no loader takes: unknown arguments, formulas in a circle
    idle: dict[tuple[str, str], list[Span]] = field(default_factory=dict)  # what changes nothing, why -> where

    def label(self, span: Span, text: str = "") -> Label:
        return Label(self.source, span, text)

    def own_name(self, written: str, stage: str | None) -> str:
        """The variable that a name means in a stage: SparseML 1 asked the stage first, the newer loaders the file."""
        order = (stage, None) if self.dialect == LEGACY else (None, stage)
        found = (self.scopes.get(scope, {}).get(written) for scope in order)
        return next((name for name in found if name is not None), written)

    def variable(self, written: str, stage: str | None) -> Variable | None:
        return self.variables.get(self.own_name(written, stage))

    def listed(self, written: str, stage: str | None) -> List | None:
        """The list that a variable of this name holds."""
        order = (stage, None) if self.dialect == LEGACY else (None, stage)
        return next((self.lists[scope, written] for scope in order if (scope, written) in self.lists), None)

    def scoped(self, formula: x.Expression, stage: str | None) -> x.Expression:
        """The formula with names that no two variables share."""
        return x.renamed(formula, lambda name: self.own_name(name, stage))

    def without_effect(self, message: str, why: str, span: Span) -> None:
        """Told once, however often it stands in the file (W131)."""
        self.idle.setdefault((message, why), []).append(span)

    def tell(self, found: Diagnostics) -> None:
        """What is told once for a file: traps of YAML, and what changes nothing."""
        self.traps.tell(found)
        for (message, why), spans in self.idle.items():
            first, *more = sorted(set(spans))
            also = tuple(self.label(span, "and here") for span in more[:3])
            times = f" ({len(more) + 1} times)" if more else ""
            found.say("W131", message + times, self.label(first), also, notes=(why,))


def read(source: Source, found: Diagnostics) -> Document:
    """
    Raises:
        RecipeError: what is no YAML (E110), or holds no modifiers (E111).
    """
    part = front_matter(source) if source.name.endswith(".md") or source.text.lstrip().startswith("<!--") else None
    if part is None and source.name.endswith(".md"):
        help = ("put the recipe between two `---` lines, as the tools expected",)
        raise RecipeError(Diagnostic("E111", "this Markdown file holds no recipe", help=help))
    anchors = Anchors()
    try:
        root = compose(source, found, part, anchors)
    except RecipeError as error:
        other = foreign.told(source) if error.diagnostics[0].code == "E110" else None
        raise (RecipeError(other) if other else error) from None
    legacy = root is not None and any(node.tag.endswith("Modifier") for node in tagged(root))
    document = Document(source, LEGACY if legacy else NEWER, Traps(source), anchor_twice=anchors.twice)
    if part is not None:
        document.command = training_command(source, part)
    if root is not None:
        _Reader(document, found).read(plain(root))
    other = None if document.modifiers else foreign.told(source)
    if root is not None and other is None:
        _tell_unread(document, root, found)
    if not document.modifiers:
        notes = (f"{foreign.READS}",)
        help = ("a modifier is `- !NAMEModifier` in a list, or `NAMEModifier:` in a group of a stage",)
        none = Diagnostic("E111", "this file holds no modifiers", notes=notes, help=help)
        raise RecipeError([*found, other or none])
    return document


def _tell_unread(document: Document, root: Node, found: Diagnostics) -> None:
    places = {modifier.span for modifier in document.modifiers}
    for name, place in unread(document.source, root, places, _HEAD):
        document.passed_over.append(f"`{line_of(name)[:60]}` is outside a group")
        notes = ("modifiers are read in lists and groups, of the file or of a stage",)
        help = "move it to a list `modifiers:`, or to a group such as `pruning_modifiers:` of a stage"
        message = f"`{line_of(name)[:60]}` is in a place where modifiers are not read"
        found.say("E113", message, document.label(place), notes=notes, help=help)


class _Reader:
    def __init__(self, document: Document, found: Diagnostics) -> None:
        self.document, self.found = document, found
        self.variables: list[Variable] = []
        self.overrides = document.command.overrides()

    def read(self, root: Node) -> None:
        if isinstance(root, List):  # a bare list of modifiers
            return self._group("modifiers", root, None, root.span)
        if not isinstance(root, Map):
            return
        for entry in root.entries:
            value = plain(entry.value)
            if _empty_group(entry.key, value):
                self._nothing_in(entry.key, value)
            elif self._word_for_stage(entry, value):
                continue
            elif isinstance(value, Scalar):
                self._variable(entry, value)
            elif entry.key == "args" and isinstance(value, Map):
                self._arguments(value, None)
            elif entry.key in _HEAD:
                continue
            elif _is_group(value) and not (isinstance(value, Map) and entry.key.endswith("_stage")):
                self._group(entry.key, value, None, entry.at)
            elif entry.key.endswith("Modifier"):
                self._silent(f"`{entry.key}` is outside a stage", entry.at)
                self._modifier(entry.key, entry.at, value, None, "")
            elif isinstance(value, List):
                self.document.lists[None, entry.key] = value
            elif isinstance(value, Map):
                self._stage(entry, value)
        self._evaluate()

    def _arguments(self, block: Map, stage: str | None) -> None:
        """Variables below `args:`."""
        for entry in block.entries:
            value = plain(entry.value)
            if isinstance(value, Scalar):
                self._variable(entry, value, stage)
            elif isinstance(value, List):
                self.document.lists[stage, entry.key] = value

    def _variable(self, entry: Entry, value: Scalar, stage: str | None = None) -> None:
        if entry.key in _HEAD:
            return
        comment = comment_above(self.document.source, entry.at)
        if entry.key in self.overrides:  # `--recipe_args` set it in every stage
            value = Scalar(value.span, self.overrides[entry.key])
        if (inner := x.inside_eval(value.text)) is not None:
            formula: x.Expression | None = self.expression(inner, value.span)
        else:
            number = self.document.traps.number(value)
            formula = None if number is None else x.Number(number)
        name = re.sub(r"\W", "_", entry.key, flags=re.ASCII)
        self.variables.append(Variable(name, entry.at, value, formula, comment, stage))

    def _scopes(self) -> None:
        """Names that no two variables share: one that several stages define gets its stage in front."""
        defined = Counter(variable.name for variable in self.variables)
        of_file = {variable.name for variable in self.variables if variable.stage is None}
        taken = set(defined)
        for variable in self.variables:
            name = variable.name
            if self.document.dialect == NEWER and variable.stage is not None and name in of_file:
                why = "the file defines it too, and its loader used that definition"
                self.document.without_effect(f"`{name}` of a stage has no effect", why, variable.span)
                continue
            if defined[name] > 1 and variable.stage is not None:
                name = f"{stage_name(variable.stage)}_{name}"
                while name in taken:
                    name += "_"
                taken.add(name)
            self.document.scopes.setdefault(variable.stage, {})[variable.name] = name
            self.document.variables[name] = variable
            self.document.anchored[id(variable.node)] = name
        for name, variable in self.document.variables.items():
            if variable.formula is not None:
                formula = self.document.scoped(variable.formula, variable.stage)
                self.document.variables[name] = replace(variable, formula=formula)

    def expression(self, text: str, span: Span) -> x.Expression | None:
        try:
            return x.read(text)
        except x.NotRead as why:
            self._no_formula(text, span, str(why))
            return None

    def _no_formula(self, text: str, span: Span, why: str) -> None:
        help = x.READ
        label = self.document.label(span)
        self.found.say("E114", f"`{text.strip()[:60]}` cannot be read: {why}", label, help=help)

    def _evaluate(self) -> None:
        """Values of variables; one that needs itself, or what has no value, stays without."""
        self._scopes()
        if self.overrides.keys() - {variable.name for variable in self.variables}:  # of no variable of the file
            self.document.command.leave("recipe_args")
        open_ = {n: v for n, v in self.document.variables.items() if v.formula is not None}
        needs = {n: set(x.names(v.formula)) & open_.keys() for n, v in open_.items() if v.formula is not None}
        users: dict[str, list[str]] = {}
        for name, needed in needs.items():
            for other in needed:
                users.setdefault(other, []).append(name)
        ready = [n for n, needed in needs.items() if not needed]
        while open_:
            if not ready:
                name, variable = next(iter(open_.items()))
                self._no_formula(variable.node.text, variable.span, "the formula depends on itself")
                self.document.refused.append(f"`{name}` depends on its own value")
                return
            now, ready = ready, []
            for name in now:
                variable = open_.pop(name)
                for user in users.get(name, ()):
                    needs[user].discard(name)
                    if not needs[user]:
                        ready.append(user)
                try:
                    assert variable.formula is not None
                    self.document.known[name] = x.value(variable.formula, self.document.known)
                except KeyError:
                    pass  # asked for where it is used
                except x.NotRead as why:
                    self._no_formula(variable.node.text, variable.span, str(why))

    def _stage(self, entry: Entry, stage: Map) -> None:
        run_type = next((plain(e.value) for e in stage.entries if e.key == "run_type"), None)
        told = run_type.text.strip() if isinstance(run_type, Scalar) else None
        before = len(self.document.modifiers)
        for inner in stage.entries:
            value = plain(inner.value)
            if _empty_group(inner.key, value):
                self._nothing_in(inner.key, value)
            elif _is_group(value):
                self._group(inner.key, value, entry.key, inner.at)
            elif inner.key.endswith("Modifier"):
                self._silent(f"`{inner.key}` is outside a group", inner.at)
                self._modifier(inner.key, inner.at, value, entry.key, "")
            elif inner.key == "args" and isinstance(value, Map):
                self._arguments(value, entry.key)
            elif self.document.dialect == NEWER and inner.key in _UNREAD:
                self.document.without_effect(f"`{inner.key}` is not allowed here", "no loader used it", inner.at)
            elif isinstance(value, Scalar) and inner.key not in ("run_type", *_HEAD):
                self._variable(inner, value, entry.key)
            elif isinstance(value, List):
                self.document.lists[entry.key, inner.key] = value
            elif isinstance(value, Map) and inner.key not in _HEAD:
                self.document.without_effect(f"`{line_of(inner.key)[:60]}` is not allowed here", _NO_GROUP, inner.at)
        if len(self.document.modifiers) > before:
            self.document.stages[entry.key] = StageKey(entry.key, entry.at, told)
            if self.document.dialect == NEWER and not entry.key.endswith("_stage"):
                self._silent(f"`{entry.key}` does not end in `_stage`", entry.at)

    def _group(self, key: str, group: Node, stage: str | None, at: Span) -> None:
        members = list(_members(group, self.document.source))
        for word, place in _others(group) if members else ():
            self._no_modifier(word, place)
        newer = self.document.dialect == NEWER and bool(members)
        if newer and not key.endswith("_modifiers"):
            self._silent(f"`{key}` does not end in `_modifiers`", at)
        elif newer and isinstance(group, List):
            self._silent(f"`{key}` is a list", at)
        for name, span, value in members:
            self._modifier(name, span, value, stage, key)

    def _word_for_stage(self, entry: Entry, value: Scalar | List | Map) -> bool:
        """`pruning_stage: word` of the newer loaders is no variable; a number may be one."""
        if self.document.dialect == LEGACY or not entry.key.endswith("_stage") or isinstance(value, Map):
            return False
        if isinstance(value, Scalar) and self.document.traps.number(value) is not None:
            return False
        if not (isinstance(value, Scalar) and is_none(value)):
            self.document.without_effect(f"`{line_of(entry.key)[:60]}` is not allowed here", _NO_GROUP, entry.at)
        return True

    def _nothing_in(self, key: str, group: Scalar | List | Map) -> None:
        """A group without modifiers: what stands there instead."""
        if isinstance(group, Scalar) and not group.tag:
            return None if is_none(group) else self._no_modifier(line_of(group.text)[:60], group.span)
        for word, place in _others(group):
            self._no_modifier(word, place)

    def _no_modifier(self, what: str, at: Span) -> None:
        self.document.refused.append(f"`{what}` is not a modifier")
        notes = ("a group may hold only modifiers; loaders failed on anything else",)
        help = "remove it, or write the modifier's full name"
        label = self.document.label(at)
        self.found.say("E113", f"`{what}` is not a modifier", label, notes=notes, help=help)

    def _silent(self, what: str, at: Span) -> None:
        notes = ("its newest loader silently ignored these modifiers; here they are read as intended",)
        self.document.passed_over.append(what)
        self.found.say("W132", what, self.document.label(at), notes=notes)

    def _modifier(self, name: str, span: Span, value: Node, stage: str | None, group: str) -> None:
        value = plain(value)
        if not isinstance(value, Map) and not (isinstance(value, Scalar) and is_none(value)):
            label = self.document.label(value.span)
            self.found.say("E113", f"arguments of `{name}` must be names with values", label)
        arguments = {e.key: e for e in value.entries} if isinstance(value, Map) else {}
        comment = comment_above(self.document.source, span)
        self.document.modifiers.append(Modifier(name, span, arguments, stage, group, comment))


def stage_name(key: str) -> str:
    """A stage's key as a name of this language."""
    name = re.sub(r"\W", "_", key, flags=re.ASCII).removesuffix("_stage") or "stage"
    return name if name.isidentifier() and name not in KEYWORDS else f"stage_{name}"


def _empty_group(key: str, value: Node) -> bool:
    """What is called a group and holds no modifiers: a word, a list of words, names with values."""
    return (key == "modifiers" or key.endswith("_modifiers")) and not _is_group(value)


def _is_group(value: Node) -> bool:
    """A list with tags, or `NAMEModifier:` entries."""
    if isinstance(value, List):
        return any(plain(i).tag.endswith("Modifier") or _single(i) for i in value.items)
    return isinstance(value, Map) and any(e.key.endswith("Modifier") for e in value.entries)


def _single(node: Node) -> Entry | None:
    """The entry of `- NAMEModifier: {...}`."""
    node = plain(node)
    if isinstance(node, Map) and not node.tag and len(node.entries) == 1 and node.entries[0].key.endswith("Modifier"):
        return node.entries[0]
    return None


def _members(group: Node, source: Source) -> Iterator[tuple[str, Span, Node]]:
    group = plain(group)
    if isinstance(group, Map):
        yield from ((e.key, e.at, e.value) for e in group.entries if e.key.endswith("Modifier"))
    elif isinstance(group, List):
        for item in group.items:
            node = plain(item)
            if node.tag:
                yield node.tag, tag_span(source, node), _untagged(node)
            elif entry := _single(item):
                yield entry.key, entry.at, entry.value


def _others(group: Node) -> Iterator[tuple[str, Span]]:
    """What stands in a group, and is no modifier: its word and its place."""
    group = plain(group)
    if isinstance(group, Map):
        yield from ((line_of(e.key)[:60], e.at) for e in group.entries if not e.key.endswith("Modifier"))
    elif isinstance(group, List):
        for node in map(plain, group.items):
            if node.tag or _single(node) or (isinstance(node, Scalar) and is_none(node)):
                continue
            word = (
                node.text
                if isinstance(node, Scalar)
                else node.entries[0].key
                if isinstance(node, Map) and node.entries
                else "[]"
            )
            yield line_of(word)[:60], node.span


def _untagged(node: Scalar | List | Map) -> Node:
    return Scalar(node.span, node.text) if isinstance(node, Scalar) else node


def comment_above(source: Source, span: Span) -> str:
    """The `#` lines that stand directly above a place, and the comment behind its line."""
    number = source.position(span.start)[0]
    lines: list[str] = []
    for above in range(number - 1, max(0, number - 12), -1):
        text = source.line(above).strip()
        if not text.startswith("#"):
            break
        lines.insert(0, text.lstrip("# ").strip())
    if match := re.search(r"\s#\s*(.+)$", source.line(number)):
        lines.append(match[1].strip())
    return "\n".join(line for line in lines if line)


def variable_of(document: Document, node: Node) -> str | None:
    """The variable that an alias stands for."""
    return document.anchored.get(id(node.node)) if isinstance(node, Alias) else None
