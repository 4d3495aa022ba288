"""What a migration did, for people and for programs. Pure: migrations in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from recipelang.migrate.migrate import Migration
from recipelang.migrate.stages import NOTHING, PARTLY, WHOLE
from recipelang.source.diagnostic import Diagnostic
from recipelang.source.render import line_of
from recipelang.source.words import plural

#: of the JSON: the first number changes when something is taken away or means something else
VERSION = "1.0"
COLUMNS = ("file", "outcome", "modifiers", "whole", "partly", "lost", "told", "asks")


def row(migration: Migration) -> tuple[str, ...]:
    """A line of the table, in the order of `COLUMNS`."""
    counted = migration.counted()
    codes = dict.fromkeys(d.code for d in migration.findings)
    return (
        migration.source.name,
        migration.outcome,
        str(len(migration.fates)),
        *(str(counted[outcome]) for outcome in (WHOLE, PARTLY, NOTHING)),
        " ".join(sorted(codes)),
        " ".join(migration.asks),
    )


def summary(migrations: Sequence[Migration]) -> str:
    """`3 files: 1 whole, 1 partly, 1 refused`."""
    outcomes = [m.outcome for m in migrations]
    counted = ", ".join(f"{outcomes.count(o)} {o}" for o in ("whole", "partly", "refused") if o in outcomes)
    return f"{plural(len(migrations), 'file')}: {counted}"


def table(migrations: Sequence[Migration]) -> str:
    """Columns for a terminal."""
    rows = [COLUMNS[:-1], *(row(m)[:-1] for m in migrations)]
    widths = [max(len(line_of(r[i])) for r in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(line_of(cell).ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([*lines, "", summary(migrations)])


def markdown(migrations: Sequence[Migration]) -> str:
    """A table, what holds for many files once, and every file with what was told of it."""
    lines = ["# Migrated recipes", "", f"{summary(migrations)}.", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(_cell(c) for c in row(m))} |" for m in migrations]
    lines += _shared("Differences from the loaders", [m.differences for m in migrations])
    advice = [[f"{d.code}, {line_of(d.message)}" for d in m.advice] for m in migrations]
    lines += _shared("Advice on the new recipes", advice)
    for migration in migrations:
        counted = ", ".join(f"{n} {outcome}" for outcome, n in migration.counted().items() if n)
        how = ", read with `compat`" if migration.mode == "compat" else ""
        lines += ["", f"## {_cell(migration.source.name)}", ""]
        lines += [f"{migration.outcome.capitalize()}{': ' if counted else ''}{counted}{how}.", ""]
        lines += [_item(f) for f in migration.findings]
        lines += [f"- {migration.loader.text}"] if migration.loader is not None else []
        if migration.asks:
            lines += ["", f"Parameters without a value: {', '.join(f'`{a}`' for a in migration.asks)}."]
    return "\n".join(lines) + "\n"


def _shared(title: str, told: Sequence[Sequence[str]]) -> list[str]:
    """What is told of several files, once, with their number."""
    counted = Counter(text for texts in told for text in dict.fromkeys(texts))
    if not counted:
        return []
    lines = [f"- {text} ({plural(n, 'file')})" for text, n in counted.most_common()]
    return ["", f"## {title}", "", *lines]


def _item(finding: Diagnostic) -> str:
    line = ""
    if finding.primary is not None:
        line = f"line {finding.primary.source.position(finding.primary.span.start)[0]}: "
    why = "".join(f"; {line_of(text)}" for text in (*finding.notes, *finding.help))
    return f"- {line}{finding.severity} {finding.code}, {line_of(finding.message)}{why}"


def _cell(text: str) -> str:
    return line_of(text).replace("|", "\\|")


def as_json(migrations: Sequence[Migration], written: Sequence[str | None]) -> str:
    """`written`: where each recipe lies, if anywhere."""
    from recipelang.source.json_form import dumps, form
    from recipelang.source.per_file import Report

    files = [
        {
            "file": m.source.name,
            "dialect": m.dialect or None,
            "mode": m.mode,
            "outcome": m.outcome,
            "written": path,
            "modifiers": [
                {
                    "name": f.modifier.name,
                    "line": m.source.position(f.modifier.span.start)[0],
                    "outcome": f.outcome,
                }
                for f in m.fates
            ],
            "loader": None if m.loader is None else {"accepts": m.loader.accepts, "why": m.loader.why or None},
            "asks": list(m.asks),
            "differences": list(m.differences),
            "advice": form([Report(path or "migrated.recipe", m.advice)])["diagnostics"],
            "diagnostics": form([Report(m.source.name, m.findings)])["diagnostics"],
        }
        for m, path in zip(migrations, written, strict=True)
    ]
    return dumps({"format_version": VERSION, "summary": summary(migrations), "files": files}) + "\n"
