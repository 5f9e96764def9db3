"""Reading ahead: threads of their own read the next blocks of large files while others are converted.

The thread that hands blocks to the workers also gathers what comes back; with both to do it came late, and workers
waited for blocks for a twentieth of the time. The first file is begun before the contract is inferred, which leaves a
core free. In a bucket the files behind it are begun too: each is waited for by itself, and one connection brings less
than two cores convert.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from lake_pipeline.convert.reading import read_blocks
from lake_pipeline.convert.records import Records
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import S3Place

FILES_AHEAD = 2
"""Files of a bucket that are begun before they are asked for, for each worker: S3 gives 50 to 90 MB a second to one
connection and lets the first byte wait for 20 to 100 ms; a worker converts 120 MB a second. Measured with 50 ms and two
workers: 30 files of 6 MB in 1.7 s instead of 4.4, with the samples side by side too."""

LONG_BYTES = 64 << 20
"""A file above this is begun when it is its turn: the wait is nothing beside its length, and a connection that nobody
reads from meanwhile would be closed."""


class ReadAhead:
    """The blocks of large files, one file after the other. To be used by one thread, and to be closed.

    Of each file that is begun one block is read before it is asked for: more were no faster, and each may be a record
    of 32 MB.
    """

    def __init__(self, store: ObjectStore, options: ConversionOptions) -> None:
        self._store = store
        self._options = options
        self._most = FILES_AHEAD * options.workers if isinstance(store.place, S3Place) else 0
        self._threads = ThreadPoolExecutor(max(self._most, 1), thread_name_prefix="read")
        self._begun: dict[RawFile, _Blocks] = {}
        self._coming: deque[RawFile] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for blocks in self._begun.values():
            blocks.close()
        self._threads.shutdown()

    def expect(self, files: Iterable[RawFile]) -> None:
        """Files that will be asked for, in this order. The first is begun now; what goes wrong is told by `blocks`."""
        self._coming = deque(file for file in files if file not in self._begun)
        if not self._begun and self._coming:
            self._begin(self._coming.popleft())
        self._begin_more()

    def blocks(self, file: RawFile) -> Generator[Records]:
        """The records of a file, block by block. Raises what `read_blocks` raises."""
        if file not in self._begun:
            if self._coming and self._coming[0] == file:
                self._coming.popleft()
            self._begin(file)
        blocks = self._begun.pop(file)
        self._begin_more()
        try:
            while (records := blocks.next()) is not None:
                yield records
        finally:
            blocks.close()

    def _begin_more(self) -> None:
        while len(self._begun) < self._most and self._coming and self._coming[0].size <= LONG_BYTES:
            self._begin(self._coming.popleft())

    def _begin(self, file: RawFile) -> None:
        self._begun[file] = _Blocks(read_blocks(self._store, file, self._options), self._threads)


class _Blocks:
    """The blocks of one file. The next is asked for when one is taken, so they come in order from any thread."""

    def __init__(self, source: Generator[Records], threads: ThreadPoolExecutor) -> None:
        self._source = source
        self._threads = threads
        self._waiting = self._ask()

    def _ask(self) -> Future[Records | None]:
        return self._threads.submit(next, self._source, None)

    def next(self) -> Records | None:
        """The next block, None at the end."""
        records = self._waiting.result()
        self._waiting = self._ask()
        return records

    def close(self) -> None:
        self._waiting.cancel()
        wait([self._waiting])
        self._source.close()
