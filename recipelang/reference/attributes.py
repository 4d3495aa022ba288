"""Every block with its attributes, from `spec/blocks.py`."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.kinds.base import Kind
from recipelang.kinds.choice import Choice
from recipelang.kinds.plain import ListOf, OneOf, OrNone, Ratio
from recipelang.kinds.schedule import ScheduleOf
from recipelang.kinds.tensors import Pattern, Selector
from recipelang.reference.markdown import block, code, page, table
from recipelang.spec.attribute import ANY, Attr, Spec
from recipelang.spec.blocks import BLOCKS, LATER_BLOCKS, TopSpec
from recipelang.spec.study_blocks import STUDY_BLOCKS, VarySpec
from recipelang.syntax.fmt import format

DIGEST = {"b": "both", "s": "spec", "-": ""}
#: of blocks in examples
NAMES = {
    "prune": " weights",
    "stage": " sparse",
    "evaluate": " dev",
    "harness": " arc_easy",
    "freeze": " embeddings",
    "mix": " synthetic",
    "group": " no_decay",
    "drop": " layers",
    "shrink": " body",
    "adapter": " recover",
    "arm": " ours",
}
#: kinds that have a page of their own
PAGES = {
    ScheduleOf: "schedules.md",
    Selector: "selectors.md",
    Choice: "choices.md#{}s",
    Pattern: "choices.md#patterns",
}


def blocks() -> Iterator[tuple[str, str, type[Spec]]]:
    """`(parent, kind, spec)`: a block, then those inside it; first what stands outside all."""
    yield "", "", TopSpec
    for kind, spec in BLOCKS[""].items():
        yield "", kind, spec
        for inner, inner_spec in BLOCKS.get(kind, {}).items():
            yield kind, inner, inner_spec


def text() -> str:
    return page(
        "Blocks and attributes",
        "A recipe is a list of blocks with attributes, `name = value`. Blocks and attributes that are not on this page are errors.",
        "*digest* shows which digests change with the attribute: `both` the spec digest (the identity of the recipe) and "
        "the behaviour digest (what decides the weights; `resume` requires that it is unchanged), `spec` only the first, "
        "an empty cell none. Attributes that are not **required** can be omitted.",
        *(_section(*found) for found in blocks()),
        _later(),
    )


def studies() -> str:
    """The blocks of a study, but for `meta`, which is that of a recipe."""
    table = {kind: spec for kind, spec in STUDY_BLOCKS[""].items() if kind != "meta"}
    return page(
        "Blocks of a study",
        "A study is a separate file with these blocks, a `meta` block as in a recipe, and `set` and `patch` for all "
        "variants. [Studies](../studies.md) shows how to run a study.",
        *(_section("", kind, spec) for kind, spec in table.items()),
    )


def _section(parent: str, kind: str, spec: type[Spec]) -> str:
    title = f"## {header(kind, spec)}" if kind else "## At the top of the file"
    where = f"A block inside `{parent}`." if parent else ""
    names = {0: "", 1: "The block has a name."}[spec.LABELS[0]] if spec.LABELS[1] else ""
    about = " ".join(filter(None, ((spec.__doc__ or "").strip(), where, names)))
    if spec is VarySpec:  # its attributes are the parameters of a recipe
        return "\n\n".join([title, about, block("vary {\n  target = [50%, 90%]\n  score  = [magnitude, obert]\n}")])
    rows = (_row(name, attribute, spec) for name, attribute in spec.attributes().items())
    return "\n\n".join(
        [title, about, table(("attribute", "type", "default", "digest", "description"), rows), example(kind, spec)]
    )


def header(kind: str, spec: type[Spec]) -> str:
    return kind + {(0, 0): "", (0, 1): " [NAME]", (1, 1): " NAME"}[spec.LABELS]


def _row(name: str, attribute: Attr, spec: type[Spec]) -> tuple[str, ...]:
    return code(name), type_of(attribute), default(name, attribute, spec), DIGEST[attribute.digest], says(attribute)


def type_of(attribute: Attr) -> str:
    """The type, with its page; names to choose from stand in the last column."""
    kind = attribute.kind
    if target := _page(kind):
        return f"[{code(kind.name)}]({target})" + (f", {kind.within}" if kind.within else "")
    if names(attribute):
        return "`list<name>`" if isinstance(kind, ListOf) else "`name`"
    return code(kind.name) + (f", {kind.within}" if kind.within and not isinstance(kind, Ratio) else "")


def _page(kind: Kind) -> str | None:
    kind = kind.inner if isinstance(kind, OrNone) else kind
    return PAGES[type(kind)].format(kind.name) if type(kind) in PAGES else None


def names(attribute: Attr) -> tuple[str, ...]:
    """The names to choose from, where the type is just that."""
    kind = attribute.kind
    return (
        kind.symbols if isinstance(kind, OneOf) or (isinstance(kind, ListOf) and isinstance(kind.inner, OneOf)) else ()
    )


def default(name: str, attribute: Attr, spec: type[Spec]) -> str:
    """The default as it would be written."""
    if name in spec.required():
        return "**required**"
    value = spec.model_fields[name].default
    return "" if value in (None, "", ()) else code(attribute.kind.text(value))


def says(attribute: Attr) -> str:
    now = [code(s) for s in names(attribute) if s not in attribute.later]
    later = [code(s) for s in attribute.later if s != ANY]
    parts = [attribute.doc]
    if now:
        parts.append(f"one of {', '.join(now)}" if len(now) > 1 else f"currently only {now[0]}" if later else now[0])
    if ANY in attribute.later:
        parts.append("not in this release")
    elif later:
        parts.append(f"not in this release: {', '.join(later)}")
    return "; ".join(parts)


def example(kind: str, spec: type[Spec]) -> str:
    """A block with an example of every attribute, as recipe text."""
    lines = [f"{name} = {attribute.example}" for name, attribute in spec.attributes().items()]
    if not kind:
        return block("\n".join(lines))
    name = NAMES.get(kind, "")
    return block(format("\n".join([f"{kind}{name} {{", *lines, "}"])))


def _later() -> str:
    listed = ", ".join(code(kind) + (f" inside `{parent}`" if parent else "") for parent, kind in sorted(LATER_BLOCKS))
    return (
        f"## Not in this release\n\nThe language has these blocks, but this release refuses them with `E055`: {listed}."
    )
