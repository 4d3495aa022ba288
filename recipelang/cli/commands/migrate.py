"""`recipelang migrate`: recipes of SparseML and llm-compressor into recipes of this language."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, screen
from recipelang.cli.exit_codes import Exit

if TYPE_CHECKING:
    from recipelang.migrate.migrate import Migration, Mode
    from recipelang.source import RecipeError


class Shown(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"


class Reading(StrEnum):
    strict = "strict"
    compat = "compat"


#: what old recipes are kept in
_SUFFIXES = (".yaml", ".yml", ".md")
#: more files than this in a folder are no recipes
_MOST = 5_000


def migrate(
    files: list[str] = typer.Argument(
        ...,
        metavar="FILE",
        help="Recipes in YAML or Markdown, or folders of them; `-` reads standard input.",
        autocompletion=complete.old_recipes,
    ),
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="PATH", help="Write to this `.recipe` file (one recipe) or this folder (several)."
    ),
    mode: Reading = typer.Option(
        Reading.strict,
        "--mode",
        help="Use exact steps (`strict`), or the event steps, learning rates and tie-breaking of SparseML 1 (`compat`).",
    ),
    format: Shown = typer.Option(Shown.text, "--format", help="Choose the format of the report."),
    strict_exit: bool = typer.Option(
        False, "--strict-exit", help="Exit with 1 if anything is lost or read differently."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace existing recipes."),
) -> None:
    """Convert recipes of SparseML and llm-compressor to valid recipes, and report what is lost.

    The command reads the `!Tag` lists of SparseML, also in stages or in the front matter of a Markdown
    file, and the modifier stages of late SparseML and llm-compressor. Nothing is executed: formulas in
    `eval(...)` become parameters.

    For one file, the new recipe goes to standard output and the report to standard error. For several
    files, the command prints a table; `-o` writes the recipes to a folder.

    `--mode compat` writes `compat = sparseml_1` into stages that SparseML 1 ran: events drift and learning
    rates end as they did there, and the plan shows where SparseML would have raised an exception.

    Settings that the old recipe left to the training command, such as model, data and batch size, become
    parameters, to be set with `-p`.

    Exit code 1 means that something that changes the result was lost, such as quantisation; the report
    lists each loss with its line.

    Examples:

      recipelang migrate old.yaml > new.recipe

      recipelang migrate old.yaml -o new.recipe

      recipelang migrate old.yaml --mode compat -o as-it-ran.recipe

      recipelang migrate recipes/ -o migrated/

      recipelang migrate recipes/ --format markdown > report.md
    """
    from recipelang.migrate import report

    names, single = _gathered(files), len(files) == 1 and not os.path.isdir(files[0])
    done = [_one(name, mode.value) for name, _ in names]
    written: list[str | None] = [None] * len(done)
    if out is not None:
        written = _write(done, [inside for _, inside in names], out, single, overwrite)
    if format is Shown.json:
        sys.stdout.write(report.as_json(done, written))
    elif format is Shown.markdown:
        sys.stdout.write(report.markdown(done))
    elif single:
        _tell(done[0], written[0], out is None)
    else:
        screen.tell(report.table(done))
    lost = any(m.lost for m in done)
    told = any(d.code in ("W131", "W132", "W150") for m in done for d in m.findings)
    if lost or (strict_exit and told):
        raise typer.Exit(Exit.ERRORS)


def _gathered(files: Sequence[str]) -> list[tuple[str, str]]:
    """Every file, with its path inside the folder that was named."""
    from recipelang.source import fail

    found: list[tuple[str, str]] = []
    for file in files:
        if file == "-" or not os.path.isdir(file):
            found.append((file, "stdin" if file == "-" else Path(file).name))
            continue
        inside = sorted(p for p in Path(file).rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        if not inside or len(inside) > _MOST:
            help = f"recipes end in {', '.join(f'`{s}`' for s in _SUFFIXES)}"
            number = "no recipes" if not inside else f"more than {_MOST:,} files"
            raise fail("E046", f"the folder `{file}` holds {number}", help=help)
        found += [(str(p), p.relative_to(file).as_posix()) for p in inside]
    return found


def _one(name: str, mode: Mode) -> Migration:
    from recipelang.loading.files import read_source
    from recipelang.migrate.migrate import Migration, migrate as migrated
    from recipelang.migrate.nodes import MAX_BYTES
    from recipelang.source import RecipeError, Source

    try:
        return migrated(read_source(name, MAX_BYTES), mode)
    except RecipeError as error:  # a file that cannot be read does not stop the others
        return Migration(Source(name, ""), "", None, error.diagnostics)


def _write(
    done: Sequence[Migration], inside: Sequence[str], out: Path, single: bool, overwrite: bool
) -> list[str | None]:
    """Where each recipe went. Nothing is written when one of them is there already."""
    from recipelang.storage.writing import make_folder, write_text

    if single and out.suffix == ".recipe":
        paths = [out]
    else:
        paths = [out / PurePosixPath(name).with_suffix(".recipe") for name in inside]
    taken = _taken(paths)
    wanted = [(m, p) for m, p in zip(done, paths, strict=True) if m.text is not None]
    for _, path in wanted:
        if taken.get(path, 0) > 1 or (path.exists() and not overwrite):
            raise _in_the_way(path, twice=taken.get(path, 0) > 1)
    for migration, path in wanted:
        assert migration.text is not None
        make_folder(path.parent)
        write_text(path, migration.text)
    return [str(p) if m.text is not None else None for m, p in zip(done, paths, strict=True)]


def _taken(paths: Sequence[Path]) -> dict[Path, int]:
    counted: dict[Path, int] = {}
    for path in paths:
        counted[path] = counted.get(path, 0) + 1
    return counted


def _in_the_way(path: Path, twice: bool) -> RecipeError:
    from recipelang.source import fail

    if twice:
        return fail("E085", f"two files would become `{path}`", help="migrate them into two folders")
    return fail("E085", f"`{path}` is there already", help="write `--overwrite` to replace it, or name another place")


def _tell(migration: Migration, written: str | None, printed: bool) -> None:
    """One file: the recipe to standard output, everything else beside it."""
    from recipelang.cli import screen
    from recipelang.source.render import line_of

    if migration.text is not None and printed:
        sys.stdout.write(migration.text)
        sys.stdout.flush()
    screen.show(migration.findings)
    counted = ", ".join(f"{n} {outcome}" for outcome, n in migration.counted().items() if n)
    lines = [f"{migration.source.name}: {migration.outcome}" + (f" ({counted})" if counted else "")]
    if written:
        lines.append(f"written: {written}")
    lines += [migration.loader.text] if migration.loader is not None else []
    lines += [f"differs: {difference}" for difference in migration.differences]
    if migration.advice:
        lines.append(f"`recipelang lint` reports {', '.join(dict.fromkeys(d.code for d in migration.advice))}")
    if migration.asks:
        lines.append(f"parameters without a value: {', '.join(f'`{a}`' for a in migration.asks)}; set them with `-p`")
    screen.tell("\n".join(line_of(line) for line in lines), to_errors=True)
