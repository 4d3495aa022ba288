"""How tensors are chosen: forms from `values/selector.py`, roles from `planning/families.py`."""

from __future__ import annotations

from typing import get_args

from recipelang.reference.markdown import block, code, page, table
from recipelang.values.selector import ROLES, Selector


def text() -> str:
    return page(
        "Selectors and roles",
        "A selector chooses tensors of a model. Roles such as `@linear` work for every model family; tensor names "
        "work for one. Only matrices are pruned and counted: biases and norms do not count towards sparsity. "
        "The router of a mixture of experts is pruned and counted only where `@router` or a name selects it. "
        "The line `roles` of `plan` counts matrices that no role tells apart.",
        "## Forms\n\n" + table(("written", "selects"), map(_form, get_args(Selector))),
        "From lowest to highest precedence: `except`, `|`, `&`, `!`. Use parentheses to group.",
        block('targets = @linear & @encoder except "**.pooler.**"\nnever   = @embeddings | @head | layers(-1)'),
        "In your own loop (`recipelang.attach`), a glob may name modules of a model that is not one of transformers: a glob "
        "that matches no tensor selects the tensors that the matching modules hold themselves, without those of modules "
        'inside. `"encoder.*"` selects `encoder.0.weight` and `encoder.0.bias` if no tensor is named `encoder.` and one part.',
        "## Roles\n\n" + table(("role", "tensors"), ((code(f"@{name}"), doc) for name, doc in ROLES.items())),
        "A role that a model lacks selects nothing: `never = @pooler` is valid for every model. A selector that selects "
        "nothing at all is an error in `targets` (`E070`), and a warning for names in `never` (`W105`).",
    )


def _form(form: type) -> tuple[str, str]:
    """A class of selectors begins its docstring with how it is written."""
    written, _, selects = " ".join((form.__doc__ or "").split()).partition("`: ")
    return written + "`", selects.rstrip(".")
