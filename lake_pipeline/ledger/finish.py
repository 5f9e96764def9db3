"""Finish a batch whose objects are all visible: outcomes of its files, its commit, its quarantine files.

In the transaction of the caller: a worker that published the batch, or a replay of its commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from lake_pipeline.errors import LeaseLost
from lake_pipeline.ledger.commits import add_commit
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.replacement import settle_replaced
from lake_pipeline.ledger.settlement import after_publish, lock_files, settle
from lake_pipeline.model.manifest import FileOutcome, Manifest, QuarantinePart
from lake_pipeline.model.states import BatchState


def finish_batch(
    connection: Connection, batch_id: str, *, max_attempts: int, archive_keys: Mapping[int, str] | None = None
) -> bool:
    """See `Publication.finish`. `archive_keys` are the keys of the originals in the archive, by file_id, if given."""
    batch = connection.execute(query("batch_to_finish"), {"batch_id": batch_id}).one_or_none()
    if batch is not None and batch.state == BatchState.PUBLISHED:
        return False
    if batch is None or batch.state != BatchState.PUBLISHING:
        raise LeaseLost(batch_id)
    manifest = Manifest.from_json(batch.manifest)
    _settle_files(connection, batch_id, manifest, max_attempts, archive_keys or {})
    if manifest.curated or manifest.rewritten or manifest.reduced:
        add_commit(connection, batch_id, manifest, batch.contract_version)
    settle_replaced(connection, batch_id, batch.kind, manifest)
    _add_quarantine(connection, batch_id, manifest.quarantine)
    _end_batch(connection, batch_id, manifest.files)
    return True


def _settle_files(
    connection: Connection, batch_id: str, manifest: Manifest, max_attempts: int, archive_keys: Mapping[int, str]
) -> None:
    outcomes = {outcome.file_id: outcome for outcome in manifest.files}
    held_files = lock_files(connection, batch_id)
    if outcomes.keys() != {file.file_id for file in held_files}:
        raise LeaseLost(batch_id)
    settlements = [after_publish(file, outcomes[file.file_id], max_attempts=max_attempts) for file in held_files]
    settle(
        connection,
        batch_id,
        [
            replace(settlement, archive_key=archive_keys.get(settlement.file_id, settlement.archive_key))
            for settlement in settlements
        ],
    )


def _add_quarantine(connection: Connection, batch_id: str, parts: Collection[QuarantinePart]) -> None:
    rows = [
        {"key": part.object.key, "rows": part.rows, "size": part.object.size, "etag": part.object.etag}
        for part in parts
    ]
    connection.execute(query("add_quarantine_files"), {"batch_id": batch_id, "parts": json.dumps(rows)})


def _end_batch(connection: Connection, batch_id: str, files: Collection[FileOutcome]) -> None:
    finished = connection.execute(
        query("finish_batch"),
        {
            "batch_id": batch_id,
            "rows_read": sum(file.read for file in files),
            "rows_published": sum(file.published for file in files),
            "rows_quarantined": sum(file.quarantined for file in files),
            "rows_rescued": sum(file.rescued for file in files),
        },
    )
    if finished.rowcount != 1:
        raise LeaseLost(batch_id)
