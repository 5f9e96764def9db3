"""The observable state of a lake: everything that readers, operators and the next batch can see.

It leaves out what differs between any two runs: ids of batches and files, times, numbers of attempts, and how the rows
of a partition are split into files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import text

from lake_pipeline.consume.dataset import CuratedDataset
from lake_pipeline.contract.paths import show_path
from lake_pipeline.storage.zones import RETAINED
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.lakes import published

FILES = """
SELECT s3_key, etag, processing_status, archive_state, archive_key, error_reason, rows_read, rows_published,
    rows_quarantined, rows_rescued
FROM file_processing_status ORDER BY s3_key, etag"""

LINEAGE = """
SELECT s3_key_of_file, partition_date, partition_mode, CAST(sum(rows) AS bigint) AS rows
FROM (
    SELECT file.s3_key AS s3_key_of_file, curated.partition_date, curated.partition_mode, lineage.rows
    FROM lineage JOIN curated_file AS curated USING (curated_file_id)
        JOIN file_processing_status AS file USING (file_id)
    WHERE removed_commit IS NULL
) AS link
GROUP BY s3_key_of_file, partition_date, partition_mode ORDER BY 1, 2, 3"""

EVIDENCE = "SELECT path, kind, rows FROM path_evidence ORDER BY path, kind"

TALLY = """
SELECT processing_status, archive_state, lane, CAST(sum(files) AS bigint), CAST(sum(bytes) AS bigint),
    CAST(sum(rows_read) AS bigint), CAST(sum(rows_published) AS bigint)
FROM file_tally GROUP BY processing_status, archive_state, lane HAVING sum(files) <> 0 ORDER BY 1, 2, 3"""

UNFINISHED = "SELECT state FROM batch WHERE state IN ('CLAIMED', 'PUBLISHING')"


def observe(lake: Lake, root: Path) -> dict[str, Any]:
    """The state of an idle lake as plain values. It uses the ledger's own connection: a new one takes 20 ms."""
    contract = lake.ledger.contracts.latest()
    columns = contract.columns if contract else ()
    return {
        "rows": [repr(row) for row in published(root)],
        "quarantined": _quarantined(root),
        "files": _rows(lake, FILES),
        "lineage": _rows(lake, LINEAGE),
        "evidence": _rows(lake, EVIDENCE),
        "tally": _rows(lake, TALLY),
        "columns": sorted((show_path(column.path), str(column.type)) for column in columns),
        "wanted widenings": sorted(lake.ledger.contracts.requested_widenings()),
        "landing and archive": _originals(root),
        "snapshots": _snapshots(lake),
        "retained": sorted(info.key for info in lake.store.objects(RETAINED)),
        "pending objects": [pending.key for pending in lake.store.pending()],
        "unfinished batches": _rows(lake, UNFINISHED),
        "fsck": [f"{finding.problem}: {finding.text}" for finding in Audit(lake=lake).findings()],
    }


def difference(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """One line for each part of the state that differs."""
    lines = []
    for name, values in expected.items():
        if values != actual[name]:
            missing = [value for value in values if value not in actual[name]]
            extra = [value for value in actual[name] if value not in values]
            counts = f"{len(values)} expected, {len(actual[name])} found"
            lines.append(f"{name}: missing {missing[:3]}, extra {extra[:3]} ({counts})")
    return lines


def _rows(lake: Lake, sql: str) -> list[str]:
    with lake.ledger.database.transaction() as connection:
        return [repr(tuple(row)) for row in connection.execute(text(sql))]


def _snapshots(lake: Lake) -> list[str]:
    """Every row that a reader of each snapshot gets."""
    return sorted(
        f"{snapshot.name} {row!r}"
        for snapshot in lake.ledger.snapshots.all()
        for row in CuratedDataset.of_snapshot(lake, snapshot.name).table().to_pylist()
    )


def _quarantined(root: Path) -> list[str]:
    return sorted(
        repr(row)
        for path in (root / "quarantine").rglob("*.parquet")
        for row in pq.read_table(path, partitioning=None).drop(["_batch_id", "_file_id"]).to_pylist()
    )


def _originals(root: Path) -> list[str]:
    """Without `_lake.json` and `_commits/`, which contain ids."""
    return sorted(
        f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        for path in root.rglob("*.json*")
        if path.is_file() and not str(path.relative_to(root)).startswith("_")
    )
