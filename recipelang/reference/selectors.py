"""How tensors are chosen: forms from `values/selector.py`, roles from `planning/families.py`."""

from __future__ import annotations

from typing import get_args

from recipelang.reference.markdown import block, code, page, table
from recipelang.values.selector import ROLES, Selector


def text() -> str:
    return page(
        "Selectors and roles",
        "A selector says which tensors of a model are meant. It fits any family of models as long as it speaks of "
        "roles; names fit one. Only matrices are pruned and counted: biases and norms take no part in sparsity.",
        "## Forms\n\n" + table(("written", "selects"), map(_form, get_args(Selector))),
        "From loose to tight: `except`, `|`, `&`, `!`; parentheses group.",
        block('targets = @linear & @encoder except "**.pooler.**"\nnever   = @embeddings | @head | layers(-1)'),
        "## Roles\n\n" + table(("role", "tensors"), ((code(f"@{name}"), doc) for name, doc in ROLES.items())),
        "A role that a family lacks selects nothing there: `never = @pooler` is fine anywhere. A selector that "
        "selects nothing as a whole is an error (`E070`) in `targets`, and a warning (`W105`) for names in `never`.",
    )


def _form(form: type) -> tuple[str, str]:
    """A class of selectors begins its docstring with how it is written."""
    written, _, selects = " ".join((form.__doc__ or "").split()).partition("`: ")
    return written + "`", selects.rstrip(".")
