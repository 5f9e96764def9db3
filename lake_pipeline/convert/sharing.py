"""Sharing: one conversion by many workers. It cuts the batch, lets the shares be done, and makes one report of theirs.

    count the records of large files → convert every share → one contract → what does not fit it: convert again
                                                                       ↓
                                        accept or refuse each file → one manifest

Workers know nothing of each other: a file that several read is accepted or refused here, and where their contracts
differ, those whose parts don't fit the union convert again with it. No row passes through here, only reports.
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
from lake_pipeline.contract.widening import wider
from lake_pipeline.convert.deciding import HOPELESS_RECORDS, Counts, decided
from lake_pipeline.convert.kernel import first_contract
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.convert.share_work import ShareReport, convert_share, count_records
from lake_pipeline.convert.shares import SPLIT_ABOVE, ByteRange, Share, numbered, packed, ranges_of
from lake_pipeline.errors import ContractMoved, LakeError, StorageUnavailable
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import CuratedPart, FileOutcome, Manifest, Outcome, PendingObject, QuarantinePart
from lake_pipeline.storage.objects import ObjectStore

log = logging.getLogger(__name__)

Work = Callable[[ObjectStore, ConversionRequest, Share], Any]
"""What a worker does with a share; it answers with a value of JSON."""


class Spread(Protocol):
    """A way to have shares done by many workers."""

    def __call__(
        self,
        work: Work,
        request: ConversionRequest,
        shares: Sequence[Share],
        *,
        doing: str,
        on_progress: Progress | None = None,
    ) -> list[Any]:
        """What `work` answered for each share, in their order. A worker that dies on the way is made up for.

        `doing` is what is done, for the log. Raises `TransientError`.
        """
        ...


def convert_shared(
    store: ObjectStore,
    request: ConversionRequest,
    spread: Spread,
    *,
    share_bytes: int,
    on_progress: Progress | None = None,
) -> ConversionReport:
    """Convert the files of `request` in shares of about `share_bytes`; see `Engine.convert`.

    `store` is where the workers' is: samples are read and pending objects aborted here.
    """
    started = time.monotonic()
    contract = first_contract(store, request)
    conversion = _Shared(store, replace(request, files=(), contract=contract), spread, on_progress)
    manifest, evidence = conversion.run(request.files, share_bytes)
    return ConversionReport(
        manifest=manifest,
        contract=conversion.contract,
        bytes_read=sum(file.size for file in request.files),
        seconds=time.monotonic() - started,
        evidence=evidence,
    )


class _Shared:
    def __init__(
        self, store: ObjectStore, request: ConversionRequest, spread: Spread, on_progress: Progress | None
    ) -> None:
        assert request.contract is not None
        self.contract = request.contract
        self._store = store
        self._request = request
        self._spread = spread
        self._on_progress = on_progress
        self._rounds = 0
        self._shares: dict[int, Share] = {}
        self._reports: dict[int, ShareReport] = {}

    def run(self, files: Sequence[RawFile], share_bytes: int) -> tuple[Manifest, Evidence]:
        ranges = self._ranges(files, share_bytes)
        in_ranges = {file.file_id for file, _ in ranges}
        groups = packed((file for file in files if file.file_id not in in_ranges), share_bytes)
        try:
            self._convert(numbered(ranges, groups))
            self._read_whole(self._hopeless())
            outcomes = self._settle()
        except BaseException:
            self._abort(self._reports.values())
            raise
        return self._joined([outcomes[file.file_id] for file in files])

    def _ranges(self, files: Sequence[RawFile], share_bytes: int) -> list[tuple[RawFile, ByteRange]]:
        """The ranges of all files that are large and can be shared, each with the index of its first record.

        Counting reads these files once more.
        """
        split = [file for file in files if file.size > share_bytes * SPLIT_ABOVE]
        large = [(file, span) for file in split for span in ranges_of(file, share_bytes)]
        if not large:
            return []
        counted = self._spread(_count, self._request, numbered(large, ()), doing="counting records")
        return [
            (file, replace(span, first=first))
            for file, found in groupby(zip(large, counted, strict=True), key=lambda each: each[0][0])
            for (_, span), first in _first_records(list(found))
        ]

    def _convert(self, shares: Sequence[Share]) -> None:
        """Convert shares until the parts of all that are kept fit one contract."""
        self._shares.update((share.number, share) for share in shares)
        while shares:
            request = replace(self._request, contract=self.contract, share=f"-{self._rounds}" if self._rounds else "")
            self._rounds += 1
            answers = self._spread(_convert, request, shares, doing="converting", on_progress=self._on_progress)
            reports = [ShareReport.from_json(answer["report"]) for answer in answers if "report" in answer]
            self._reports.update((report.share, report) for report in reports)
            for answer in answers:
                if "problem" in answer:
                    raise StorageUnavailable(answer["problem"])
            self.contract = _union(self.contract, self._ordered())
            moved = [report for report in self._ordered() if not _fits(report.contract, self.contract)]
            if moved:
                log.info("%d of %d shares are converted again with the contract of all", len(moved), len(self._shares))
            self._forget(moved)
            shares = [self._shares[report.share] for report in moved]

    def _ordered(self) -> list[ShareReport]:
        return [self._reports[number] for number in sorted(self._reports)]

    def _hopeless(self) -> list[RawFile]:
        """Files read in ranges that a single reader would not have read to the end."""
        return [file for file, reports in self._by_file() if _lead(reports) >= HOPELESS_RECORDS]

    def _read_whole(self, files: Sequence[RawFile]) -> None:
        """Let one worker read each of these, in place of the reports of its ranges."""
        for file, reports in self._by_file():
            if file in files:
                self._forget(reports)
                for report in reports:
                    del self._shares[report.share]
        first = max(self._shares, default=-1) + 1 + len(files)
        self._convert([Share(number=first + number, files=(file,)) for number, file in enumerate(files)])

    def _by_file(self) -> list[tuple[RawFile, list[ShareReport]]]:
        """The files that were read in ranges, with the reports of these in order."""
        of_ranges = [report for report in self._ordered() if self._shares[report.share].range is not None]
        return [
            (file, list(reports))
            for file, reports in groupby(of_ranges, key=lambda report: self._shares[report.share].files[0])
        ]

    def _settle(self) -> dict[int, FileOutcome]:
        """The outcome of each file; what was written of those that are refused is forgotten."""
        outcomes = {each.file_id: each for report in self._ordered() for each in report.manifest.files}
        for file, reports in self._by_file():
            outcome = self._outcome(file, reports)
            outcomes[file.file_id] = outcome
            if outcome.outcome is not Outcome.CONVERTED:
                self._forget(reports)
        return outcomes

    def _outcome(self, file: RawFile, reports: Sequence[ShareReport]) -> FileOutcome:
        counts = Counts()
        for report in reports:
            if report.failed:
                return report.failed
            if report.counts:
                counts.add(report.counts)
        return decided(file.file_id, counts, self._request.options.max_bad_share)

    def _joined(self, outcomes: list[FileOutcome]) -> tuple[Manifest, Evidence]:
        curated: list[CuratedPart] = []
        quarantine: list[QuarantinePart] = []
        evidence = Evidence()
        for report in self._ordered():
            curated += report.manifest.curated
            quarantine += report.manifest.quarantine
            _add(evidence, report.evidence)
        return Manifest(curated=tuple(curated), quarantine=tuple(quarantine), files=tuple(outcomes)), evidence

    def _forget(self, reports: Iterable[ShareReport]) -> None:
        reports = list(reports)
        self._abort(reports)
        for report in reports:
            del self._reports[report.share]

    def _abort(self, reports: Iterable[ShareReport]) -> None:
        for pending in [pending for report in reports for pending in report.manifest.objects]:
            _abort(self._store, pending)


def _abort(store: ObjectStore, pending: PendingObject) -> None:
    try:
        store.abort(pending)
    except LakeError as error:
        # Litter, not a loss: nobody can see it, and the next sweep takes it away.
        log.warning("%s could not be aborted: %s", pending.key, error)


def _count(store: ObjectStore, request: ConversionRequest, share: Share) -> int | None:
    return count_records(store, request, share)


def _convert(store: ObjectStore, request: ConversionRequest, share: Share) -> dict[str, Any]:
    """The ledger decides when what failed is tried again, so that a problem is an answer, too."""
    try:
        return {"report": convert_share(store, request, share).to_json()}
    except LakeError as error:
        return {"problem": str(error)}


def _first_records(counted: list[Any]) -> list[tuple[Any, int]]:
    """The ranges of one file with the index of the first record of each; none where one could not be counted."""
    found, first = [], 0
    for of_file, records in counted:
        if records is None:
            return []
        found.append((of_file, first))
        first += records
    return found


def _union(contract: Contract, reports: Iterable[ShareReport]) -> Contract:
    """The contract that has what the shares found. Of two that can't be joined the first goes."""
    for report in reports:
        try:
            contract = contract.merged(report.contract)
        except ContractMoved as error:
            log.info("Share %d does not fit the contract of those before it: %s", report.share, error)
    return contract


def _fits(written: Contract, union: Contract) -> bool:
    """Whether parts written with one contract can be published with the other."""
    try:
        return union.merged(written) == union
    except ContractMoved:
        return False


def _lead(reports: Sequence[ShareReport]) -> int:
    """The records of a file before the first that has a place, to a block."""
    lead = 0
    for report in reports:
        lead += report.lead
        if report.counts is None or report.counts.published:
            break
    return lead


def _add(evidence: Evidence, other: Evidence) -> None:
    """Count what `other` counted; what two shares wish for one column is to hold what both met."""
    wishes = {path: wider(evidence.wishes.get(path, shape), shape) for path, shape in other.wishes.items()}
    evidence.add(other)
    evidence.wishes.update(wishes)
