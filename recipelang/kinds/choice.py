"""Names that take arguments, chosen from a table: pruning methods and optimizers."""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, Mismatch, Silent, misnamed, quoted, wrong
from recipelang.kinds.from_form import Unfit
from recipelang.kinds.plain import Number, OneOf
from recipelang.kinds.text import show
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest
from recipelang.source.words import an
from recipelang.values import aliases
from recipelang.values.composite import Applied, Chosen, Symbol


@frozen
class Argument:
    """One argument of a choice: its kind, its default and what it says."""

    name: str
    kind: Kind
    default: object
    doc: str


@frozen
class Signature:
    """A method or an optimizer: its arguments, and what it is and needs."""

    name: str
    doc: str
    arguments: tuple[Argument, ...] = ()

    @property
    def sentence(self) -> str:
        """`doc` as people read it by itself."""
        return f"{self.doc[0].upper()}{self.doc[1:]}."

    def default(self) -> Chosen:
        return Chosen(self.name, tuple((a.name, a.default) for a in self.arguments))

    def json(self) -> dict[str, object]:
        """JSON Schema of a choice: `{NAME: {ARGUMENT: value}}` with every argument."""
        arguments = {a.name: dict(a.kind.json) for a in self.arguments}
        call = {
            "type": "object",
            "properties": arguments,
            "required": list(arguments),
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "description": self.doc,
            "properties": {self.name: call},
            "required": [self.name],
            "additionalProperties": False,
        }


class Choice(Kind):
    """A name from `table`, alone or called with arguments; plain data has every argument."""

    def __init__(self, what: str, table: Mapping[str, Signature]) -> None:
        self.name, self.table, self.symbols = what, table, tuple(table)
        self.doc = f"the name of {an(what)}, with or without arguments"
        self.json = {"oneOf": [signature.json() for signature in table.values()]}

    def read(self, value: object) -> object:
        # a table may have more than it lists
        known = isinstance(value, Symbol) and _in(self.table, value.name) is not None
        return self._read(value) if known else super().read(value)

    def _read(self, value: object) -> object:
        if isinstance(value, Symbol):
            return self.table[value.name].default()
        if not isinstance(value, Applied):
            known = f"one of {', '.join(f'`{n}`' for n in self.table)}"
            raise quoted(value, an(self.name), self.symbols, known)
        return _bind(value, _find(value.function, self.name, self.table))

    def check(self, value: object) -> None:
        if not isinstance(value, Chosen):
            raise wrong(value, an(self.name))
        if (signature := _in(self.table, value.name)) is None:
            raise Mismatch("E022", f"unknown {self.name} `{value.name}`")
        given = dict(value.arguments)
        if [*given] != [a.name for a in signature.arguments]:
            raise Mismatch("E051", f"`{value.name}` takes different arguments")
        for argument in signature.arguments:
            try:
                argument.kind.check(given[argument.name])
            except Mismatch as mismatch:
                mismatch.message = f"`{argument.name}`: {mismatch.message}"
                raise

    def written(self, form: object) -> str:
        if not isinstance(form, dict) or len(form) != 1:
            raise Unfit(f"{an(self.name)} with its arguments", form)
        ((name, arguments),) = form.items()
        if not isinstance(arguments, dict):
            raise Unfit("named arguments", arguments, name)
        signature = _in(self.table, name)
        kinds = {a.name: a.kind for a in signature.arguments} if signature else {}
        parts = []
        for key, value in arguments.items():
            try:
                text = kinds[key].written(value) if key in kinds else from_form.expression(value)
                parts.append(f"{from_form.word(key)} = {text}")
            except Unfit as error:
                raise Unfit(error.wanted, error.found, f"{name}.{key}") from None
        called = ".".join(map(from_form.word, str(name).split(".")))
        return f"{called}({', '.join(parts)})" if parts else called

    def unknown(self, value: Symbol) -> Mismatch:
        try:
            _find(value.name, self.name, self.table)
        except Mismatch as mismatch:
            if mismatch.code == "E022":
                mismatch.name, mismatch.known = value.name, self.symbols
            return mismatch
        return super().unknown(value)


