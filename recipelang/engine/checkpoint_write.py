"""A checkpoint on its way to the disk, beside the steps that follow it.

Weights and states are copied first: into files, which the system writes to the disk when it will, or from a GPU into memory.
A thread then waits for the disk, makes the digests and names the folder: until then there is no checkpoint. With shards every
process writes what it holds, and the first one names the folder when it has heard of all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from recipelang import processes
from recipelang.engine.parts import KINDS, MANIFEST, POSITION, Files, Kind, file_name
from recipelang.storage.reading import mapped_sha256, sha256
from recipelang.storage.writing import new_folder, sync, write_text, writing

#: how long what is being written when a run fails may still take until it is whole, in seconds; and without a process
_PATIENCE, _BRIEFLY = 60.0, 1.0


class Writing:
    """`tensors`: what this process writes, on the host; `live`: they change with the next step, so that they are written now.

    `named`: called when the checkpoint is there. `wait` before the next one.
    """

    def __init__(
        self,
        path: Path,
        tensors: Mapping[Kind, dict[str, Tensor]],
        position: str,
        *,
        live: bool,
        sharded: bool,
        named: Callable[[], None],
    ) -> None:
        self.path, self.position, self.named = path, position, named
        self.tensors: Mapping[Kind, dict[str, Tensor]] = tensors
        self.part, self.of = (processes.rank(), processes.world()) if sharded else (0, 1)
        self.error: BaseException | None = None
        self.ready = threading.Event()  # this process has done its part
        self.stopped = threading.Event()
        with ExitStack() as stack:
            self.folder = path
            if processes.main():
                self.folder = stack.enter_context(new_folder(path, inside=path.parent.parent))
            if self.of > 1:
                self.folder = path.with_name(processes.first(self.folder.name))
            stack.enter_context(writing(path))
            if live:
                self._write()
            self.stack = stack.pop_all()
        self.thread = threading.Thread(target=self._run, name=f"checkpoint {path.name}")
        self.thread.start()

    @property
    def failed(self) -> bool:
        return self.error is not None

    def wait(self) -> None:
        """Until the checkpoint is there. Raises what went wrong, E088 when a process is gone."""
        if self.of > 1:
            self.ready.wait()
            if self.error is None:
                processes.wait()
        self.thread.join()
        if self.error is not None:
            raise self.error
        if self.of > 1:
            processes.wait()  # the first one has named it

    def leave(self, *, lost: bool) -> None:
        """The run has failed: what is whole soon is kept. `lost`: a process is gone, perhaps before its part was there."""
        self.thread.join(None if self.of == 1 else _BRIEFLY if lost else _PATIENCE)
        self.stopped.set()
        self.thread.join()

    def _run(self) -> None:
        try:
            with self.stack:
                self._finish()
            if processes.main():
                self.named()
        except BaseException as error:
            self.error = error
        finally:
            self.ready.set()

    def _write(self) -> None:
        for kind, tensors in self.tensors.items():
            save_file(tensors, self.folder / file_name(kind, self.part, self.of))
        self.tensors = {}

    def _finish(self) -> None:
        self._write()
        files = {kind: self.folder / file_name(kind, self.part, self.of) for kind in KINDS}
        for file in files.values():
            sync(file)
        with ThreadPoolExecutor() as pool:  # side by side: each takes longer than writing it has
            own = dict(zip(KINDS, pool.map(mapped_sha256, files.values()), strict=True))
        if not processes.main():
            processes.hand(self._key(self.part), " ".join(own.values()))
        self.ready.set()
        if not processes.main():
            return
        told = [processes.handed(self._key(n), self.stopped).split() for n in range(1, self.of)]
        others = [dict(zip(KINDS, digests, strict=True)) for digests in told]
        write_text(self.folder / POSITION, self.position, inside=self.folder)
        listed = Files.of(sha256(self.folder / POSITION), [own, *others])
        write_text(self.folder / MANIFEST, listed.model_dump_json(by_alias=True, indent=1), inside=self.folder)

    def _key(self, part: int) -> str:
        return f"checkpoint/{self.folder.name}/{part}"
