"""One pass over the files of a batch: packs of small files in threads, large files as streams, one manifest.

`convert` chooses the contract to start from and repeats the pass if a column became wider.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.block_values import ConvertedBlock, Counts, Segment
from lake_pipeline.convert.input.prefetch import Prefetcher
from lake_pipeline.convert.input.reader import Plan, error_outcome, read_small
from lake_pipeline.convert.kernel.blocks import BlockConverter
from lake_pipeline.convert.kernel.file_outcome import abandoned_outcome, completed_outcome, is_abandoned
from lake_pipeline.convert.kernel.large_file import HeldRows, LargeFile
from lake_pipeline.convert.output.writer import Output, object_names
from lake_pipeline.convert.parse.tolerant import EvolvingContract
from lake_pipeline.convert.request import ConversionRequest, Progress
from lake_pipeline.errors import EngineUnavailable, LakeError
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import CuratedPart, FileOutcome, Manifest, Outcome, QuarantinePart
from lake_pipeline.storage.object_store import ObjectStore, Readable
from lake_pipeline.storage.outage_watch import OutageWatch
from lake_pipeline.storage.prefetch import prefetched

BLOCK_TEXT = 8 << 20
"""Small files are converted together until their text reaches this many bytes."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(kw_only=True)
class _ConvertedPack:
    """The result of a pack: blocks to gather, files with an outcome, and files that must be streamed instead."""

    blocks: list[ConvertedBlock] = field(default_factory=list)
    outcomes: list[FileOutcome] = field(default_factory=list)
    oversized: list[RawFile] = field(default_factory=list)


