"""Values for ledger tests: files as a listing finds them, and manifests as a conversion reports them."""

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
"""Rows that each converted file gives."""


def found(
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
    return (found(number, **fields) for number in range(count))


def claim_some(ledger: Ledger, **limits: Any) -> Claim:
    """A claim; fails when there is nothing to claim."""
    claim = ledger.claim(
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
    """A contract of scalar columns that was never stored."""
    return Contract().grown(Shape(Kind.STRUCT, fields={name: Shape(kind) for name, kind in fields.items()}))


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
    """A manifest with one Parquet file for the batch; files without an outcome given are converted."""
    told = {outcome.file_id: outcome for outcome in outcomes}
    files = tuple(told.get(file.file_id, outcome_of(file, Outcome.CONVERTED)) for file in claim.files)
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


def publish(ledger: Ledger, claim: Claim, *outcomes: FileOutcome, max_attempts: int = 5, **place: Any) -> Manifest:
    """Take a claim all the way."""
    manifest = manifest_of(claim, *outcomes, **place)
    ledger.record_manifest(claim, manifest, CONTRACT)
    assert ledger.finish_publish(claim.batch_id, max_attempts=max_attempts)
    return manifest


def run_sql(url: str, sql: str, **parameters: Any) -> list[Any]:
    """What an operator would do with psql: one statement, committed; returns its rows."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(sql), parameters)
            return list(result.all()) if result.returns_rows else []
    finally:
        engine.dispose()


def file_row(url: str, file_id: int) -> Any:
    """The row of a file."""
    return run_sql(url, "SELECT * FROM file_processing_status WHERE file_id = :file_id", file_id=file_id)[0]


RETRIES_COME = "UPDATE file_processing_status SET next_attempt_at = now() WHERE processing_status = 'FAILED'"


def let_retries_come(url: str) -> None:
    """Time passes: every file may be tried again."""
    run_sql(url, RETRIES_COME)


def expire_leases(url: str) -> None:
    """Time passes: every lease runs out."""
    run_sql(url, "UPDATE batch SET lease_expires_at = now() - interval '1 second'")
