"""JSON Schema (2020-12) of the evaluated document: what `spec/canonical` writes, for editors and other programs.

Every attribute comes from its Spec, every value from the `json` of its kind; here are only the names they share.
"""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.kinds.formats import RUNTIMES, WEIGHTS
from recipelang.kinds.schedule import ENDS
from recipelang.reference.attributes import default
from recipelang.schedules.shapes import SHAPES
from recipelang.spec.attribute import Spec
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
    StageSpec,
    TopSpec,
)
from recipelang.spec.figures import BASE
from recipelang.spec.harness import HarnessSpec
from recipelang.spec.operators import COMPARISONS

Schema = dict[str, object]

ID = "https://recipelang.dev/schema/recipe-1.json"
_NUMBER = "-?[0-9]+(\\.[0-9]+)?(e-[0-9]+)?|-?[0-9]+/[0-9]*[1-9][0-9]*"


def schema() -> Schema:
    prune = _object({}, (), _block(PruneSpec))
    stage = _block(
        StageSpec, name={"type": "string", "minLength": 1}, prune=prune, distill=_or_null(_block(DistillSpec))
    )
    for kind in ("freeze", "group", "drop", "shrink", "adapter"):
        stage["properties"][kind] = _object({}, (), _block(BLOCKS["stage"][kind]))  # type: ignore[index]
    stage["required"] = ["name"]
    stage["if"] = {"properties": {"mode": {"const": "one_shot"}}, "required": ["mode"]}
    stage["else"] = {"required": _listed(StageSpec.wanted({}))}
    parts: Schema = {
        "recipe": {"const": "1", "description": "version of the language"},
        "seed": {"$ref": "#/$defs/int", "description": TopSpec.attributes()["seed"].doc},
        "model": _block(ModelSpec),
        "data": _object({}, (), _block(DataSpec, columns=_block(ColumnsSpec), mix=_object({}, (), _block(MixSpec)))),
        "stages": {"type": "array", "items": stage, "minItems": 1},
        "evaluate": _object({}, (), _block(EvaluateSpec)),
        "harness": _object({}, (), _block(HarnessSpec)),
        "export": _block(ExportSpec),
        "claims": {"type": "array", "items": {"$ref": "#/$defs/claim"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Recipe, language version 1, with every value written out",
        "description": "The evaluated document of a .recipe file. Numbers are strings: exact decimals, else p/q.",
        **_object(parts, ("recipe", "model", "stages")),
        "$defs": _definitions(),
    }


def _block(spec: type[Spec], **beside: object) -> Schema:
    """A block by its attributes; those of no digest are settings of a machine, and not in a document."""
    attributes = {n: a for n, a in spec.attributes().items() if a.digest != "-"}
    properties: Schema = {}
    for name, attribute in attributes.items():
        unset = not spec.model_fields[name].is_required() and spec.model_fields[name].default is None
        said = default(name, attribute, spec).strip("`") if name not in spec.required() else ""
        about = attribute.doc + (f" (default: {said})" if said else "")
        properties[name] = {**(_or_null(attribute.kind.json) if unset else attribute.kind.json), "description": about}
    required = [name for name in spec.required() if name in attributes]
    doc = " ".join((spec.__doc__ or "").split())
    return {"description": doc, **_object({**properties, **beside}, required)}


def _object(properties: Mapping[str, object], required: object = (), others: object = False) -> Schema:
    form: Schema = {"type": "object", "additionalProperties": others}
    if properties:
        form["properties"] = dict(properties)
    return {**form, "required": _listed(required)} if required else form


def _listed(names: object) -> list[object]:
    return list(names)  # type: ignore[call-overload, no-any-return]


def _or_null(form: Mapping[str, object]) -> Schema:
    either = [*_listed(form["anyOf"])] if form.keys() == {"anyOf"} else [form]
    return {"anyOf": [*either, {"type": "null"}]}


# -------------------------------------------------------------------- definitions
def _definitions() -> Schema:
    span, number, whole, selector = (_ref(name) for name in ("span", "number", "int", "selector"))
    epochs, steps = _measure(number, "epoch"), _measure(number, "step")
    segment: Schema = {"shape": {"enum": [*SHAPES]}, "from": number, "to": number, "over": _array(span, 2)}
    segment |= {"at": span, "every": span, "rewind": span, "power": number, "ends": {**ENDS.json}}
    layers = _array(whole, 2)
    content: Schema = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
    block = _object({"block": _array(whole, 2)}, ("block",))
    return {
        "int": {"type": "string", "pattern": "^-?[0-9]+$"},
        "number": {"type": "string", "pattern": f"^({_NUMBER})$"},
        "ratio": {"type": "string", "pattern": "^(0|1|0\\.[0-9]+|[0-9](\\.[0-9]+)?e-[0-9]+|[0-9]+/[0-9]*[1-9][0-9]*)$"},
        "span": {"anyOf": [epochs, steps, _object({"+": _array([epochs, steps])}, ("+",))]},
        "tokens": _measure(whole, "token"),
        "samples": _measure(whole, "sample"),
        "bytes": _measure(whole, "byte"),
        "pattern": {"anyOf": [{"const": "unstructured"}, {"type": "string", "pattern": "^[0-9]+:[0-9]+$"}, block]},
        "content": {**_object({"content": content}, ("content",)), "description": "digest of something local"},
        "stage": _object({"stage": {"type": "string"}}, ("stage",)),
        "segment": {**_object(segment, ("shape", "to")), "description": "one shape of a schedule"},
        "selector": {
            "oneOf": [
                *(_object({word: {"type": "string"}}, (word,)) for word in ("role", "glob", "regex")),
                _object({"layers": layers}, ("layers",)),
                _object({"!": selector}, ("!",)),
                *(_object({sign: _array(selector, least=2)}, (sign,)) for sign in ("&", "|")),
                _object({"except": _array(selector, 2)}, ("except",)),
            ]
        },
        "claim": {"oneOf": [_object({w: _ref("expression")}, (w,)) for w in ("require", "expect", "prefer")]},
        "expression": {"anyOf": [*_expressions(selector)]},
    }


def _expressions(selector: Schema) -> list[Schema]:
    """Values and what is measured, joined by the signs of the language."""
    inner = _ref("expression")
    stage = _object({"stage": {"type": "string"}}, ("stage",))
    settings: Schema = {"format": {"enum": [WEIGHTS, *RUNTIMES]}, "over": {"oneOf": [{"const": BASE}, stage]}}
    settings |= {"batch": _ref("int"), "length": _ref("tokens"), "threads": _ref("int")}
    measured: Schema = {"measured": {"type": "string"}, "of": selector, "with": _object(settings)}
    unit = {"enum": ["epoch", "step", "sample", "token", "byte", "second", "x", "1/epoch"]}
    two = (*COMPARISONS, "in", "±", "->", "..", "except")
    return [
        {"type": ["string", "boolean", "null"]},
        {"type": "array", "items": inner},
        _object({"n": _ref("number"), "u": unit}, ("n", "u")),
        _object(measured, ("measured",)),
        _object({"text": {"type": "string"}}, ("text",)),
        _object({"block": _array(_ref("int"), 2)}, ("block",)),
        selector,
        *(_object({sign: inner}, (sign,)) for sign in ("not", "-", "/", "!")),
        *(_object({sign: _array(inner, 2)}, (sign,)) for sign in two),
        *(_object({sign: _array(inner, least=1)}, (sign,)) for sign in ("and", "or", "&", "|", "+", "*")),
        _object({"if": _array(inner, 3)}, ("if",)),
    ]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _measure(number: Schema, unit: str) -> Schema:
    return _object({"n": number, "u": {"const": unit}}, ("n", "u"))


def _array(items: Schema | list[Schema], length: int | None = None, *, least: int = 0) -> Schema:
    """Of one form throughout, `length` long or at least so long; or one form after another."""
    if isinstance(items, list):
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    bounds = {"minItems": length, "maxItems": length} if length is not None else {"minItems": least}
    return {"type": "array", "items": items, **bounds}
