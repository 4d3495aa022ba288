"""`recipelang convert`: a recipe as JSON or YAML, and back; and for two other tools."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import typer

from recipelang.cli import complete, options, screen


class To(StrEnum):
    json = "json"
    pretty = "pretty"
    yaml = "yaml"
    recipe = "recipe"
    llm_compressor = "llm-compressor"
    training_arguments = "training-arguments"


def convert(
    file: str = typer.Argument(
        ..., metavar="FILE", help="A recipe or its JSON; `-` reads standard input.", autocompletion=complete.documents
    ),
    to: To = typer.Option(..., "--to", help="Choose the format to write."),
    stage: str | None = typer.Option(
        None, "--stage", metavar="NAME", help="Choose the stage for `training-arguments`, if the recipe has several."
    ),
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="FILE", help="Write to this file instead of standard output."
    ),
) -> None:
    """Convert an evaluated recipe to JSON or YAML, and JSON back to a recipe.

    `json` is the canonical form: its sha256 is the spec digest. A local model or data
    set appears as the digest of its contents, so it must be on this machine.

    `pretty` and `yaml` are the same document for people: on several lines, with paths
    as written. Models and data are not opened.

    `recipe` is recipe text with every value filled in and no parameters. A recipe made
    from a JSON document has the same spec digest. The document holds no comments,
    `meta`, name or claim messages, so the recipe has none; a model or data set that the
    document knows by its contents becomes a parameter, to be set with `-p`.

    `llm-compressor` is YAML for that tool, from a recipe with one-shot stages; layer names
    are those of the model if it is on this machine. `training-arguments` is JSON for
    `TrainingArguments` of transformers, from one training stage; a callback does the pruning
    and distillation from the recipe itself. A setting that the other tool lacks is an error.

    As a git diff driver, which shows only changes of meaning:

      git config diff.recipe.textconv "recipelang convert --to pretty"

      echo "*.recipe diff=recipe" >> .gitattributes

    Examples:

      recipelang convert squad.recipe --to json | sha256sum

      recipelang convert squad.recipe --to yaml -o squad.yaml

      recipelang convert squad.recipe.json --to recipe -o new.recipe

      recipelang convert oneshot.recipe --to llm-compressor -o recipe.yaml
    """
    from recipelang.loading.documents import read_either
    from recipelang.loading.locking import beside
    from recipelang.loading.read import read_around

    read = read_either(file, read_around(param, params, overlay))
    recipe, contents = read.recipe, read.contents
    if to is To.recipe:
        from recipelang.spec.document import recipe_text

        text = recipe_text(recipe, contents)
    elif to is To.llm_compressor:
        from recipelang.migrate import to_llm_compressor

        text = to_llm_compressor.convert(recipe, beside(file))
    elif to is To.training_arguments:
        from recipelang.migrate import to_training_arguments

        text = to_training_arguments.convert(recipe, stage)
        chosen = to_training_arguments.chosen(recipe, stage)
        if blocks := to_training_arguments.left(chosen):
            listed = ", ".join(f"`{b}`" for b in blocks)
            screen.tell(f"done by the callback `recipelang.loops.trainer.RecipeCallback`: {listed}", to_errors=True)
        if to_training_arguments.rounds_up(recipe, chosen):
            screen.tell(
                "the warm-up ends inside a step: the Trainer rounds up, recipelang rounds to the nearest step",
                to_errors=True,
            )
    else:
        from recipelang.spec import canonical, pretty
        from recipelang.storage.yaml_text import yaml_text

        local = contents
        if to is To.json:
            from recipelang.planning.identities import identities

            local = identities(recipe, beside(file), contents)
        form = canonical.spec_form(recipe, local)
        text = {To.json: canonical.to_json, To.pretty: pretty.pretty, To.yaml: yaml_text}[to](form)
    if out is None:
        _print(text)
    else:
        from recipelang.storage.writing import write_text

        write_text(out, text)


def _print(text: str) -> None:
    """The bytes themselves, whatever the terminal's encoding; a canonical form gets no line end of its own."""
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None or sys.stdout.isatty():
        print(text, end="" if text.endswith("\n") or not sys.stdout.isatty() else "\n")
    else:
        stream.write(text.encode("utf-8"))
