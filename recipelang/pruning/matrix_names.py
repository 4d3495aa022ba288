"""Names of matrices, where a parameter holds one for each expert. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence


def names_of(name: str, shape: Sequence[int]) -> list[str]:
    """Of the matrices of a parameter of this shape.

    >>> names_of("a.weight", (8, 4)), names_of("experts.down_proj", (2, 8, 4))
    (['a.weight'], ['experts.down_proj[0]', 'experts.down_proj[1]'])
    """
    return [name] if len(shape) < 3 else [f"{name}[{i}]" for i in range(shape[0])]


def parameter_of(name: str) -> tuple[str, int | None]:
    """The parameter that a matrix of these names is in, and which expert of a stack it is.

    >>> parameter_of("a.weight"), parameter_of("experts.down_proj[1]")
    (('a.weight', None), ('experts.down_proj', 1))
    """
    parameter, _, expert = name.rstrip("]").partition("[")
    return parameter, int(expert) if expert else None


def expert_of(name: str) -> str:
    """The expert that a matrix of these names is part of; empty for a matrix that every token reads.

    >>> expert_of("mlp.experts.down_proj[1]"), expert_of("mlp.experts.3.up_proj.weight"), expert_of("mlp.up_proj.weight")
    ('mlp.experts[1]', 'mlp.experts.3', '')
    """
    parameter, expert = parameter_of(name)
    if expert is not None:
        return f"{parameter.rpartition('.')[0]}[{expert}]"
    before, found, after = parameter.partition(".experts.")
    return f"{before}{found}{after.partition('.')[0]}" if found else ""


def layer_of(name: str) -> str:
    """The layer that a matrix of these names is in.

    >>> layer_of("model.layers.3.mlp.up_proj.weight")
    'model.layers.3'
    """
    parts = name.split(".")
    return ".".join(parts[: next(i for i, part in enumerate(parts) if part.isdigit()) + 1])
