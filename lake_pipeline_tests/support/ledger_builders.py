"""Values for tests of the ledger: files of a listing, and manifests of a conversion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import create_engine, text

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import DiscoveredFile, Lane, RawFile
from lake_pipeline.model.manifest import (
    CuratedPart,
    FileOutcome,
    Manifest,
    Outcome,
    PendingObject,
    QuarantinePart,
)
from lake_pipeline.model.partitions import PartitionKey

LIVE = PartitionKey(date(2026, 2, 3), "live")
TEST = PartitionKey(date(2026, 2, 4), "test/ü")

ROWS = 10
"""Published rows of each converted file."""


def discovered(
    number: int,
    *,
    etag: str = "v1",
    size: int = 100,
    lane: Lane = Lane.WEEKLY,
    expected: PartitionKey | None = LIVE,
) -> DiscoveredFile:
    """The `number`-th file of a landing zone."""
    folder = "2026/week05" if lane is Lane.WEEKLY else "all_historical_files"
    return DiscoveredFile(key=f"{folder}/file-{number:07}.json", etag=etag, size=size, lane=lane, expected=expected)


def many(count: int, **fields: Any) -> Iterator[DiscoveredFile]:
    """`count` files, numbered from 0."""
    return (discovered(number, **fields) for number in range(count))


def claim_some(ledger: Ledger, **limits: Any) -> Claim:
    """A claim; fails if no file is claimable."""
    claim = ledger.claims.take(
        **{
            "owner": "test",
            "max_files": 1000,
            "max_bytes": 1 << 40,
            "lease_seconds": 60,
            "engine": "in_process",
            **limits,
        }
    )
    assert claim is not None, "nothing to claim"
    return claim


def contract_with(**fields: Kind) -> Contract:
    """A contract of scalar columns that is not stored yet."""
    return Contract().evolved(Shape(Kind.STRUCT, fields={name: Shape(kind) for name, kind in fields.items()}))


CONTRACT = contract_with(a=Kind.INT)


def pending(key: str) -> PendingObject:
    """A pending object of 1,000 bytes."""
    return PendingObject(key=key, token=f"token of {key}", size=1000, etag=f"etag of {key}")


def outcome_of(file: RawFile, outcome: Outcome, **fields: Any) -> FileOutcome:
    """The account of a file: 10 rows published of 12 read, all 12 quarantined, or none."""
    match outcome:
        case Outcome.CONVERTED:
            counts = {"read": ROWS + 2, "published": ROWS, "quarantined": 2, "rescued": 1}
        case Outcome.REFUSED:
            counts = {"read": 12, "quarantined": 12}
        case Outcome.FAILED:
            counts = {}
    return FileOutcome(file_id=file.file_id, outcome=outcome, **{**counts, **fields})


def manifest_of(claim: Claim, *outcomes: FileOutcome, partition: PartitionKey = LIVE) -> Manifest:
    """A manifest with one Parquet file for the batch; files without a given outcome are converted."""
    given = {outcome.file_id: outcome for outcome in outcomes}
    files = tuple(given.get(file.file_id, outcome_of(file, Outcome.CONVERTED)) for file in claim.files)
    rows = {file.file_id: file.published for file in files if file.published}
    part = CuratedPart(
        object=pending(f"json_parsed_parquet/{partition.path}/part-{claim.batch_id}.parquet"),
        partition=partition,
        rows=sum(rows.values()),
        rows_by_file=rows,
    )
    bad = sum(file.quarantined for file in files)
    rejects = QuarantinePart(object=pending(f"quarantine/batch={claim.batch_id}/bad.parquet"), rows=bad)
    return Manifest(curated=(part,) if rows else (), quarantine=(rejects,) if bad else (), files=files)


def publish(ledger: Ledger, claim: Claim, *outcomes: FileOutcome, max_attempts: int = 5, **fields: Any) -> Manifest:
    """Record the manifest of a claim and finish its batch."""
    manifest = manifest_of(claim, *outcomes, **fields)
    ledger.publication.record_manifest(claim, manifest, CONTRACT)
    assert ledger.publication.finish(claim.batch_id, max_attempts=max_attempts)
    return manifest


def run_sql(url: str, sql: str, **parameters: Any) -> list[Any]:
    """Run one statement and commit, as with psql; returns its rows."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(sql), parameters)
            return list(result.all()) if result.returns_rows else []
    finally:
        engine.dispose()


def file_row(url: str, file_id: int) -> Any:
    return run_sql(url, "SELECT * FROM file_processing_status WHERE file_id = :file_id", file_id=file_id)[0]


RETRIES_COME = """
WITH ended AS (UPDATE outage SET paused_until = now())
UPDATE file_processing_status SET next_attempt_at = now() WHERE processing_status = 'FAILED'
"""


def end_backoffs(url: str) -> None:
    """End the backoff of every file and the pause of every outage."""
    run_sql(url, RETRIES_COME)


def expire_leases(url: str) -> None:
    """Let every lease expire."""
    run_sql(url, "UPDATE batch SET lease_expires_at = now() - interval '1 second'")
