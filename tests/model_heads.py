"""What transformers says of its types: which have a head for a task, and what their configs hold unless told."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from recipelang.tasks.config_defaults import PADDING, TOKEN_TYPES
from tests import model_table
from tests.model_types import ENCODERS

#: task -> the class that makes its model
TASKS = {task: auto for task, (auto, _) in model_table.TASKS.items()}


def heads() -> dict[str, list[str]]:
    """Every type of transformers with a head for one of the tasks -> those tasks, by the library's lists of names.

    The first is the one that all checks are made for: that of both stacks, where there are two.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    found: dict[str, list[str]] = {}
    for task, auto in TASKS.items():
        names = getattr(transformers, auto)._model_mapping._model_mapping
        for kind in sorted(set(names) & set(CONFIG_MAPPING_NAMES)):
            found.setdefault(kind, []).append(task)
    wanted = {kind: [t for t in tasks if not _backwards(kind, t, tasks)] for kind, tasks in sorted(found.items())}
    return {kind: sorted(tasks, key=lambda t: t != "text_to_text") for kind, tasks in wanted.items()}


def _backwards(kind: str, task: str, tasks: list[str]) -> bool:
    """An encoder's head for the next word is one of a config with `is_decoder`."""
    return task == "causal_lm" and kind in ENCODERS and "masked_lm" in tasks


def differing(kinds: Iterable[str]) -> dict[str, tuple[object, object]]:
    """Types of which the tables of defaults say something else than the class of their config -> both."""
    odd: dict[str, tuple[object, object]] = {}
    for kind in sorted(kinds):
        types, pad = default(kind, "type_vocab_size") or 0, default(kind, "pad_token_id")
        if types != TOKEN_TYPES.get(kind, 0):
            odd[kind] = types, TOKEN_TYPES.get(kind, 0)
        if pad != PADDING.get(kind):
            odd[kind] = pad, PADDING.get(kind)
    return odd


def default(kind: str, name: str) -> object:
    """From the class, without making a config: some cannot be made of nothing."""
    import transformers

    made = transformers.CONFIG_MAPPING[kind]
    name = made.attribute_map.get(name, name)
    value = getattr(made, name, None)
    if not isinstance(value, int):
        parameter = inspect.signature(made.__init__).parameters.get(name)
        value = parameter.default if parameter is not None else None
    return value if isinstance(value, int) else None
