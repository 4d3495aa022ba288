"""`recipelang init`: a first recipe, from a few asked."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from recipelang.cli import screen
from recipelang.cli.starter import DATA, LENGTHS, MODEL, TARGET, TASK


def init(
    file: str = typer.Argument(
        "first.recipe", metavar="FILE", help="The file to write; `-` writes to standard output."
    ),
    model: str = typer.Option(None, metavar="REF", help="Prune this model: `hf://OWNER/NAME` or a folder."),
    data: str = typer.Option(None, metavar="REF", help="Train on this data: `hf://OWNER/NAME` or a file."),
    validation: str = typer.Option(
        None, metavar="REF", help="Evaluate on this data, if the training data has no validation split."
    ),
    task: str = typer.Option(None, metavar="NAME", help="Train the model for this task."),
    target: str = typer.Option(None, metavar="RATIO", help="Set the target sparsity, such as 90%."),
    length: str = typer.Option(None, metavar="SPAN", help="Set the length of the pruning stage, in epochs or steps."),
    distill: bool = typer.Option(None, "--distill/--no-distill", help="Distil from the dense model, or do not."),
    name: str = typer.Option(None, metavar="NAME", help="Set the name of the recipe; the default is the file name."),
    yes: bool = typer.Option(False, "-y", "--yes", help="Ask no questions; use the defaults."),
    force: bool = typer.Option(False, "--force", help="Replace an existing file."),
) -> None:
    """Write a first recipe: dense fine-tuning, gradual pruning, distillation, claims.

    On a terminal, the command asks for every value that no option sets. In the recipe,
    embeddings and head stay dense, the length of the schedule depends on the target, and the
    dense model is the teacher of the sparse one.

    Examples:

      recipelang init squad.recipe

      recipelang init squad.recipe --target 97% --yes

      recipelang init - --model ./my-bert --length "300 steps" --yes
    """
    from recipelang.cli import asked, starter

    path = None if file == "-" else Path(file)
    if path is not None:
        asked.check_free(path, force)
    beside = path.parent if path else Path()
    ask = asked.Asker(not yes and sys.stdin.isatty() and sys.stderr.isatty())
    base = ask("Model to prune", model, MODEL, asked.reference("model", beside))
    train = ask("Data to train on", data, DATA, asked.reference("dataset", beside))
    if validation is None and "://" not in train and ask.interactive:
        validation = ask("Data to evaluate on", None, "dev.json", str)
    kind = ask("Task", task, TASK, asked.task)
    share = ask("Target sparsity", target, TARGET, asked.target)
    span = None
    if length is not None or ask.interactive:
        span = ask("Length of the pruning stage", length, LENGTHS[share > starter.HIGH], asked.length)
    if distill is None:
        distill = not ask.interactive or typer.confirm("Distil from the dense model?", True, err=True)
    text = starter.recipe(
        starter.Answers(
            name=name if name is not None else path.stem if path else "first",
            model=base,
            data=train,
            validation=None if validation is None else asked.reference("dataset", beside)(validation),
            task=kind,
            target=share,
            length=span,
            distill=distill,
        )
    )
    if path is None:
        sys.stdout.write(text)
        return
    from recipelang.storage.writing import write_text

    write_text(path, text)
    screen.tell(f"wrote {file}; see what a run would do: `recipelang plan {file}`")
