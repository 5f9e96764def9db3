"""Prefetch: threads that read the next blocks of large files while others are converted.

The thread that hands blocks to the workers also gathers their results. If it had to read too, workers would wait for
blocks for a twentieth of the time. The first file is started before the contract is inferred, which leaves a core idle.
In a bucket the following files are started too: each request has its own latency, and one connection delivers less than
two cores convert.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from lake_pipeline.convert.input.reader import read_blocks
from lake_pipeline.convert.input.records import Records
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.object_store import ObjectStore

FILES_PER_WORKER = 2
"""Files of a bucket that are started early, for each worker. S3 delivers 50 to 90 MB/s per connection, with 20 to 100
ms to the first byte; a worker converts 120 MB/s. Measured with 50 ms and two workers, with samples read in parallel: 30
files of 6 MB in 1.7 s instead of 4.4."""

LONG_FILE_BYTES = 64 << 20
"""A larger file is started in its turn: the latency is small compared with its length, and an idle connection would be
closed meanwhile."""


class Prefetcher:
    """The blocks of large files, one file after the other. Use it from one thread, and close it.

    One block of each started file is read early: more were not faster, and each may be a record of 32 MB.
    """

    def __init__(self, store: ObjectStore, options: ConversionOptions) -> None:
        self._store = store
        self._options = options
        self._max_started = FILES_PER_WORKER * options.workers if isinstance(store.location, S3Location) else 0
        self._threads = ThreadPoolExecutor(max(self._max_started, 1), thread_name_prefix="read")
        self._started: dict[RawFile, _Blocks] = {}
        self._expected: deque[RawFile] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for blocks in self._started.values():
            blocks.close()
        self._threads.shutdown()

    def expect(self, files: Iterable[RawFile]) -> None:
        """Announce the files in the order in which `blocks` will be called. The first is started now; `blocks` raises
        its errors.
        """
        self._expected = deque(file for file in files if file not in self._started)
        if not self._started and self._expected:
            self._start(self._expected.popleft())
        self._start_more()

    def blocks(self, file: RawFile) -> Generator[Records]:
        """The records of a file, block by block. Raises what `read_blocks` raises."""
        if file not in self._started:
            if self._expected and self._expected[0] == file:
                self._expected.popleft()
            self._start(file)
        blocks = self._started.pop(file)
        self._start_more()
        try:
            while (records := blocks.next()) is not None:
                yield records
        finally:
            blocks.close()

    def _start_more(self) -> None:
        while len(self._started) < self._max_started and self._expected and self._expected[0].size <= LONG_FILE_BYTES:
            self._start(self._expected.popleft())

    def _start(self, file: RawFile) -> None:
        self._started[file] = _Blocks(read_blocks(self._store, file, self._options), self._threads)


class _Blocks:
    """The blocks of one file. The next is requested when one is taken, so they come in order from any thread."""

    def __init__(self, source: Generator[Records], threads: ThreadPoolExecutor) -> None:
        self._source = source
        self._threads = threads
        self._waiting = self._request_next()

    def _request_next(self) -> Future[Records | None]:
        return self._threads.submit(next, self._source, None)

    def next(self) -> Records | None:
        """The next block; None at the end."""
        records = self._waiting.result()
        self._waiting = self._request_next()
        return records

    def close(self) -> None:
        self._waiting.cancel()
        wait([self._waiting])
        self._source.close()
