"""The kernel: a batch of raw files to pending Parquet parts, with the account of every record.

    small files → packs → blocks ┐
                                 ├→ parse, place, flatten (threads) → gather by partition → Parquet
    large file  →  its blocks    ┘

Files share parts, and each is accepted or refused as a whole before its rows join. Rows of a large file are held
until its end; where they are too many for that, they are streamed into parts of the file's own, which are thrown
away when it turns out to be refused.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.inference import infer
from lake_pipeline.convert.ahead import ReadAhead
from lake_pipeline.convert.blocks import BlockConverter, Piece, Segment
from lake_pipeline.convert.deciding import Counts, decided, given_up, is_hopeless
from lake_pipeline.convert.growing import GrowingContract
from lake_pipeline.convert.memory import give_back
from lake_pipeline.convert.output import Output, finishing, object_names
from lake_pipeline.convert.reading import Plan, outcome_of, plan, read_small, sample
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import LakeError
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import CuratedPart, FileOutcome, Manifest, Outcome, QuarantinePart
from lake_pipeline.storage.fetching import fetched
from lake_pipeline.storage.objects import ObjectStore, Readable

BLOCK_TEXT = 8 << 20
"""Small files are converted together until their text reaches this many bytes."""

HELD_BYTES = 96 << 20
"""Rows of one large file held in memory until it is known whether it is accepted."""

COLLECTED = 50_000
"""New objects after which Python looks for cycles; without being told, it does after 700."""

T = TypeVar("T")
R = TypeVar("R")


def convert(store: ObjectStore, request: ConversionRequest, on_progress: Progress | None = None) -> ConversionReport:
    """Convert every file of the request; see `Engine.convert` for what is promised and raised."""
    started = time.monotonic()
    manifest = None
    try:
        with _collecting_seldom(), ReadAhead(store, request.options) as reader:
            planned = plan(request.files)
            reader.expect(planned.large)
            contract = GrowingContract(first_contract(store, request), request.widens_from)
            while manifest is None:
                manifest, evidence = _convert_once(store, request, planned, contract, reader, on_progress)
    finally:
        give_back()
    return ConversionReport(
        manifest=manifest,
        contract=contract.current,
        bytes_read=sum(file.size for file in request.files),
        seconds=time.monotonic() - started,
        evidence=evidence,
    )


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """There are many objects here and no cycles of them: to look for some halts all threads, for 3 % of the time."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], COLLECTED), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def first_contract(store: ObjectStore, request: ConversionRequest) -> Contract:
    """The contract to begin with: the one in force, or one inferred from a sample, under the rules as they are now."""
    rules = request.options.rules
    if request.contract is not None:
        return request.contract.under(rules)
    return Contract(rules=rules).grown(infer(sample(store, request.files, request.options), rules))


def _convert_once(
    store: ObjectStore,
    request: ConversionRequest,
    planned: Plan,
    contract: GrowingContract,
    reader: ReadAhead,
    on_progress: Progress | None,
) -> tuple[Manifest | None, Evidence]:
    """No manifest where a column became wider on the way: the rows before it have the narrower type."""
    before = contract.widenings
    with (
        ThreadPoolExecutor(request.options.workers, thread_name_prefix="convert") as pool,
        finishing() as finishers,
    ):
        reader.expect(planned.large)
        conversion = _Conversion(store, request, contract, reader, pool, finishers, on_progress)
        try:
            manifest = conversion.run(planned)
        except BaseException:
            conversion.discard()
            raise
    if contract.widenings != before:
        conversion.discard()
        return None, Evidence()
    conversion.evidence.wishes.update(contract.wishes)
    return manifest, conversion.evidence


@dataclass(kw_only=True)
class _Converted:
    """What a pack gave: pieces to gather, files already settled, and files that must be streamed instead."""

    pieces: list[Piece] = field(default_factory=list)
    outcomes: list[FileOutcome] = field(default_factory=list)
    oversized: list[RawFile] = field(default_factory=list)


