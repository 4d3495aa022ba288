"""`recipelang init`: a first recipe, from a few answers."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from recipelang.cli import screen
from recipelang.cli.starter import DATA, LENGTHS, MODEL, TARGET, TASK


def init(
    file: str = typer.Argument("first.recipe", metavar="FILE", help="Where to write; `-` is standard output."),
    model: str = typer.Option(None, metavar="REF", help="The model to prune: `hf://OWNER/NAME`, or a folder."),
    data: str = typer.Option(None, metavar="REF", help="Data to train on: `hf://OWNER/NAME`, or a file."),
    validation: str = typer.Option(None, metavar="REF", help="Data to measure on, where DATA has no such split."),
    task: str = typer.Option(None, metavar="NAME", help="What the model is trained for."),
    target: str = typer.Option(None, metavar="RATIO", help="Share of the weights that is zero at the end."),
    length: str = typer.Option(None, metavar="SPAN", help="Length of the pruning, in epochs or steps."),
    distill: bool = typer.Option(None, "--distill/--no-distill", help="Learn from the dense model as well."),
    name: str = typer.Option(None, metavar="NAME", help="Name of the recipe; unset: that of the file."),
    yes: bool = typer.Option(False, "-y", "--yes", help="Ask nothing: take the defaults."),
    force: bool = typer.Option(False, "--force", help="Replace a file that is there."),
) -> None:
    """Write a first recipe: dense fine-tuning, gradual pruning, distillation, claims.

    On a terminal it asks for what no option says. Embeddings and head stay dense, the
    schedule follows the target, and the dense model teaches the sparse one.

    Examples:

      recipelang init squad.recipe

      recipelang init squad.recipe --target 97% --yes

      recipelang init - --model ./my-bert --length "300 steps" --yes
    """
    from recipelang.cli import answers, starter

    path = None if file == "-" else Path(file)
    if path is not None:
        answers.check_free(path, force)
    beside = path.parent if path else Path()
    ask = answers.Asker(not yes and sys.stdin.isatty() and sys.stderr.isatty())
    base = ask("Model to prune", model, MODEL, answers.reference("model", beside))
    train = ask("Data to train on", data, DATA, answers.reference("dataset", beside))
    if validation is None and "://" not in train and ask.interactive:
        validation = ask("Data to measure on", None, "dev.json", str)
    kind = ask("Task", task, TASK, answers.task)
    share = ask("Share of zeros at the end", target, TARGET, answers.target)
    span = None
    if length is not None or ask.interactive:
        span = ask("Length of the pruning", length, LENGTHS[share > starter.HIGH], answers.length)
    if distill is None:
        distill = not ask.interactive or typer.confirm("Learn from the dense model too?", True, err=True)
    text = starter.recipe(
        starter.Answers(
            name=name if name is not None else path.stem if path else "first",
            model=base,
            data=train,
            validation=None if validation is None else answers.reference("dataset", beside)(validation),
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
    screen.tell(f"{file}: written; see what it would do with `recipelang plan {file}`")
