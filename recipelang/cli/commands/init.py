"""`recipelang init`: a first recipe, from a few answers."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from recipelang.cli import screen


def init(
    file: str = typer.Argument(
        "first.recipe", metavar="FILE", help="The file to write; `-` writes to standard output."
    ),
    model: str = typer.Option(None, metavar="REF", help="Prune this model: `hf://OWNER/NAME` or a folder."),
    data: str = typer.Option(None, metavar="REF", help="Train on this data: `hf://OWNER/NAME` or a file."),
    validation: str = typer.Option(
        None,
        metavar="REF",
        help="Evaluate on this data; the default is the validation split, or a file such as `dev.tsv` beside `train.tsv`.",
    ),
    task: str = typer.Option(
        None, metavar="NAME", help="Train the model for this task; the default is guessed from the columns of the data."
    ),
    column: list[str] = typer.Option(
        [], metavar="FIELD=COLUMN", help="Read a field from this column, such as `text=review`; can be repeated."
    ),
    examples: str = typer.Option(
        None, metavar="N", help="The number of training examples, if the data is not on this machine."
    ),
    target: str = typer.Option(None, metavar="RATIO", help="Set the target sparsity, such as 90%."),
    length: str = typer.Option(None, metavar="SPAN", help="Set the length of the pruning stage, in epochs or steps."),
    distill: bool = typer.Option(None, "--distill/--no-distill", help="Distil from the dense model, or do not."),
    name: str = typer.Option(None, metavar="NAME", help="Set the name of the recipe; the default is the file name."),
    yes: bool = typer.Option(False, "-y", "--yes", help="Ask no questions; use the defaults."),
    force: bool = typer.Option(False, "--force", help="Replace an existing file."),
) -> None:
    """Write a first recipe for a model and data, with comments and claims.

    On a terminal, the command asks for every value that no option sets. In the recipe,
    embeddings and head stay dense, the length of the schedule depends on the target, and the
    dense model is the teacher of the sparse one. Decoders are pruned in one shot.

    Examples:

      recipelang init squad.recipe

      recipelang init reviews.recipe --data train.tsv --target 80% --yes

      recipelang init reviews.recipe --data train.csv --column text=review --column label=stars

      recipelang init - --task causal_lm --yes
    """
    from recipelang.cli import asked, starter

    path = None if file == "-" else Path(file)
    if path is not None:
        asked.check_free(path, force)
    ask = asked.Asker(not yes and sys.stdin.isatty() and sys.stderr.isatty())
    given = None if model is None else asked.model(model)
    kind = None if task is None else asked.task(task)
    guess = starter.first_of(kind or starter.TASK)
    train = ask("Data to train on", data, guess.data, asked.data("--data"))
    named = asked.columns(column)
    found = asked.look(ask, train, kind, named, examples, given)
    start = starter.first_of(found.task)
    base = given or ask("Model to prune", None, start.base, asked.model)
    suits = asked.suits(base, found.task)
    to_measure = asked.to_measure(ask, train, validation)
    share = ask("Target sparsity", target, start.target, asked.target)
    span = None
    trains = start.way != "calibrate"
    if not trains:
        asked.only_if_trained(found.task, length, distill)
    if trains and (length is not None or ask.interactive):
        usual = starter.lengths(found.task, share, found.examples)
        span = ask("Length of the pruning stage", length, usual, asked.length)
    if distill is None:
        distill = not (trains and ask.interactive) or typer.confirm("Distil from the dense model?", True, err=True)
    beside = path.parent if path else Path()
    text = starter.recipe(
        starter.Answers(
            name=name if name is not None else path.stem if path else "first",
            model=asked.from_folder(base, beside),
            data=asked.from_folder(train, beside),
            validation=None if to_measure is None else asked.from_folder(to_measure, beside),
            task=found.task,
            target=share,
            length=span,
            distill=distill,
            named=named,
            examples=found.examples,
            targets=suits.targets,
            positions=suits.positions,
            metrics=found.metrics,
            has_head=suits.has_head,
        )
    )
    if path is None:
        sys.stdout.write(text)
        return
    from recipelang.storage.writing import write_text

    write_text(path, text)
    screen.tell(f"wrote {file}; see what a run would do: `recipelang plan {file}`")
