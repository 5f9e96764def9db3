"""The work on one shard: count its records, or convert them. The result is a report that can be sent as JSON.

Objects are written to the given store and stay pending. If other workers read the same file, the driver decides whether
it is accepted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.block_values import Counts, Segment
from lake_pipeline.convert.input.ranges import can_be_split, range_blocks, records_in_range
from lake_pipeline.convert.input.reader import error_outcome
from lake_pipeline.convert.kernel.blocks import BlockConverter
from lake_pipeline.convert.kernel.convert import convert
from lake_pipeline.convert.kernel.file_outcome import ABANDON_RECORDS
from lake_pipeline.convert.output.writer import Output, finisher_threads, object_names
from lake_pipeline.convert.parse.tolerant import EvolvingContract
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.engines.sharding.shards import ByteRange, Shard
from lake_pipeline.errors import LakeError
from lake_pipeline.model.manifest import FileOutcome, Manifest
from lake_pipeline.storage.identity import require_identity
from lake_pipeline.storage.location import Location
from lake_pipeline.storage.object_store import ObjectStore

_checked: set[tuple[Location, str, str | None]] = set()
"""The store, batch and lake of the last check of this process."""


@dataclass(kw_only=True)
class ShardReport:
    """The result of a shard: pending objects, the contract they were written with, evidence.

    A range has `counts` in place of outcomes, and `lead`: the records before the first block with a partitioned one.
    `failed` is the outcome of the file if the range could not be read; then nothing is pending.
    """

    shard: int
    manifest: Manifest
    contract: Contract
    evidence: Evidence
    counts: Counts | None = None
    lead: int = 0
    failed: FileOutcome | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object for `from_json`."""
        return {
            "shard": self.shard,
            "manifest": self.manifest.to_json(),
            "contract": self.contract.to_json(),
            "evidence": self.evidence.to_json(),
            "counts": asdict(self.counts) if self.counts else None,
            "lead": self.lead,
            "failed": self.failed.to_json() if self.failed else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardReport:
        """The inverse of `to_json`, except for the rules of the contract."""
        return cls(
            shard=data["shard"],
            manifest=Manifest.from_json(data["manifest"]),
            contract=Contract.from_json(data["contract"]),
            evidence=Evidence.from_json(data["evidence"]),
            counts=Counts(**data["counts"]) if data["counts"] else None,
            lead=data["lead"],
            failed=FileOutcome.from_json(data["failed"]) if data["failed"] else None,
        )


def check_root(store: ObjectStore, request: ConversionRequest) -> None:
    """Check once per worker process and batch that this machine has the root of the lake, not an empty mount point.

    Raises `LakeNotThere` or `LakeMismatch`.
    """
    work = (store.location, request.batch_id, request.lake_id)
    if request.lake_id is not None and work not in _checked:
        require_identity(store, request.lake_id)
        _checked.clear()
        _checked.add(work)


def count_records(store: ObjectStore, request: ConversionRequest, shard: Shard) -> int | None:
    """The number of records in a range; None if its file can't be read in ranges.

    The worker that reads the whole file meets the error again and records it.
    """
    (file,), span = shard.files, _range_of(shard)
    try:
        if not can_be_split(store, file, request.options):
            return None
        return records_in_range(store, file, start=span.start, stop=span.stop, options=request.options)
    except LakeError:
        return None


def convert_shard(store: ObjectStore, request: ConversionRequest, shard: Shard) -> ShardReport:
    """Convert a shard with the contract of `request`, whose files are ignored. Raises what `Engine.convert` raises."""
    request = replace(request, files=shard.files, shard=f"{shard.number:05d}{request.shard}")
    if shard.range is not None:
        return _convert_range(store, request, shard)
    report = convert(store, request)
    return ShardReport(shard=shard.number, manifest=report.manifest, contract=report.contract, evidence=report.evidence)


def _convert_range(store: ObjectStore, request: ConversionRequest, shard: Shard) -> ShardReport:
    """Repeats the range if a column became wider meanwhile, as the kernel does with a whole batch."""
    assert request.contract is not None
    contract = EvolvingContract(request.contract, request.widens_from, request.kept)
    while True:
        before = contract.widenings
        with (
            ThreadPoolExecutor(request.options.workers, thread_name_prefix="write") as pool,
            finisher_threads() as finishers,
        ):
            names = object_names(request.shard)
            output = Output(store, request.batch_id, contract, request.options, pool, finishers, names)
            try:
                report = _read_range(store, request, shard, contract, output)
            except BaseException as error:
                output.discard()
                if not isinstance(error, Exception):
                    raise
                report = _empty_report(shard, contract)
                report.failed = error_outcome(error, shard.files[0])
        if contract.widenings == before and not contract.take_back(report.evidence):
            contract.add_wishes(report.evidence)
            return report
        output.discard()


def _read_range(
    store: ObjectStore, request: ConversionRequest, shard: Shard, contract: EvolvingContract, output: Output
) -> ShardReport:
    (file,), span = shard.files, _range_of(shard)
    blocks = BlockConverter(request.batch_id, contract, request.options)
    counts, evidence, lead, first = Counts(), Evidence(), 0, span.first
    for records in range_blocks(store, file, start=span.start, stop=span.stop, options=request.options):
        converted = blocks.convert([Segment(file=file, records=records, first=first)], whole_files=False)
        first += records.count
        output.add(converted.rows, converted.quarantined)
        counts.add(converted.counts[file.file_id])
        evidence.add(converted.evidence)
        lead = lead if counts.published else counts.read
        if span.start == 0 and lead >= ABANDON_RECORDS:
            break
    curated, quarantine = output.finish()
    manifest = Manifest(curated=curated, quarantine=quarantine, files=())
    return ShardReport(
        shard=shard.number,
        manifest=manifest,
        contract=contract.current,
        evidence=evidence,
        counts=counts,
        lead=lead,
    )


def _empty_report(shard: Shard, contract: EvolvingContract) -> ShardReport:
    manifest = Manifest(curated=(), quarantine=(), files=())
    return ShardReport(shard=shard.number, manifest=manifest, contract=contract.current, evidence=Evidence())


def _range_of(shard: Shard) -> ByteRange:
    assert shard.range is not None
    return shard.range
