"""One file of another tool into a recipe and all that there is to say of it. Pure: text in, text and findings out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from recipelang.lint.check import judge
from recipelang.lint.every_rule import DEFAULTS, NOT_CHECKED
from recipelang.migrate import compared, document as documents, names
from recipelang.migrate.amounts import Amounts, Unknown
from recipelang.migrate.blamed import blamed
from recipelang.migrate.differences import differences
from recipelang.migrate.loaders import Verdict, verdict
from recipelang.migrate.planned import place, planned
from recipelang.migrate.stages import IDLE, NOTHING, PARTLY, WHOLE, Fate, stages
from recipelang.migrate.write import Writer
from recipelang.source import Diagnostic, Diagnostics, RecipeError, Source
from recipelang.source.render import line_of
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
        why = "`compat` applies only to SparseML 1 files"
        found.say("W132", "this file is read in strict mode", notes=(why,))
    if not parts:
        message = "nothing in this file can be migrated"
        lost = ", ".join(dict.fromkeys(f"`{f.modifier.name}`" for f in fates if f.outcome == NOTHING))
        notes = (f"the file holds {lost}",) if lost else ()
        found.say("E111", message, notes=notes)
        return Migration(source, dialect, None, found.sorted(), tuple(fates), loader=said)
    try:
        writer = Writer(document, parts, found, compat=mode == "compat")
        text = writer.run()
    except Unknown as unknown:
        help = "give the variable a value in the file"
        label = document.label(unknown.amount.span)
        found.say("E114", "this variable has no value and no single type", label, help=help)
        return Migration(source, dialect, None, found.sorted(), tuple(fates), loader=said)
    _beside(document, found)
    fates = _lessened(fates, found.errors)
    checked = check(Source("migrated.recipe", text))
    if wrong := checked.diagnostics.errors:
        found.extend(tuple(blamed(text, writer, wrong, found.errors)))  # values that this language refuses
        return Migration(source, dialect, None, found.sorted(), tuple(fates), loader=said)
    # what a lost modifier did is told already, and the rest is planned without it
    if all(d.code == "E112" for d in found.errors) and (wrong := tuple(examined(text, writer))):
        found.extend(wrong)
        if writer.targets.family or not names.specific(writer.named):  # of a strange family every modifier came along
            fates = _lessened(fates, wrong)
    advice = tuple(d for d in judge(checked, None, DEFAULTS) if d.code != NOT_CHECKED)
    told = differences(dialect, parts, compat=mode == "compat")
    return Migration(source, dialect, text, found.sorted(), tuple(fates), checked.missing, told, said, advice, mode)


def _lessened(fates: list[Fate], errors: Sequence[Diagnostic]) -> list[Fate]:
    """Of what seemed to come along, a part did where an error is at the modifier."""
    spans = {error.primary.span for error in errors if error.primary is not None}
    return [Fate(f.modifier, PARTLY) if f.modifier.span in spans and f.outcome == WHOLE else f for f in fates]


def examined(text: str, writer: Writer) -> Iterator[Diagnostic]:
    """The recipe planned on the usual model of its family (E156), and beside what its loader did (E157)."""
    document, named = writer.document, writer.named
    family = writer.targets.family or (
        "llama" if any(p.targets.modules for s in writer.stages for p in s.prunes) else "bert"
    )
    done = planned(text, family, named)
    first = next((p for s in writer.stages for p in (*s.prunes, *s.parts)), None)
    foreign = () if writer.targets.family or not names.specific(named) else (names.known_families(),)
    for error in done.wrong:
        offset = error.primary.span.start if error.primary is not None else 0
        stage, kind, name = place(text, offset)
        part = writer.places.get((stage, kind, name)) or next(
            (p for s in writer.stages if s.name == stage for p in s.parts), first
        )
        label = None if part is None else document.label(part.span)
        what = "the recipe made from this file" if part is None else f"what `{part.source}` became"
        notes = (f"{error.code}: {error.message}", *error.notes, *foreign, f"planned on the usual `{family}` model")
        yield Diagnostic("E156", f"`plan` refuses {what}", label, notes=notes, help=error.help)
    if done.plan is None:
        return
    whole = names.reference(family, named, done.plan.facts.task)
    known = {**document.known, **{n: v for n in writer.amounts.used if (v := done.values.get(Amounts.name(n)))}}
    for difference in compared.differences(writer.stages, done.plan, whole, known, compat=writer.compat):
        part = difference.part or next((p for s in writer.stages if s.name == difference.stage for p in s.parts), first)
        label = None if part is None else document.label(part.span)
        what = "this file" if difference.part is None or part is None else f"`{part.source}`"
        notes = (difference.why, f"planned on the usual `{family}` model")
        help = ("correct the new recipe by hand, and report this as a bug in `migrate`",)
        yield Diagnostic("E157", f"{what} would behave differently in the new recipe", label, notes=notes, help=help)


def _beside(document: documents.Document, found: Diagnostics) -> None:
    """What the training command in a Markdown file did that the new recipe does not say (W150)."""
    left = list(document.command.left())
    if not left:
        return
    labels = [document.label(span) for _, span in left]
    notes: tuple[str, ...] = ("not migrated:  " + ", ".join(f"`{line_of(text)[:60]}`" for text, _ in left[:12]),)
    help = "check each option, and add the ones that matter to the new recipe"
    message = "the training command has options that the new recipe lacks"
    found.say("W150", message, labels[0], tuple(labels[1:4]), notes=notes, help=help)
