"""Reading ahead: a thread of its own reads the next blocks of a large file while others are converted.

The thread that hands blocks to the workers also gathers what comes back; with both to do it came late, and workers
waited for blocks for a twentieth of the time, from a bucket for longer. The first file is begun before the contract is
inferred, which leaves a core free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from lake_pipeline.convert.reading import read_blocks
from lake_pipeline.convert.records import Records
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.objects import ObjectStore

AHEAD = 1
"""Blocks that are read before they are asked for: more were no faster, and each may be a record of 32 MB."""


class ReadAhead:
    """The blocks of large files, one file after the other. To be used by one thread, and to be closed."""

    def __init__(self, store: ObjectStore, options: ConversionOptions) -> None:
        self._store = store
        self._options = options
        # One thread, so that the blocks of a file come in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._begun: dict[RawFile, _Blocks] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for blocks in self._begun.values():
            blocks.close()
        self._thread.shutdown()

    def begin(self, file: RawFile) -> None:
        """Have the first blocks of a file read already. What goes wrong is told by `blocks`."""
        self._begun[file] = _Blocks(read_blocks(self._store, file, self._options), self._thread)

    def blocks(self, file: RawFile) -> Generator[Records]:
        """The records of a file, block by block. Raises what `read_blocks` raises."""
        if file not in self._begun:
            self.begin(file)
        blocks = self._begun.pop(file)
        try:
            while (records := blocks.next()) is not None:
                yield records
        finally:
            blocks.close()


class _Blocks:
    def __init__(self, source: Generator[Records], thread: ThreadPoolExecutor) -> None:
        self._source = source
        self._thread = thread
        self._waiting: deque[Future[Records | None]] = deque()
        for _ in range(AHEAD):
            self._ask()

    def _ask(self) -> None:
        self._waiting.append(self._thread.submit(next, self._source, None))

    def next(self) -> Records | None:
        """The next block, None at the end."""
        records = self._waiting.popleft().result()
        self._ask()
        return records

    def close(self) -> None:
        for future in self._waiting:
            future.cancel()
        wait(self._waiting)
        self._source.close()
