"""Measured latencies of a model's parts at several sizes, as a file holds them, and the time of any sizes predicted from them.

A forward pass takes a fixed time (embeddings, head) and the time of each layer: measured as differences of small models of
one and of two layers. Between sizes that were measured both are piecewise linear; below the smallest nothing gets faster.
The file is anybody's: it is read as strict JSON.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recipelang.kinds.formats import RUNTIMES
from recipelang.kinds.sizes import AXES
from recipelang.planning.references import local_path
from recipelang.planning.shrink import SIZE_KEYS
from recipelang.source import RecipeError, fail
from recipelang.spec.metrics import TASKS
from recipelang.storage.forms import Count, Digest, Form, Some, known
from recipelang.storage.reading import Unreadable, Why, read_model, sha256
from recipelang.values.selector import to_json

#: bytes and points; a table of ours has at most a few dozen
MAX_TABLE, _MOST_POINTS = 2**20, 1_000
#: of a config, what neither sizes nor times depend on, and what differs between folders of one model
_OTHER = {
    "_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "use_cache",
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task",
}  # fmt: skip
_Seconds = Annotated[float, Field(ge=0, lt=1e6, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, lt=1e6, allow_inf_nan=False)]


class LatencyRow(Form):
    """Axes that were varied together, and their sizes, rising; the last are those of the model."""

    axes: tuple[Annotated[str, known(*AXES)], ...] = Field(min_length=1, max_length=2)
    sizes: tuple[tuple[Some, ...], ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if any(len(size) != len(self.axes) for size in self.sizes):
            raise ValueError("`sizes` have not one number for each of `axes`")
        if any(a >= b for low, high in pairwise(self.sizes) for a, b in zip(low, high, strict=True)):
            raise ValueError("`sizes` do not rise")
        return self


class Latencies(Form):
    """What `recipelang bench --latencies` writes."""

    format_version: Literal["1.0"] = "1.0"
    kind: Literal["latencies"] = "latencies"
    model: str = Field(max_length=1_000, description="as it was named")
    family: str = Field(max_length=200)
    task: Annotated[str, known(*TASKS)]
    config: Digest = Field(description="of the config without its sizes")
    runtime: Annotated[str, known(*RUNTIMES)]
    batch: Some
    length: Some
    threads: Some
    rounds: Some
    seed: Count
    clock: Annotated[str, known("processor time", "wall-clock time", "GPU time")]
    machine: str = Field(max_length=200)
    versions: dict[str, str]
    rows: tuple[LatencyRow, ...] = Field(max_length=3)
    fixed: tuple[_Seconds, ...] = Field(
        description="seconds beside the layers, for each combination of the rows' sizes"
    )
    layer: tuple[_Positive, ...] = Field(description="seconds of one layer")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        axes = [axis for row in self.rows for axis in row.axes]
        if len({*axes}) != len(axes) or "layers" in axes:
            raise ValueError("an axis stands twice in `rows`, or is `layers`")
        points = prod(len(row.sizes) for row in self.rows)
        if points > _MOST_POINTS or not len(self.fixed) == len(self.layer) == points:
            raise ValueError("`fixed` and `layer` have not one time for each combination of `rows`")
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        return (*(axis for row in self.rows for axis in row.axes), "layers")

    def seconds(self, sizes: Mapping[str, int]) -> float:
        """Predicted, of a model of these sizes."""
        fixed = layer = 0.0
        for at, weight in self._near(sizes):
            fixed += weight * self.fixed[at]
            layer += weight * self.layer[at]
        return fixed + sizes["layers"] * layer

    def _near(self, sizes: Mapping[str, int]) -> Iterator[tuple[int, float]]:
        """The points around these sizes, each with its weight."""
        each = [_around([size[0] for size in row.sizes], sizes[row.axes[0]]) for row in self.rows]
        for corner in product(*each):
            at = 0
            for row, (i, _) in zip(self.rows, corner, strict=True):
                at = at * len(row.sizes) + i
            yield at, prod(weight for _, weight in corner)

    def measured(self, sizes: Mapping[str, int]) -> bool:
        """Whether the sizes are none of a larger model, and axes that were varied together keep their share."""
        for row in self.rows:
            whole = row.sizes[-1]
            if any(sizes[axis] > most for axis, most in zip(row.axes, whole, strict=True)):
                return False
            if any(sizes[row.axes[0]] * n != sizes[axis] * whole[0] for axis, n in zip(row.axes, whole, strict=True)):
                return False
        return True


def _around(measured: Sequence[int], size: int) -> list[tuple[int, float]]:
    """The neighbours of a size among those measured, and their weights.

    >>> _around([10, 20, 40], 25), _around([10, 20, 40], 5), _around([10, 20, 40], 20)
    ([(1, 0.75), (2, 0.25)], [(0, 1.0)], [(1, 1.0)])
    """
    at = bisect_left(measured, size)
    if at == 0 or at == len(measured) or measured[at] == size:
        return [(min(at, len(measured) - 1), 1.0)]
    share = (size - measured[at - 1]) / (measured[at] - measured[at - 1])
    return [(at - 1, 1 - share), (at, share)]


def shape_digest(config: Mapping[str, Any]) -> str:
    """Of a config without its sizes: the same for a model and for all that it can be shrunk to."""
    kept = {k: v for k, v in config.items() if k not in SIZE_KEYS | _OTHER and not isinstance(v, list | tuple)}
    return "sha256:" + hashlib.sha256(to_json(_plain(kept)).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    """Numbers as texts, for the canonical JSON has none; what is none is not there."""
    match value:
        case dict():
            return {str(k): _plain(v) for k, v in value.items() if v is not None}
        case list() | tuple():
            return [_plain(v) for v in value]
        case bool() | str():
            return value
    return repr(value)


def read_latencies(name: str, beside: Path, help: str) -> tuple[Latencies, str]:
    """The table of a file and the digest of its contents. E160 where there is none, E161 for another file."""
    path = local_path(name, beside)
    try:
        return read_model(path, Latencies, MAX_TABLE), "sha256:" + sha256(path)
    except Unreadable as error:
        if error.why is Why.MISSING:
            raise fail("E160", f"there is no table of latencies `{name}`", help=help) from None
        raise error.coded("E161", name=name, help=help) from None


def check_latencies(
    table: Latencies,
    name: str,
    *,
    family: str,
    task: str,
    config: Mapping[str, Any],
    sizes: Mapping[str, int],
    help: str,
) -> None:
    """E161 for a table of another model, and one that lacks an axis. `sizes`: of the model as it is, of the table's axes too."""
    why = None
    if (table.family, table.task) != (family, task):
        why = f"it is of a `{table.family[:80]}` for `{table.task}`, and the recipe has a `{family}` for `{task}`"
    elif table.config != shape_digest(config):
        why = "the config of its model has other fields than the model here"
    if why is not None:
        raise fail("E161", f"`{name}` was measured for another model", notes=[why], help=help)
    if lacks := [axis for axis in sizes if axis not in table.axes]:
        raise fail("E161", f"`{name}` has no times of `{lacks[0]}`", help=help)
    if not table.measured(sizes):
        raise not_measured(name, help)


def not_measured(name: str, help: str) -> RecipeError:
    notes = ["it was measured for a smaller one, or with `heads` and `hidden` of another share"]
    return fail("E161", f"`{name}` does not reach the sizes of this model", notes=notes, help=help)
