"""Convert one batch with many workers: split it into shards, have them converted, and merge their reports into one.

    count the records of large files → convert every shard → merge contracts → convert shards that don't fit it again
                                                                   ↓
                                         accept or refuse each file → one manifest

Workers know nothing of each other. If several of them read a file, it is accepted or refused here. If their contracts
differ, shards whose parts don't fit the merged contract are converted again with it. No row passes through here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Protocol

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.paths import show_path
from lake_pipeline.contract.widening import wider
from lake_pipeline.convert.block_values import Counts
from lake_pipeline.convert.kernel.convert import first_contract
from lake_pipeline.convert.kernel.file_outcome import ABANDON_RECORDS, completed_outcome
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.engines.sharding.shards import (
    SPLIT_FACTOR,
    ByteRange,
    Shard,
    number_shards,
    pack_files,
    split_ranges,
)
from lake_pipeline.engines.sharding.worker import ShardReport, check_root, convert_shard, count_records
from lake_pipeline.engines.wire import error_from_json, error_to_json
from lake_pipeline.errors import ContractMoved, LakeError
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import CuratedPart, FileOutcome, Manifest, Outcome, PendingObject, QuarantinePart
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.outage_watch import OutageWatch

log = logging.getLogger(__name__)

ShardTask = Callable[[ObjectStore, ConversionRequest, Shard], Any]
"""The work of a worker on one shard; the result is JSON."""


class ShardRunner(Protocol):
    """Runs a task on many workers."""

    def __call__(
        self,
        task: ShardTask,
        request: ConversionRequest,
        shards: Sequence[Shard],
        *,
        activity: str,
        on_progress: Progress | None = None,
    ) -> list[Any]:
        """The results of `task` for each shard, in their order. The shards of a worker that dies are run again.

        A worker that can't open the store returns an object with `error`. `activity` names the work in the log. Raises
        `TransientError`.
        """
        ...


def convert_sharded(
    store: ObjectStore,
    request: ConversionRequest,
    run_shards: ShardRunner,
    *,
    shard_bytes: int,
    on_progress: Progress | None = None,
) -> ConversionReport:
    """Convert the files of `request` in shards of about `shard_bytes`; see `Engine.convert`.

    `store` is the same store as the workers': samples are read and pending objects aborted here.
    """
    started = time.monotonic()
    contract = first_contract(store, request, OutageWatch())
    conversion = _ShardedConversion(store, replace(request, files=(), contract=contract), run_shards, on_progress)
    manifest, evidence = conversion.run(request.files, shard_bytes)
    return ConversionReport(
        manifest=manifest,
        contract=conversion.contract,
        bytes_read=sum(file.size for file in request.files),
        seconds=time.monotonic() - started,
        evidence=evidence,
    )


class _ShardedConversion:
    def __init__(
        self, store: ObjectStore, request: ConversionRequest, run_shards: ShardRunner, on_progress: Progress | None
    ) -> None:
        assert request.contract is not None
        self.contract = request.contract
        self._store = store
        self._request = request
        self._run_shards = run_shards
        self._on_progress = on_progress
        self._rounds = 0
        self._shards: dict[int, Shard] = {}
        self._reports: dict[int, ShardReport] = {}
        self._first = self.contract
        self._kept = request.kept
        self._widened: set[str] = set()

    def run(self, files: Sequence[RawFile], shard_bytes: int) -> tuple[Manifest, Evidence]:
        ranges = self._ranges(files, shard_bytes)
        in_ranges = {file.file_id for file, _ in ranges}
        groups = pack_files((file for file in files if file.file_id not in in_ranges), shard_bytes)
        try:
            self._convert(number_shards(ranges, groups))
            self._read_whole(self._abandoned())
            outcomes = self._outcomes()
        except BaseException:
            self._abort(self._reports.values())
            raise
        return self._merged([outcomes[file.file_id] for file in files])

    def _ranges(self, files: Sequence[RawFile], shard_bytes: int) -> list[tuple[RawFile, ByteRange]]:
        """The ranges of all files that are large and can be split, each with the index of its first record.

        Counting the records reads these files once more.
        """
        split = [file for file in files if file.size > shard_bytes * SPLIT_FACTOR]
        large = [(file, span) for file in split for span in split_ranges(file, shard_bytes)]
        if not large:
            return []
        counted = self._run_shards(_count, self._request, number_shards(large, ()), activity="counting records")
        for answer in counted:
            if isinstance(answer, dict):
                raise error_from_json(answer["error"])
        return [
            (file, replace(span, first=first))
            for file, ranges in groupby(zip(large, counted, strict=True), key=lambda counted_range: counted_range[0][0])
            for (_, span), first in _first_records(list(ranges))
        ]

    def _convert(self, shards: Sequence[Shard]) -> None:
        """Convert shards until the parts of all remaining reports fit one contract."""
        self._shards.update((shard.number, shard) for shard in shards)
        while shards:
            request = replace(
                self._request, contract=self.contract, kept=self._kept, shard=f"-{self._rounds}" if self._rounds else ""
            )
            self._rounds += 1
            answers = self._run_shards(_convert, request, shards, activity="converting", on_progress=self._on_progress)
            reports = [ShardReport.from_json(answer["report"]) for answer in answers if "report" in answer]
            self._reports.update((report.shard, report) for report in reports)
            for answer in answers:
                if "error" in answer:
                    raise error_from_json(answer["error"])
            self.contract = _union(self.contract, self._ordered())
            self._note_widened()
            outdated = [report for report in self._ordered() if not _fits(report.contract, self.contract)]
            if self._take_back(outdated):
                outdated = self._ordered()
            if outdated:
                log.info(
                    "%d of %d shards are converted again with the merged contract", len(outdated), len(self._shards)
                )
            self._discard(outdated)
            shards = [self._shards[report.shard] for report in outdated]

    def _note_widened(self) -> None:
        """Record which columns have a wider type in the union than in the first contract, or in that of some shard."""
        contracts = [self._first, *(report.contract for report in self._ordered())]
        narrow = [column.path for contract in contracts for column in contract.narrower_than(self.contract)]
        self._widened.update(map(show_path, narrow))

    def _take_back(self, outdated: list[ShardReport]) -> bool:
        """Take back the widenings that took integers out of their columns; see `EvolvingContract.take_back`."""
        current = [report for report in self._ordered() if report not in outdated]
        lossy = {path for report in current for path in report.evidence.integers_outside(self._widened)}
        if lossy:
            self._kept |= lossy
            self._widened.clear()
            self.contract = self._first
        return bool(lossy)

    def _ordered(self) -> list[ShardReport]:
        return [self._reports[number] for number in sorted(self._reports)]

    def _abandoned(self) -> list[RawFile]:
        """Files read in ranges that a single reader would have abandoned."""
        return [file for file, reports in self._by_file() if _lead(reports) >= ABANDON_RECORDS]

    def _read_whole(self, files: Sequence[RawFile]) -> None:
        """Let one worker read each of these files, and replace the reports of its ranges."""
        for file, reports in self._by_file():
            if file in files:
                self._discard(reports)
                for report in reports:
                    del self._shards[report.shard]
        first = max(self._shards, default=-1) + 1 + len(files)
        self._convert([Shard(number=first + number, files=(file,)) for number, file in enumerate(files)])

    def _by_file(self) -> list[tuple[RawFile, list[ShardReport]]]:
        """The files that were read in ranges, with the reports of their ranges in order."""
        of_ranges = [report for report in self._ordered() if self._shards[report.shard].range is not None]
        return [
            (file, list(reports))
            for file, reports in groupby(of_ranges, key=lambda report: self._shards[report.shard].files[0])
        ]

    def _outcomes(self) -> dict[int, FileOutcome]:
        """The outcome of each file; the objects of refused files are aborted."""
        outcomes = {outcome.file_id: outcome for report in self._ordered() for outcome in report.manifest.files}
        for file, reports in self._by_file():
            outcome = self._outcome(file, reports)
            outcomes[file.file_id] = outcome
            if outcome.outcome is not Outcome.CONVERTED:
                self._discard(reports)
        return outcomes

    def _outcome(self, file: RawFile, reports: Sequence[ShardReport]) -> FileOutcome:
        counts = Counts()
        for report in reports:
            if report.failed:
                return report.failed
            if report.counts:
                counts.add(report.counts)
        return completed_outcome(file.file_id, counts, self._request.options.max_bad_share)

    def _merged(self, outcomes: list[FileOutcome]) -> tuple[Manifest, Evidence]:
        curated: list[CuratedPart] = []
        quarantine: list[QuarantinePart] = []
        evidence = Evidence()
        for report in self._ordered():
            curated += report.manifest.curated
            quarantine += report.manifest.quarantine
            _add(evidence, report.evidence)
        return Manifest(curated=tuple(curated), quarantine=tuple(quarantine), files=tuple(outcomes)), evidence

    def _discard(self, reports: Iterable[ShardReport]) -> None:
        reports = list(reports)
        self._abort(reports)
        for report in reports:
            del self._reports[report.shard]

    def _abort(self, reports: Iterable[ShardReport]) -> None:
        for pending in [pending for report in reports for pending in report.manifest.objects]:
            _abort(self._store, pending)


def _abort(store: ObjectStore, pending: PendingObject) -> None:
    try:
        store.abort(pending)
    except LakeError as error:
        # Litter, not a loss: no reader sees it, and the next sweep removes it.
        log.warning("%s could not be aborted: %s", pending.key, error)


def _count(store: ObjectStore, request: ConversionRequest, shard: Shard) -> int | None:
    return count_records(store, request, shard)


def _convert(store: ObjectStore, request: ConversionRequest, shard: Shard) -> dict[str, Any]:
    """The ledger decides about retries, so an error is a result too."""
    try:
        check_root(store, request)
        return {"report": convert_shard(store, request, shard).to_json()}
    except LakeError as error:
        return {"error": error_to_json(error)}


def _first_records(counted: list[Any]) -> list[tuple[Any, int]]:
    """The ranges of one file with the index of the first record of each; none if some range could not be counted."""
    ranges, first = [], 0
    for span, records in counted:
        if records is None:
            return []
        ranges.append((span, first))
        first += records
    return ranges


def _union(contract: Contract, reports: Iterable[ShardReport]) -> Contract:
    """The contract with the columns of all shards. If two of them conflict, the first wins."""
    for report in reports:
        try:
            contract = contract.merged(report.contract)
        except ContractMoved as error:
            log.info("Shard %d does not fit the contract of those before it: %s", report.shard, error)
    return contract


def _fits(written: Contract, union: Contract) -> bool:
    """Whether parts written with one contract can be published with the other."""
    try:
        return union.merged(written) == union
    except ContractMoved:
        return False


def _lead(reports: Sequence[ShardReport]) -> int:
    """The records of a file before the first one with a partition, rounded to blocks."""
    lead = 0
    for report in reports:
        lead += report.lead
        if report.counts is None or report.counts.published:
            break
    return lead


def _add(evidence: Evidence, other: Evidence) -> None:
    """Add up the counts; if two shards need a wider type for one column, it holds the values of both."""
    widenings = {
        path: wider(evidence.wanted_widenings.get(path, shape), shape) for path, shape in other.wanted_widenings.items()
    }
    evidence.add(other)
    evidence.wanted_widenings.update(widenings)