class BatchConversion:
    def __init__(
        self,
        store: ObjectStore,
        request: ConversionRequest,
        contract: EvolvingContract,
        reader: Prefetcher,
        watch: OutageWatch,
        pool: ThreadPoolExecutor,
        finishers: ThreadPoolExecutor,
        on_progress: Progress | None,
    ) -> None:
        self._store = store
        self._request = request
        self._reader = reader
        self._watch = watch
        self._pool = pool
        self._finishers = finishers
        self._on_progress = on_progress
        self._contract = contract
        self.evidence = Evidence()
        self._blocks = BlockConverter(request.batch_id, contract, request.options)
        self._names = object_names(request.shard)
        self._outputs: list[Output] = []
        self._common = self._new_output()
        self._outcomes: dict[int, FileOutcome] = {}
        self._done_bytes = 0

    def run(self, planned: Plan) -> Manifest:
        curated: list[CuratedPart] = []
        quarantine: list[QuarantinePart] = []
        for files in (planned.large, self._convert_packs(planned.packs)):
            for own in self._convert_large(files):
                _extend(curated, quarantine, own)
        _extend(curated, quarantine, self._common)
        outcomes = tuple(self._outcomes[file.file_id] for file in self._request.files)
        return Manifest(curated=tuple(curated), quarantine=tuple(quarantine), files=outcomes)

    def discard(self) -> None:
        for output in self._outputs:
            output.discard()

    def _new_output(self) -> Output:
        request, pools = self._request, (self._pool, self._finishers)
        output = Output(self._store, request.batch_id, self._contract, request.options, *pools, self._names)
        self._outputs.append(output)
        return output

    def _convert_packs(self, packs: Iterable[tuple[RawFile, ...]]) -> list[RawFile]:
        """Convert all packs into the common parts; return the files that turned out to be large."""
        oversized: list[RawFile] = []
        for pack, converted in self._ordered(self._convert_pack, packs):
            for outcome in converted.outcomes:
                self._outcomes[outcome.file_id] = outcome
            for block in converted.blocks:
                for file_id, counts in block.counts.items():
                    self._outcomes[file_id] = self._completed_outcome(file_id, counts)
                # A file of which nothing is published is kept whole, so that its records are not in quarantine too.
                self._common.add(
                    block.rows, [record for record in block.quarantined if self._is_converted(record.file)]
                )
                self.evidence.add(block.evidence)
            oversized += converted.oversized
            self._progressed(sum(file.size for file in pack))
        return oversized

    def _convert_pack(self, pack: tuple[RawFile, ...]) -> _ConvertedPack:
        converted = _ConvertedPack()
        gathered: list[Segment] = []
        size = 0
        source = prefetched(self._store, pack, self._watch)
        for file in pack:
            segments = self._read(source, file, converted)
            gathered += segments
            size += sum(len(segment.records.lines) for segment in segments)
            if size >= BLOCK_TEXT:
                self._convert_block(gathered, converted)
                gathered, size = [], 0
        if gathered:
            self._convert_block(gathered, converted)
        return converted

    def _read(self, source: Readable, file: RawFile, converted: _ConvertedPack) -> list[Segment]:
        """The segments of a small file; none if it has an outcome already or must be streamed."""
        try:
            records = read_small(source, file, self._request.options)
        except LakeError as error:
            self._watch.failed(file, error)
            converted.outcomes.append(error_outcome(error, file))
            return []
        self._watch.succeeded()
        if records is None:
            converted.oversized.append(file)
            return []
        if not records:
            converted.outcomes.append(self._completed_outcome(file.file_id, Counts()))
        first = 0
        segments = []
        for block in records:
            segments.append(Segment(file=file, records=block, first=first))
            first += block.count
        return segments

    def _convert_block(self, segments: list[Segment], converted: _ConvertedPack) -> None:
        """Convert whole small files together. If that fails, convert one by one, so that only the culprit fails."""
        try:
            converted.blocks.append(self._blocks.convert(segments, whole_files=True))
        except EngineUnavailable:
            raise
        except Exception as error:
            files = {segment.file.file_id: segment.file for segment in segments}
            if len(files) == 1:
                converted.outcomes.append(error_outcome(error, segments[0].file))
                return
            for file_id in files:
                self._convert_block([part for part in segments if part.file.file_id == file_id], converted)

    def _convert_large(self, files: Iterable[RawFile]) -> Iterator[Output]:
        """Stream files; the next one starts while the last blocks of one are converted, so that workers are never idle.
        Yields the outputs of files that have their own.
        """
        for (large, segment), result in self._ordered(self._convert_step, self._steps(files)):
            if segment is None:
                own = self._finish_large(large)
                if own is not None:
                    yield own
            elif isinstance(result, Exception):
                large.fail(result)
            elif result is not None:
                large.add(result)

    def _steps(self, files: Iterable[RawFile]) -> Iterator[tuple[LargeFile, Segment | None]]:
        """The segments of each file, and then None: it is read to its end, or reading stopped early."""
        for file in files:
            large = LargeFile(file=file, held=HeldRows(self._new_output))
            try:
                for segment in self._segments(file):
                    if large.is_over:
                        break
                    yield large, segment
            except Exception as error:
                large.fail(error)
            yield large, None

    def _convert_step(self, step: tuple[LargeFile, Segment | None]) -> ConvertedBlock | Exception | None:
        """The result of a segment. An error is a result too: it ends its file, but not the following ones."""
        large, segment = step
        if segment is None or large.is_over:
            return None
        try:
            return self._blocks.convert([segment], whole_files=False)
        except EngineUnavailable:
            raise
        except Exception as error:
            return error

    def _finish_large(self, large: LargeFile) -> Output | None:
        """Record the outcome of a file. Returns its own output; None if it was refused or its rows joined the common
        output.
        """
        outcome = self._outcomes[large.file.file_id] = self._large_outcome(large)
        self._progressed(large.file.size)
        if outcome.outcome is not Outcome.CONVERTED:
            large.held.discard()
            return None
        self.evidence.add(large.evidence)
        return large.held.release(self._common)

    def _large_outcome(self, large: LargeFile) -> FileOutcome:
        if large.error is not None:
            self._watch.failed(large.file, large.error)
            return error_outcome(large.error, large.file)
        if is_abandoned(large.counts):
            return abandoned_outcome(large.file.file_id, large.counts)
        return self._completed_outcome(large.file.file_id, large.counts)

    def _segments(self, file: RawFile) -> Iterator[Segment]:
        first = 0
        self._watch.check()
        for records in self._reader.blocks(file):
            self._watch.succeeded()
            yield Segment(file=file, records=records, first=first)
            first += records.count

    def _completed_outcome(self, file_id: int, counts: Counts) -> FileOutcome:
        return completed_outcome(file_id, counts, self._request.options.max_bad_share)

    def _is_converted(self, file: RawFile) -> bool:
        return self._outcomes[file.file_id].outcome is Outcome.CONVERTED

    def _progressed(self, size: int) -> None:
        self._done_bytes += size
        if self._on_progress:
            self._on_progress(len(self._outcomes), self._done_bytes)

    def _ordered(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Results in the order of `items`, which are taken only slightly faster than workers finish them."""
        window = self._request.options.workers + 1
        running: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            running.append((item, self._pool.submit(function, item)))
            if len(running) > window:
                done, future = running.popleft()
                yield done, future.result()
        while running:
            done, future = running.popleft()
            yield done, future.result()


def _extend(curated: list[CuratedPart], quarantine: list[QuarantinePart], output: Output) -> None:
    parts, records = output.finish()
    curated += parts
    quarantine += records
