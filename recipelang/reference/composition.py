"""How recipes are made of others: statements from `syntax/tree.py`, limits from `spec/imports.py`, types from `spec/params.py`."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.reference.codes import PAGES
from recipelang.reference.markdown import block, code, page, table
from recipelang.source.codes import codes, title
from recipelang.source.words import limit_text
from recipelang.spec.imports import MAX_DEPTH, MAX_FILES, MAX_TOTAL
from recipelang.spec.params import NARROWER
from recipelang.syntax import tree as t

#: what may stand where, in the order of the page
STATEMENTS = (t.Extends, t.Use, t.Param, t.Set, t.Patch, t.Unset)
EDITS = {
    "NAME = VALUE": "in a patch or a merged block: replace the inherited value (a list as a whole)",
    "NAME += VALUE": "in a patch or a merged block: add items to a list, or tensors to a selector (`|`)",
    "NAME -= VALUE": "in a patch or a merged block: remove items from a list, or tensors from a selector (`except`)",
}

#: sort of file -> how it is named, what it holds: read by a test as well
FILES = {
    "recipe": ("`FILE`", "everything; `extends` at most once", "a complete recipe, or a base with parameters to set"),
    "library": ('`use "FILE" as NAME`', "`let`, `use`, `meta`", "values shared by recipes: `NAME.VALUE`"),
    "overlay": ("`--overlay FILE`", "`set`, `patch`", "paths, batch sizes and precision of one site"),
    "parameters": ("`--params FILE`", "`set`", "parameter values of one run, instead of many `-p`"),
}

#: files of one example; a test composes them
EXAMPLE = {
    "base.recipe": """recipe 1 "base"

param target: ratio in 50%..99%  # no default: a child or `-p` gives it
param length: epochs = 30 epochs

model { base = "hf://owner/model", task = question_answering }
data { source = "hf://owner/data" }

stage gradual {
  length        = length
  batch         = 16
  clip          = 0.5
  learning_rate = linear(8e-5 -> 8e-6, over = start..end)

  prune weights {
    targets  = @linear & @encoder
    never    = @embeddings | @head
    method   = magnitude
    sparsity = cubic(50% -> target, over = 10%..90%, updates = 10 per epoch)
  }
}

evaluate dev { metrics = [f1, exact_match] }""",
    "child.recipe": """recipe 1 "child"
extends "./base.recipe"
use "./shared.recipe" as shared

# fixed: later files and `-p` cannot change it
set target = 90%
# narrower than the base's
param length: epochs in 10 epochs..40 epochs = 20 epochs

patch stage gradual {
  batch = shared.batch

  prune weights {
    never += @pooler
  }
}

patch evaluate dev {
  metrics -= exact_match
}

unset stage.gradual.clip

expect sparsity(@linear & @encoder) == target ± 0.1%""",
    "shared.recipe": """recipe 1 "shared"

let batch = 32""",
    "site.recipe": """recipe 1 "site"

patch stage gradual {
  micro_batch = 8
}""",
    "mine.recipe": """recipe 1 "mine"

set length = 12 epochs""",
}
COMMAND = "recipelang validate child.recipe --overlay site.recipe --params mine.recipe"


def text() -> str:
    return page(
        "Recipes made of recipes",
        "A recipe can extend another recipe and change only what differs. All files are merged first and "
        "evaluated afterwards: windows and lets of a base use the values that the child sets.",
        "## Statements\n\n" + table(("statement", "effect"), _statements()),
        "A block without a name (`model`, `meta`, `export`, `distill`, …) is merged with the same block of the base, "
        "attribute by attribute. A block with a name (`stage`, `prune`, `evaluate`, `data NAME`) requires `patch`, so that "
        "a misspelt name is an error: a patched block must exist in the base (`E033`), and a block without `patch` must "
        "not (`E032`). The child keeps all claims of the base and cannot remove a `require`.",
        "## Files\n\n" + table(("named by", "may contain", "use"), FILES.values()),
        "## Precedence\n\nFrom lowest to highest: the default of an attribute, the base, the child, overlays in the "
        "order of the command line, `--params` files (the last one wins), `-p`. A parameter that a recipe has `set` is "
        "final; later files and options cannot change it (`E037`). `recipelang trace FILE PATH` shows where a value "
        "is assigned and which assignments it replaces.",
        f"A child can declare a parameter of its base again with a smaller range or a narrower type: {_narrower()}.",
        "## References\n\nA reference is the path of a file, relative to the file that names it, or `lib://NAME`, a recipe of "
        "the installed library. A path must stay below the folder of the recipe, or below the folder above it that holds "
        "a `recipelang.toml` (`E045`). Reading a recipe never uses the network.",
        f"At most {MAX_DEPTH} recipes can extend each other in a chain (`E041`), with {MAX_FILES} files and "
        f"{limit_text(MAX_TOTAL)} in total (`E042`).",
        "## Example",
        *(f"`{name}`:\n\n{block(content)}" for name, content in EXAMPLE.items()),
        "Check all files together:",
        block(COMMAND),
        "## Messages\n\n" + table(("code", "meaning"), _messages()),
    )


def _statements() -> Iterator[tuple[str, str]]:
    for statement in STATEMENTS:
        yield _told(statement)
    for written, does in EDITS.items():
        yield code(written), does


def _told(statement: type) -> tuple[str, str]:
    """A class of statements begins its docstring with how it is written."""
    told = " ".join((statement.__doc__ or "").partition("\n\n")[0].split())
    written, _, does = told.partition("`: ")
    return written + "`", does.rstrip(".")


def _narrower() -> str:
    pairs = sorted(NARROWER)
    return ", ".join(f"{code(inner)} for {code(outer)}" for outer, inner in pairs)


def _messages() -> Iterator[tuple[str, str]]:
    for name in codes():
        if "E031" <= name <= "E047" and name not in ("E039", "E043", "E044"):
            yield f"[{name}]({PAGES}/{name}.md)", title(name)
