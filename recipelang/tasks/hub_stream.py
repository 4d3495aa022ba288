"""A data set of the Hub that is not fetched as a whole: its shards, each read from a record on. E047, E074."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.tasks.hub import builder_of, check_name, classes_of


def hub_stream(
    reference: str, split: str, config: str | None
) -> tuple[tuple[str, ...], Callable[[int, int], Iterator[dict[str, Any]]], dict[str, tuple[str, ...]]]:
    """The names of the shards of `owner/name@revision`, what reads one from a record on, and names of classes."""
    name, revision = check_name(reference)
    with _told(name, f"has no split `{split}`"):
        found = builder_of(name, revision, config).as_streaming_dataset(split=split)
        count = found.num_shards
        classes = classes_of(found.features or {})

    def read(number: int, first: int) -> Iterator[dict[str, Any]]:
        each = iter(found.shard(count, number).skip(first))
        while True:
            with _told(name, "cannot be read"):
                row = next(each, None)
            if row is None:
                return
            yield dict(row)

    return tuple(f"hf://{name}, shard {n + 1} of {count}" for n in range(count)), read, classes


@contextmanager
def _told(name: str, unsound: str) -> Iterator[None]:
    """What the library raises; `unsound` is what a wrong value then says of the data set."""
    import datasets

    try:
        yield
    except RecipeError:
        raise
    except (OSError, datasets.exceptions.DatasetsError) as error:
        help = "connect to the network, or name local files with `train = ...`"
        raise fail("E047", f"`hf://{name}` cannot be reached", help=help, notes=_line(error)) from None
    except Exception as error:  # the library and those below it raise many kinds
        what = unsound if isinstance(error, ValueError) else "cannot be read"
        help = "name local files with `train = ...`"
        raise fail("E074", f"`hf://{name}` {what}", help=help, notes=_line(error)) from None


def _line(error: Exception) -> list[str]:
    lines = str(error).splitlines() or [type(error).__name__]
    return [line_of(lines[0])[:160]]
