"""What a worker does with a share: count its records, or convert them; each answer is a report that travels as JSON.

It reads and writes through the store that it is given, and what it writes stays pending. Whether a file that others
read too is accepted is not for it to say.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.blocks import BlockConverter, Segment
from lake_pipeline.convert.deciding import HOPELESS_RECORDS, Counts
from lake_pipeline.convert.growing import GrowingContract
from lake_pipeline.convert.kernel import convert
from lake_pipeline.convert.output import Output, finishing, object_names
from lake_pipeline.convert.ranges import can_be_shared, range_blocks, records_in_range
from lake_pipeline.convert.reading import outcome_of
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.convert.shares import ByteRange, Share
from lake_pipeline.errors import LakeError
from lake_pipeline.model.manifest import FileOutcome, Manifest
from lake_pipeline.storage.objects import ObjectStore


@dataclass(kw_only=True)
class ShareReport:
    """What became of a share: pending objects, the contract they were written with, evidence.

    Of a range there are `counts` in place of outcomes, and `lead`: the records before the first block with one that
    has a place. `failed` is the outcome of its file where the range could not be read, and then nothing is pending.
    """

    share: int
    manifest: Manifest
    contract: Contract
    evidence: Evidence
    counts: Counts | None = None
    lead: int = 0
    failed: FileOutcome | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "share": self.share,
            "manifest": self.manifest.to_json(),
            "contract": self.contract.to_json(),
            "evidence": self.evidence.to_json(),
            "counts": asdict(self.counts) if self.counts else None,
            "lead": self.lead,
            "failed": self.failed.to_json() if self.failed else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShareReport:
        """The inverse of `to_json`, but for the rules of the contract."""
        return cls(
            share=data["share"],
            manifest=Manifest.from_json(data["manifest"]),
            contract=Contract.from_json(data["contract"]),
            evidence=Evidence.from_json(data["evidence"]),
            counts=Counts(**data["counts"]) if data["counts"] else None,
            lead=data["lead"],
            failed=FileOutcome.from_json(data["failed"]) if data["failed"] else None,
        )


def count_records(store: ObjectStore, request: ConversionRequest, share: Share) -> int | None:
    """The records of a range; None where its file can't be read in ranges, for whatever reason.

    Who reads it whole meets the reason again and accounts for it.
    """
    (file,), span = share.files, _range_of(share)
    try:
        if not can_be_shared(store, file, request.options):
            return None
        return records_in_range(store, file, start=span.start, stop=span.stop, options=request.options)
    except LakeError:
        return None


def convert_share(store: ObjectStore, request: ConversionRequest, share: Share) -> ShareReport:
    """Convert a share with the contract of `request`, whose files don't matter. Raises what `Engine.convert` raises."""
    request = replace(request, files=share.files, share=f"{share.number:05d}{request.share}")
    if share.range is not None:
        return _convert_range(store, request, share)
    report = convert(store, request)
    return ShareReport(share=share.number, manifest=report.manifest, contract=report.contract, evidence=report.evidence)


def _convert_range(store: ObjectStore, request: ConversionRequest, share: Share) -> ShareReport:
    """Again from the start where a column became wider on the way, as the kernel does with a whole file."""
    assert request.contract is not None
    contract = GrowingContract(request.contract, request.widens_from)
    while True:
        before = contract.widenings
        with (
            ThreadPoolExecutor(request.options.workers, thread_name_prefix="write") as pool,
            finishing() as finishers,
        ):
            names = object_names(request.share)
            output = Output(store, request.batch_id, contract, request.options, pool, finishers, names)
            try:
                report = _read_range(store, request, share, contract, output)
            except BaseException as error:
                output.discard()
                if not isinstance(error, Exception):
                    raise
                report = _nothing(share, contract)
                report.failed = outcome_of(error, share.files[0])
        if contract.widenings == before:
            report.evidence.wishes.update(contract.wishes)
            return report
        output.discard()


def _read_range(
    store: ObjectStore, request: ConversionRequest, share: Share, contract: GrowingContract, output: Output
) -> ShareReport:
    (file,), span = share.files, _range_of(share)
    blocks = BlockConverter(request.batch_id, contract, request.options)
    counts, evidence, lead, first = Counts(), Evidence(), 0, span.first
    for records in range_blocks(store, file, start=span.start, stop=span.stop, options=request.options):
        piece = blocks.convert([Segment(file=file, records=records, first=first)], whole_files=False)
        first += records.count
        output.add(piece.rows, piece.quarantined)
        counts.add(piece.counts[file.file_id])
        evidence.add(piece.evidence)
        lead = lead if counts.published else counts.read
        if span.start == 0 and lead >= HOPELESS_RECORDS:
            break
    curated, quarantine = output.finish()
    manifest = Manifest(curated=curated, quarantine=quarantine, files=())
    return ShareReport(
        share=share.number,
        manifest=manifest,
        contract=contract.current,
        evidence=evidence,
        counts=counts,
        lead=lead,
    )


def _nothing(share: Share, contract: GrowingContract) -> ShareReport:
    manifest = Manifest(curated=(), quarantine=(), files=())
    return ShareReport(share=share.number, manifest=manifest, contract=contract.current, evidence=Evidence())


def _range_of(share: Share) -> ByteRange:
    assert share.range is not None
    return share.range
