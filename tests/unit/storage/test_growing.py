"""Arrays that grow, in memory and beyond it, and where no file can take them."""

import numpy as np
import pytest

from recipelang.storage import growing, pages
from recipelang.storage.growing import Growing
from recipelang.storage.pages import Pages


@pytest.mark.parametrize("most", [0, 16, 100, 1 << 20])
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.float32])
def test_values_come_back_in_their_order(most, dtype, monkeypatch):
    monkeypatch.setattr(growing, "MOST", most)
    made = Growing(dtype)
    for n in range(12):
        made.add(list(range(n)) if n % 2 else np.arange(n))
    made.one(7)
    found = made.array()
    assert found.dtype == dtype and made.size == len(found)
    assert found.tolist() == [i for n in range(12) for i in range(n)] + [7]


def test_nothing_is_an_empty_array():
    assert Growing(np.int32).array().tolist() == []


class Full:
    """A file on a disk that takes so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        done = self.file.write(data[: self.room])
        self.room -= done
        return done

    def __getattr__(self, name):
        return getattr(self.file, name)

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()


@pytest.mark.parametrize("room", [0, 1, 15, 16, 17, 40, 64, 100])
def test_where_the_disk_is_full_the_rest_stays_in_memory(room, monkeypatch):
    real = growing.tempfile.TemporaryFile
    monkeypatch.setattr(growing, "MOST", 15)
    monkeypatch.setattr(growing.tempfile, "TemporaryFile", lambda **how: Full(real(**how), room))
    made = Growing(np.int32)
    for n in range(30):
        made.add([n, -n])
    assert made.array().tolist() == [v for n in range(30) for v in (n, -n)]


def test_where_no_file_can_be_made_all_stays_in_memory(monkeypatch):
    def refused(**_):
        raise PermissionError(13, "no")

    monkeypatch.setattr(growing, "MOST", 15)
    monkeypatch.setattr(growing.tempfile, "TemporaryFile", refused)
    made = Growing(np.int32)
    for n in range(30):
        made.add([n])
    assert made.array().tolist() == list(range(30))


@pytest.mark.parametrize("most", [0, 10, 1 << 20])
@pytest.mark.parametrize("room", [None, 0, 7, 25])
def test_pages_come_back_whole(most, room, monkeypatch):
    real = pages.tempfile.TemporaryFile
    monkeypatch.setattr(pages, "MOST", most)
    if room is not None:
        monkeypatch.setattr(pages.tempfile, "TemporaryFile", lambda **how: Full(real(buffering=0), room))
    made, said = Pages(), [bytes([n]) * n for n in range(12)]
    for page in said:
        made.add(page)
    assert [made[n] for n in range(12)] == said
    assert [made[n] for n in reversed(range(12))] == said[::-1]
