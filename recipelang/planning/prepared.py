"""Model inputs that were prepared once: rows of tokens in an Arrow file of the cache folder, mapped into memory.

A note beside it (`planning.remembered`) holds the digest of the file, so that one that is cut short, damaged, or of
another note is not read but made again. The file holds one record: every array of the features as one list. What is
no array stands in the note. Which class of features it is, and of what types its fields are, the task says, not
the note.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from recipelang.planning.remembered import digest_of, note, note_of, recalled, trim
from recipelang.source import RecipeError
from recipelang.storage.forms import Count, Form, Hex, known
from recipelang.storage.growing import release
from recipelang.storage.reading import Unreadable, open_regular
from recipelang.storage.writing import make_folder, new_file
from recipelang.tasks import Features, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "features"
#: bytes of arrays below which features are made anew: that takes no longer than to look for them
LEAST = 2**18
#: bytes of all files
MOST = 20 * 2**30
_SLICE = 2**24  # bytes
_REFUSED: list[OSError | RecipeError] = []
#: the field of features that is loaded again instead
_TOKENIZER = "tokenizer"


class _Array(Form):
    type: Annotated[str, known("int8", "int32", "int64", "float32")]
    shape: tuple[Count, ...]


class _Kept(Form):
    form: str
    arrays: dict[str, _Array]
    told: dict[str, Any]
    sha256: Hex


_FORM = TypeAdapter(_Kept)


def recall(parts: Sequence[object], task: str, tokenizer: Callable[[], Any]) -> Features | None:
    """The features that were prepared of all `parts` that decide them, if they are there and as they were written."""
    kept = recalled(KIND, parts, _FORM)
    if kept is None:
        return None
    form = next((f for f in task_of(task).forms if f.__name__ == kept.form), None)
    if form is None:
        return None
    with suppress(Unreadable, OSError, ValueError, KeyError, ValidationError):
        return form(**_fields(form, kept, _mapped(_file(parts), kept), tokenizer))
    return None


def keep(parts: Sequence[object], task: str, features: Features, tokenizer: Callable[[], Any]) -> Features:
    """The features, mapped into memory from a file if one could be written, else as they are."""
    form = type(features)
    if not is_dataclass(features) or form not in task_of(task).forms:
        return features
    own = {f.name: getattr(features, f.name) for f in fields(features) if f.name != _TOKENIZER}
    arrays = {name: value for name, value in own.items() if isinstance(value, np.ndarray)}
    if sum(a.nbytes for a in arrays.values()) < LEAST:
        return features
    path = _file(parts)
    try:
        make_folder(path.parent)
        with new_file(path, inside=path.parent) as part:
            _write(part, arrays)
        with open_regular(path, inside=path.parent) as file:
            sha256 = digest_of(path, file)
        shapes = {name: _Array(type=str(a.dtype), shape=a.shape) for name, a in arrays.items()}
        told = {name: value for name, value in own.items() if name not in arrays}
        kept = _Kept(form=form.__name__, arrays=shapes, told=told, sha256=sha256)
        note(KIND, parts, kept.model_dump(mode="json"))
        trim(path, MOST)
        return recall(parts, task, tokenizer) or features
    except (OSError, RecipeError) as error:  # a cache that cannot be written only costs time
        _REFUSED.append(error)
        return features


def refusal() -> str:
    """Why inputs were not kept since this was asked last; empty where all were."""
    error = _REFUSED[-1] if _REFUSED else None
    _REFUSED.clear()
    if isinstance(error, RecipeError):
        return error.diagnostics[0].message
    return "" if error is None else (error.strerror or str(error)).lower()


def _file(parts: Sequence[object]) -> Path:
    return note_of(KIND, parts).with_suffix(".arrow")


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """One record, written from where the arrays lie."""
    import pyarrow

    lists = {name: _as_list(np.ascontiguousarray(array).reshape(-1)) for name, array in arrays.items()}
    batch = pyarrow.record_batch(list(lists.values()), names=list(lists))
    with pyarrow.OSFile(str(path), "wb") as whole:
        slices = pyarrow.PythonFile(_Slices(whole, arrays.values()), "w")
        with pyarrow.ipc.new_file(slices, batch.schema) as writer:
            writer.write_batch(batch)
        slices.flush()


class _Slices:
    """A file that is written a slice at a time, behind which the pages that it was copied from are given back."""

    def __init__(self, file: Any, arrays: Collection[np.ndarray]) -> None:
        self._file = file
        self._arrays = arrays
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        for first in range(0, len(view), _SLICE):
            self._file.write(view[first : first + _SLICE])
            if len(view) > _SLICE:
                release(self._arrays)
        return len(view)

    def tell(self) -> int:
        return int(self._file.tell())

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """The file is closed by whoever opened it."""


def _as_list(array: np.ndarray) -> Any:
    import pyarrow

    kind = pyarrow.from_numpy_dtype(array.dtype)
    values = pyarrow.Array.from_buffers(kind, len(array), [None, pyarrow.py_buffer(array)])
    return pyarrow.LargeListArray.from_arrays(pyarrow.array([0, len(array)], pyarrow.int64()), values)


def _mapped(path: Path, kept: _Kept) -> dict[str, np.ndarray]:
    """Views of the file. `ValueError` where it is not what the note says, as pyarrow's own errors are."""
    import pyarrow

    with open_regular(path, inside=path.parent) as file:
        if digest_of(path, file) != kept.sha256:
            raise ValueError("the file is not the one that the note is of")
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    batch = pyarrow.ipc.open_file(pyarrow.py_buffer(whole)).get_batch(0)
    batch.validate(full=True)
    found = {}
    for name, said in kept.arrays.items():
        if batch.num_rows != 1 or batch.column(name).type != pyarrow.large_list(pyarrow.from_numpy_dtype(said.type)):
            raise ValueError("the file has other arrays than the note")
        found[name] = batch.column(name).values.to_numpy(zero_copy_only=True).reshape(said.shape)
    return found


def _fields(form: type, kept: _Kept, arrays: dict[str, np.ndarray], tokenizer: Callable[[], Any]) -> dict[str, Any]:
    """What the class is made of, each field of the type that it declares."""
    found: dict[str, Any] = dict(arrays)
    hints = get_type_hints(form)
    for name in (f.name for f in fields(form) if f.name not in arrays):
        if name == _TOKENIZER:
            found[name] = tokenizer()
        elif _is_array(hints[name]):
            found[name] = TypeAdapter(None).validate_python(kept.told[name])
        else:
            found[name] = TypeAdapter(hints[name]).validate_json(json.dumps(kept.told[name]), strict=True)
    if strange := next((name for name in arrays if not _is_array(hints.get(name))), None):
        raise ValueError(f"`{strange}` is no array")
    return found


def _is_array(hint: Any) -> bool:
    return np.ndarray in (hint, *get_args(hint))