class NamesAndCalls(OneOf):
    """One of some names, or one of a table, which may take arguments: `row`, `owl(m = 5, lambda = 8%)`.

    Plain data is the name; of a name in the table a `Chosen` with every argument.
    """

    def __init__(self, what: str, names: tuple[str, ...], table: Mapping[str, Signature]) -> None:
        super().__init__(*names, *table)
        self.plain, self.choice = names, Choice(what, table)
        self.json = {"anyOf": [{"enum": [*names]}, self.choice.json]}

    def _read(self, value: object) -> object:
        function = value.function if isinstance(value, Applied) else value.name if isinstance(value, Symbol) else ""
        if function in self.choice.table:
            return self.choice.read(value)
        if not isinstance(value, Applied):
            return super()._read(value)
        if function in self.plain:
            raise Mismatch("E051", f"`{function}` takes no arguments", f"write `{function}`", function)
        raise self.unknown(Symbol(function))

    def check(self, value: object) -> None:
        (self.choice.check if isinstance(value, Chosen) else super().check)(value)

    def text(self, value: object) -> str:
        return show(value) if isinstance(value, Chosen) else str(value)

    def written(self, form: object) -> str:
        return self.choice.written(form) if isinstance(form, dict) else from_form.word(form)


class Pair(Kind):
    """Two numbers from 0 to 1."""

    name = "[number, number]"
    doc = "two numbers in brackets"
    inner = Number(0, 1)
    within = inner.within
    json: Mapping[str, object] = {"type": "array", "prefixItems": [inner.json] * 2, "items": False, "minItems": 2}

    def _read(self, value: object) -> object:
        if not isinstance(value, tuple) or len(value) != 2:
            raise wrong(value, "two numbers", "write `betas = [0.9, 0.999]`")
        return tuple(self.inner.read(v) for v in value)

    def check(self, value: object) -> None:
        if not isinstance(value, tuple) or len(value) != 2:
            raise wrong(value, "two numbers")
        for item in value:
            self.inner.check(item)

    def written(self, form: object) -> str:
        return from_form.listed(form, from_form.number)


def _in(table: Mapping[str, Signature], name: str) -> Signature | None:
    """A table may have more than it lists, so it is asked for the name itself."""
    try:
        return table[name]
    except KeyError:
        return None


def _find(name: str, what: str, table: Mapping[str, Signature]) -> Signature:
    if (signature := _in(table, name)) is not None:
        return signature
    near = closest(name, table) or aliases.meant(name, aliases.SYMBOLS, tuple(table))
    known = ", ".join(f"`{n}`" for n in table)
    hint = f"did you mean `{near}`?" if near else f"known here: {known}"
    if "." in name and not near:
        hint = "install the plug-in that has it: such names are of plug-ins"
    raise Mismatch("E022", f"unknown {what} `{name}`", hint, near, subject=name)


def _bind(call: Applied, signature: Signature) -> Chosen:
    values = {a.name: a.default for a in signature.arguments}
    kinds = {a.name: a.kind for a in signature.arguments}
    given: set[str] = set()
    unread = False  # a value that could not be evaluated does not hide a wrong name after it
    for name, value, span in call.arguments:
        if name is None:
            example = f", as in `{signature.name}({next(iter(kinds))} = ...)`" if kinds else ""
            raise Mismatch("E024", f"arguments of `{signature.name}` must be named{example}")
        if name in given:
            raise Mismatch("E026", f"argument `{name}` is given twice", "keep one of them", subject=name)
        if name not in kinds:
            known = ", ".join(f"`{n}`" for n in kinds) or "no arguments"
            message = f"`{signature.name}` has no argument `{name}`"
            raise misnamed(message, name, closest(name, kinds), call, f"it takes {known}")
        given.add(name)
        try:
            values[name] = kinds[name].read(value)
        except Silent:
            unread = True
        except Mismatch as mismatch:
            mismatch.span = span
            raise
    if unread:
        raise Silent
    return Chosen(signature.name, tuple(values.items()))
