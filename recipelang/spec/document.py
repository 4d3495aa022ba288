"""A recipe from its JSON document: our own JSON back into recipe text, read strictly. `docs/document.md` shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from recipelang.kinds.from_form import Unfit, expression
from recipelang.kinds.plain import BlockLabel, OrNone
from recipelang.kinds.text import string
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Span, fail
from recipelang.source.diagnostic import LIMIT
from recipelang.source.suggest import closest
from recipelang.spec.blocks import (
    BLOCKS,
    ColumnsSpec,
    DataSpec,
    DistillSpec,
    EvaluateSpec,
    ExportSpec,
    MixSpec,
    ModelSpec,
    PruneSpec,
    Spec,
    StageSpec,
    TopSpec,
)
from recipelang.spec.canonical import spec_form
from recipelang.spec.check import check
from recipelang.spec.effective import effective
from recipelang.spec.harness import HarnessSpec
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import references

_TOP = ("recipe", "seed", "model", "data", "stages", "evaluate", "harness", "export", "claims")


def read_document(source: Source, name: str) -> tuple[Recipe, dict[str, str]]:
    """The recipe of a document, called `name`, and its local contents, which stand for themselves in references."""
    try:
        text = _Reader().recipe(_load(source), name)
    except RecursionError:
        raise fail(
            "E044", f"`{source.name}` is nested too deeply", help="files written by `convert` never nest this deeply"
        ) from None
    checked = check(Source(f"{source.name} as a recipe", text), complete=True)
    checked.diagnostics.raise_errors()
    assert checked.recipe is not None
    contents = {r: r for _, r in references(checked.recipe) if re.fullmatch(r"sha256:[0-9a-f]{64}", r)}
    return checked.recipe, contents


def recipe_text(recipe: Recipe, contents: Iterable[str] = ()) -> str:
    """A recipe as one formatted file that means the same; what is known by its contents becomes a parameter.

    Raises:
        RecipeError: written out, it is too long for a recipe.
    """
    from recipelang.syntax.fmt import format

    text = format(effective(recipe))
    again = check(Source("the recipe written out", text))
    again.diagnostics.raise_errors()
    assert again.recipe is not None
    if spec_form(again.recipe, {}) != spec_form(recipe, {}):
        raise AssertionError("the recipe written out would differ")
    params = _params(recipe, set(contents))
    if not params:
        return text
    lines = [f"## {what}\nparam {name}: {kind}\n" for name, kind, what in params.values()]
    with_names = effective(recipe, params={digest: name for digest, (name, _, _) in params.items()})
    header, _, rest = with_names.partition("\n\n")
    return format(header + "\n\n" + "".join(lines) + "\n" + rest)


def _params(recipe: Recipe, contents: set[str]) -> dict[str, tuple[str, str, str]]:
    """Digest -> name, type and documentation of the parameter that asks for it."""
    found: dict[str, tuple[str, str, str]] = {}
    taken: set[str] = set()
    for path, reference in references(recipe):
        if reference in contents and reference not in found:
            last = path.rpartition(".")[2]
            kind, what = ("model", "model") if last in ("base", "teacher") else ("dataset", "data")
            stem = f"{last}_{what}"  # no bare `train`: that is a word which attributes take
            name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(2, 9999))) if n not in taken)
            taken.add(name)
            found[reference] = (name, kind, f"The {what} with the contents {reference}.")
    return found


# --------------------------------------------------------------------------- JSON
def _load(source: Source) -> object:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in items:
            if key in found:
                raise fail("E056", f"the key `{key[:60]}` is given twice", help="keep one of them")
            found[key] = value
        return found

    def number(text: str) -> object:
        raise fail("E056", f"`{text[:40]}` is a JSON number", help=f'write `"{text[:40]}"`: numbers stand in quotes')

    try:
        found = json.loads(
            source.text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=number
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        at = Label(source, Span(error.pos, error.pos + 1), error.msg[:1].lower() + error.msg[1:])
        raise RecipeError(Diagnostic("E056", "this is not JSON", at)) from None
    except UnicodeEncodeError:
        raise fail("E056", "half a character: an unpaired surrogate", help="write the character itself") from None
    return found


class _Reader:
    """Recipe text from a document; every finding of the way at once."""

    def __init__(self) -> None:
        self.found = Diagnostics()

    def recipe(self, document: object, name: str) -> str:
        form = self.object(document, "", _TOP)
        version = form.get("recipe")
        if version != "1":
            raise fail("E011", f"expected a document of language version 1, found {describe(version)}")
        lines = [f"recipe 1 {string(name)}", f"seed = {self.value(TopSpec, 'seed', form.get('seed', '42'), 'seed')}"]
        if "model" in form:
            lines += self.block("model", ModelSpec, form["model"], "model")
        for label, block in self.labelled(form, "data"):
            lines += self.data(label, block)
        stages = form.get("stages")
        if not isinstance(stages, list):
            self.unfit(Unfit("a list", stages), "stages")
        else:
            for index, stage in enumerate(stages):
                lines += self.stage(stage, f"stages[{index}]")
        for label, block in self.labelled(form, "evaluate"):
            lines += self.block(f"evaluate {string(label)}", EvaluateSpec, block, f"evaluate.{label}")
        for label, block in self.labelled(form, "harness"):
            lines += self.block(f"harness {string(label)}", HarnessSpec, block, f"harness.{label}")
        if "export" in form:
            lines += self.block("export", ExportSpec, form["export"], "export")
        lines += self.claims(form.get("claims", []))
        self.found.raise_errors()
        return "\n".join(lines) + "\n"

    def data(self, label: str, form: object) -> list[str]:
        path = f"data.{label}" if label else "data"
        block = self.object(form, path, None)
        columns = block.get("columns", {})
        inner = self.block("columns", ColumnsSpec, columns, f"{path}.columns") if columns else []
        header = f"data {string(label)}" if label else "data"
        for name, mix in self.labelled(block, "mix", f"{path}."):
            inner += self.block(f"mix {string(name)}", MixSpec, mix, f"{path}.mix.{name}")
        return self.block(header, DataSpec, block, path, inner, ("columns", "mix"))

    def stage(self, form: object, path: str) -> list[str]:
        block = self.object(form, path, None)
        inner: list[str] = []
        for label, prune in self.labelled(block, "prune", f"{path}."):
            inner += self.block(f"prune {string(label)}", PruneSpec, prune, f"{path}.prune.{label}")
        if block.get("distill") is not None:
            inner += self.block("distill", DistillSpec, block["distill"], f"{path}.distill")
        for kind in ("freeze", "group", "drop", "shrink", "adapter"):
            for label, own in self.labelled(block, kind, f"{path}."):
                inner += self.block(f"{kind} {string(label)}", BLOCKS["stage"][kind], own, f"{path}.{kind}.{label}")
        name = block.get("name")
        if not isinstance(name, str):
            self.unfit(Unfit("a string", name), f"{path}.name")
        return self.block(f"stage {string(str(name))}", StageSpec, block, path, inner, ("name", *BLOCKS["stage"]))

    def claims(self, form: object) -> list[str]:
        lines: list[str] = []
        if not isinstance(form, list):
            self.unfit(Unfit("a list", form), "claims")
            return lines
        for index, claim in enumerate(form):
            try:
                if not isinstance(claim, dict) or len(claim) != 1 or claim.keys() - {"require", "expect", "prefer"}:
                    raise Unfit("one of `require`, `expect` and `prefer` with its claim", claim)
                ((kind, condition),) = claim.items()
                lines.append(f"{kind} {expression(condition)}")
            except Unfit as error:
                self.unfit(error, f"claims[{index}]")
        return lines

    # ------------------------------------------------------------------ parts
    def block(
        self,
        header: str,
        spec: type[Spec],
        form: object,
        path: str,
        inner: Iterable[str] = (),
        beside: tuple[str, ...] = (),
    ) -> list[str]:
        known = {name: a for name, a in spec.attributes().items() if a.digest != "-" or spec is ColumnsSpec}
        lines: list[str] = []
        for name, value in self.object(form, path, (*known, *beside)).items():
            if name in known:
                text = self.value(spec, name, value, f"{path}.{name}")
                lines += [f"{name} = {text}"] if text else []
        return [f"{header} {{", *lines, *inner, "}"]

    def value(self, spec: type[Spec], name: str, form: object, path: str) -> str:
        """The text of one value; nothing where it is left to its default."""
        kind = spec.attributes()[name].kind
        field = spec.model_fields[name]
        unset = form is None and field.default is None and not isinstance(kind, OrNone)
        if unset or (form == "" and isinstance(kind, BlockLabel)):
            return ""
        try:
            return kind.written(form)
        except Unfit as error:
            self.unfit(error, path)
            return ""

    def labelled(self, form: dict[str, object], key: str, before: str = "") -> list[tuple[str, object]]:
        return list(self.object(form.get(key, {}), before + key, None).items())

    def object(self, form: object, path: str, known: tuple[str, ...] | None) -> dict[str, object]:
        if not isinstance(form, dict):
            self.unfit(Unfit("an object", form), path)
            return {}
        for key in sorted(form.keys() - set(known or form)):
            near = closest(key, known or ())
            help = f"did you mean `{near}`?" if near else f"known here: {', '.join(f'`{k}`' for k in known or ())}"
            where = f"`{path}`" if path else "a document"
            self.add(Diagnostic("E056", f"`{key[:60]}` is not a part of {where}", help=(help,)))
        return form

    def unfit(self, error: Unfit, path: str) -> None:
        place = f"{path}.{error.path}" if error.path else path
        message, notes = f"`{place}` has the wrong JSON type", (f"found {describe(error.found)}",)
        self.add(Diagnostic("E056", message, notes=notes, help=(f"write {error.wanted}",)))

    def add(self, finding: Diagnostic) -> None:
        self.found.add(finding)
        if len(self.found) >= LIMIT:  # more help nobody, and a large document could have very many
            self.found.raise_errors()


def describe(form: object) -> str:
    """A piece of JSON, cut short."""
    text = json.dumps(form, ensure_ascii=False)
    return f"`{text[:57]}...`" if len(text) > 60 else f"`{text}`"