class _Conversion:
    def __init__(
        self,
        store: ObjectStore,
        request: ConversionRequest,
        contract: GrowingContract,
        reader: ReadAhead,
        pool: ThreadPoolExecutor,
        finishers: ThreadPoolExecutor,
        on_progress: Progress | None,
    ) -> None:
        self._store = store
        self._request = request
        self._reader = reader
        self._pool = pool
        self._finishers = finishers
        self._on_progress = on_progress
        self._contract = contract
        self.evidence = Evidence()
        self._blocks = BlockConverter(request.batch_id, contract, request.options)
        self._names = object_names(request.share)
        self._outputs: list[Output] = []
        self._shared = self._new_output()
        self._outcomes: dict[int, FileOutcome] = {}
        self._done_bytes = 0

    def run(self, planned: Plan) -> Manifest:
        curated: list[CuratedPart] = []
        quarantine: list[QuarantinePart] = []
        for files in (planned.large, self._convert_packs(planned.packs)):
            for own in self._convert_large(files):
                _extend(curated, quarantine, own)
        _extend(curated, quarantine, self._shared)
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
        """Convert all packs into the shared parts; returns the files that turned out to be large."""
        oversized: list[RawFile] = []
        for pack, converted in self._ordered(self._convert_pack, packs):
            for outcome in converted.outcomes:
                self._outcomes[outcome.file_id] = outcome
            for piece in converted.pieces:
                self._shared.add(piece.rows, piece.quarantined)
                self.evidence.add(piece.evidence)
                for file_id, counts in piece.counts.items():
                    self._outcomes[file_id] = self._outcome(file_id, counts)
            oversized += converted.oversized
            self._progressed(sum(file.size for file in pack))
        return oversized

    def _convert_pack(self, pack: tuple[RawFile, ...]) -> _Converted:
        converted = _Converted()
        gathered: list[Segment] = []
        size = 0
        source = fetched(self._store, pack)
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

    def _read(self, source: Readable, file: RawFile, converted: _Converted) -> list[Segment]:
        """The segments of a small file; none where it is settled or set aside."""
        try:
            records = read_small(source, file, self._request.options)
        except LakeError as error:
            converted.outcomes.append(outcome_of(error, file))
            return []
        if records is None:
            converted.oversized.append(file)
            return []
        if not records:
            converted.outcomes.append(self._outcome(file.file_id, Counts()))
        first = 0
        segments = []
        for block in records:
            segments.append(Segment(file=file, records=block, first=first))
            first += block.count
        return segments

    def _convert_block(self, segments: list[Segment], converted: _Converted) -> None:
        """Convert whole small files together; where that fails, one by one, so that only the culprit fails."""
        try:
            converted.pieces.append(self._blocks.convert(segments, whole_files=True))
        except Exception as error:
            files = {segment.file.file_id: segment.file for segment in segments}
            if len(files) == 1:
                converted.outcomes.append(outcome_of(error, segments[0].file))
                return
            for file_id in files:
                self._convert_block([part for part in segments if part.file.file_id == file_id], converted)

    def _convert_large(self, files: Iterable[RawFile]) -> Iterator[Output]:
        """Stream files, the next one already while the last blocks of one are converted: else every file's end would
        find the workers idle. Gives the outputs of those that have one of their own."""
        for (stream, segment), result in self._ordered(self._convert_step, self._steps(files)):
            if segment is None:
                own = self._settle(stream)
                if own is not None:
                    yield own
            elif isinstance(result, Exception):
                stream.fail(result)
            elif result is not None:
                stream.add(result)

    def _steps(self, files: Iterable[RawFile]) -> Iterator[tuple[_Stream, Segment | None]]:
        """The segments of each file, and then None: it is read to its end, or nobody wants to know more of it."""
        for file in files:
            stream = _Stream(file=file, held=_Held(self._new_output))
            try:
                for segment in self._segments(file):
                    if stream.is_over:
                        break
                    yield stream, segment
            except Exception as error:
                stream.fail(error)
            yield stream, None

    def _convert_step(self, step: tuple[_Stream, Segment | None]) -> Piece | Exception | None:
        """What became of a segment. An error is a result too: it ends its file, and not the files behind it."""
        stream, segment = step
        if segment is None or stream.is_over:
            return None
        try:
            return self._blocks.convert([segment], whole_files=False)
        except Exception as error:
            return error

    def _settle(self, stream: _Stream) -> Output | None:
        """Decide about a file; returns its own output, or None where its rows joined the shared one or were refused."""
        outcome = self._outcomes[stream.file.file_id] = self._outcome_of(stream)
        self._progressed(stream.file.size)
        if outcome.outcome is not Outcome.CONVERTED:
            stream.held.discard()
            return None
        self.evidence.add(stream.evidence)
        return stream.held.release(self._shared)

    def _outcome_of(self, stream: _Stream) -> FileOutcome:
        if stream.error is not None:
            return outcome_of(stream.error, stream.file)
        if is_hopeless(stream.counts):
            return given_up(stream.file.file_id, stream.counts)
        return self._outcome(stream.file.file_id, stream.counts)

    def _segments(self, file: RawFile) -> Iterator[Segment]:
        first = 0
        for records in self._reader.blocks(file):
            yield Segment(file=file, records=records, first=first)
            first += records.count

    def _outcome(self, file_id: int, counts: Counts) -> FileOutcome:
        return decided(file_id, counts, self._request.options.max_bad_share)

    def _progressed(self, size: int) -> None:
        self._done_bytes += size
        if self._on_progress:
            self._on_progress(len(self._outcomes), self._done_bytes)

    def _ordered(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Results in the order of `items`, which are taken only a little ahead of the workers."""
        window = self._request.options.workers + 1
        waiting: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            waiting.append((item, self._pool.submit(function, item)))
            if len(waiting) > window:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()


@dataclass(kw_only=True)
class _Stream:
    """A large file on its way: what its blocks gave so far, and the error that ended it."""

    file: RawFile
    held: _Held
    counts: Counts = field(default_factory=Counts)
    evidence: Evidence = field(default_factory=Evidence)
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of what is still to come can change what becomes of the file."""
        return self.error is not None or is_hopeless(self.counts)

    def add(self, piece: Piece) -> None:
        if self.is_over:
            return
        try:
            self.held.add(piece)
        except Exception as error:
            self.fail(error)
        self.counts.add(piece.counts[self.file.file_id])
        self.evidence.add(piece.evidence)

    def fail(self, error: Exception) -> None:
        """The first error is the one that is told."""
        self.error = self.error or error


class _Held:
    """The pieces of one large file, in memory at first, in parts of its own when they get too many."""

    def __init__(self, new_output: Callable[[], Output]) -> None:
        self._new_output = new_output
        self._pieces: list[Piece] = []
        self._size = 0
        self._own: Output | None = None

    def add(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._size += sum(placed.size for placed in piece.rows) + sum(record.size for record in piece.quarantined)
        if self._own is None and self._size > HELD_BYTES:
            self._own = self._new_output()
        if self._own is not None:
            self._drain(self._own)

    def release(self, shared: Output) -> Output | None:
        """Give the rows away: to `shared`, unless there are parts of the file's own, which are returned."""
        self._drain(self._own or shared)
        return self._own

    def discard(self) -> None:
        self._pieces = []
        if self._own is not None:
            self._own.discard()

    def _drain(self, output: Output) -> None:
        for piece in self._pieces:
            output.add(piece.rows, piece.quarantined)
        self._pieces = []


def _extend(curated: list[CuratedPart], quarantine: list[QuarantinePart], output: Output) -> None:
    parts, records = output.finish()
    curated += parts
    quarantine += records
