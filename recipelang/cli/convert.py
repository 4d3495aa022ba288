"""`recipelang convert`: a recipe as JSON or YAML, and back; and as what two other tools read."""

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
    to: To = typer.Option(..., "--to", help="What to write."),
    stage: str | None = typer.Option(
        None, "--stage", metavar="NAME", help="The stage that `training-arguments` are of, where there are several."
    ),
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    out: Path | None = typer.Option(None, "-o", "--out", metavar="FILE", help="Write to a file, not to the screen."),
) -> None:
    """Write an evaluated recipe as JSON or YAML, or read its JSON back.

    `json` is the canonical form, byte for byte: its sha256 is the spec digest.
    A model or data set named by a path stands in it as the digest of its
    contents, so it must be there.

    `pretty` and `yaml` are the same document for people: over several lines,
    and with paths as they were written. Nothing is opened.

    `recipe` is recipe text: every value filled in, no parameters left. From a
    JSON document it is a recipe with the same spec digest. A document holds no
    comments, `meta`, name or messages of claims, so they do not come back; and
    what it knows by its contents becomes a parameter to give with `-p`.

    `llm-compressor` is YAML for that tool, of a recipe of one-shot stages; names of layers are those of the
    model, where it is there. `training-arguments` is JSON for `TrainingArguments` of transformers, of one
    stage of training; pruning and distillation are done by a callback, from the recipe itself. What has no
    place there is an error.

    As a diff driver of git, which shows changes of meaning only:

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
            screen.tell(f"left to `recipelang.loops.trainer.RecipeCallback`: {listed}", to_errors=True)
        if to_training_arguments.rounds_up(recipe, chosen):
            screen.tell(
                "a warm-up ends inside a step: a Trainer rounds up, recipelang to the nearest step", to_errors=True
            )
    else:
        from recipelang.spec import canonical, layout

        local = contents
        if to is To.json:
            from recipelang.planning.identities import identities

            local = identities(recipe, beside(file), contents)
        form = canonical.spec_form(recipe, local)
        text = {To.json: canonical.to_json, To.pretty: layout.pretty, To.yaml: layout.yaml}[to](form)
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
