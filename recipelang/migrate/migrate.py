"""One file of another tool into a recipe and all that there is to say of it. Pure: text in, text and findings out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from recipelang.lint.check import judge
from recipelang.lint.registry import DEFAULTS, NOT_CHECKED
from recipelang.migrate import document as documents
from recipelang.migrate.amounts import Unknown
from recipelang.migrate.differences import differences
from recipelang.migrate.loaders import Verdict, verdict
from recipelang.migrate.stages import IDLE, NOTHING, PARTLY, WHOLE, Fate, stages
from recipelang.migrate.write import Writer
from recipelang.source import Diagnostic, Diagnostics, RecipeError, Source
from recipelang.spec.check import check

#: exact steps, or the clock, the rates and the ties of SparseML 1
Mode = Literal["strict", "compat"]


@dataclass(frozen=True)
class Migration:
    """`text` none: nothing could be carried over, and `findings` say why.

    `asks` are the parameters that need a value: what the old file left to a command line. `loader` is what the last
    loader of the dialect says of the file, none where it was not read. `advice` is what `lint` says of the new recipe
    as far as it can be judged without the model. `mode` is how it was read: a file that SparseML 1 never read has no
    `compat`.
    """

    source: Source
    dialect: str
    text: str | None
    findings: tuple[Diagnostic, ...]
    fates: tuple[Fate, ...] = ()
    asks: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    loader: Verdict | None = None
    advice: tuple[Diagnostic, ...] = ()
    mode: Mode = "strict"

    @property
    def lost(self) -> tuple[Diagnostic, ...]:
        """What changes the result and did not come along."""
        return tuple(d for d in self.findings if d.severity == "error")

    @property
    def outcome(self) -> str:
        """In a word: `whole`, `partly`, or `refused`."""
        if self.text is None:
            return "refused"
        return "partly" if self.lost else "whole"

    def counted(self) -> dict[str, int]:
        """How many modifiers came along, in part, not at all, and changed nothing anyway."""
        every = [f.outcome for f in self.fates]
        return {outcome: every.count(outcome) for outcome in (WHOLE, PARTLY, NOTHING, IDLE)}


def migrate(source: Source, mode: Mode = "strict") -> Migration:
    found = Diagnostics()
    try:
        document = documents.read(source, found)
    except RecipeError as error:
        return Migration(source, "", None, error.diagnostics)
    parts, fates = stages(document, found)
    dialect, said = document.dialect, verdict(document)
    if mode == "compat" and dialect != documents.LEGACY:
        mode = "strict"
        why = "`compat` is for what SparseML 1 ran"
        found.add(Diagnostic("W132", "this file is read strictly", notes=(why,)))
    if not parts:
        message = "nothing of this file can be carried over"
        lost = ", ".join(dict.fromkeys(f"`{f.modifier.name}`" for f in fates if f.outcome == NOTHING))
        notes = (f"it holds {lost}",) if lost else ()
        found.add(Diagnostic("E111", message, notes=notes))
        return Migration(source, dialect, None, found.sorted(), tuple(fates), loader=said)
    _beside(document, found)
    try:
        text = Writer(document, parts, found, compat=mode == "compat").run()
    except Unknown as unknown:
        help = ("give the variable a value in the file",)
        label = document.label(unknown.amount.span)
        found.add(Diagnostic("E114", "this has no value, and no single type to ask for", label, help=help))
        return Migration(source, dialect, None, found.sorted(), tuple(fates), loader=said)
    checked = check(Source("migrated.recipe", text))
    if wrong := checked.diagnostics.errors:
        for finding in wrong:  # a value of the file that this language refuses
            found.add(replace(finding, notes=(*finding.notes, "this is the recipe that the file became"), fixes=()))
        return Migration(source, dialect, None, found.sorted(), tuple(fates), loader=said)
    advice = tuple(d for d in judge(checked, None, DEFAULTS) if d.code != NOT_CHECKED)
    told = differences(dialect, parts, compat=mode == "compat")
    return Migration(source, dialect, text, found.sorted(), tuple(fates), checked.missing, told, said, advice, mode)


def _beside(document: documents.Document, found: Diagnostics) -> None:
    """What the training command in a Markdown file did that its recipe does not say."""
    teacher = document.command.get("distill_teacher")
    if teacher and not any(m.name.endswith("DistillationModifier") for m in document.modifiers):
        notes = ("early releases took teacher, hardness and temperature from the command line",)
        help = ("add a `distill` block to the stage",)
        message = "the training command distils, and this recipe does not say so"
        found.add(Diagnostic("W132", message, notes=notes, help=help))
