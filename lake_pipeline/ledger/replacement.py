"""Replacement: published files that a batch rewrites or removes, and the raw files whose rows they lose.

At the point of no return the published files are reserved, so that no second batch replaces them, and waiting raw
files leave the queue. When the batch is finished, the other raw files get their new state and account.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection

from lake_pipeline import __version__
from lake_pipeline.errors import FilesMoved, PermanentError
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.states import FileState

FORGET = "FORGET"
"""The kind of a batch that removes rows on behalf of a person."""

REBUILD = "REBUILD"
"""The kind of a batch that converts published files again from their originals."""


_WAITING = (FileState.PENDING, FileState.FAILED, FileState.QUARANTINED)


def reserve(connection: Connection, batch_id: str, kind: str, manifest: Manifest) -> None:
    """Reserve the files that are replaced, and take waiting raw files that are superseded out of the queue.

    Raises `FilesMoved` if another batch replaces some of the files.
    """
    parts = [
        *({"key": part.object.key, "replaces": part.replaces, "before": part.rows} for part in manifest.rewritten),
        *({"key": part.key, "replaces": part.replaces, "before": part.rows_before} for part in manifest.reduced),
    ]
    if parts:
        values = {"batch_id": batch_id, "parts": json.dumps(parts)}
        if connection.execute(query("reserve_files"), values).rowcount != len(parts):
            raise FilesMoved("Other batches replace some of the same published files.")
    if manifest.reduced_quarantine:
        quarantine = [{"key": part.key, "replaces": part.replaces} for part in manifest.reduced_quarantine]
        values = {"batch_id": batch_id, "parts": json.dumps(quarantine)}
        if connection.execute(query("reserve_quarantine_files"), values).rowcount != len(quarantine):
            raise FilesMoved("Other batches replace some of the same files of quarantined records.")
    if manifest.superseded:
        _supersede(connection, kind, manifest, _WAITING)


def check_superseded(connection: Connection, batch_id: str, manifest: Manifest) -> None:
    """Raises `FilesMoved` if the rows of a superseded file are not all in `manifest`.

    After `reserve`, so that no worker claims one of these files any more.
    """
    if manifest.superseded:
        superseded = {"batch_id": batch_id, "file_ids": list(manifest.superseded)}
        if connection.scalar(query("has_missed_rows"), superseded):
            raise FilesMoved("A file to be removed was published in the meantime, or a worker is about to publish it.")


def settle_replaced(connection: Connection, batch_id: str, kind: str, manifest: Manifest) -> None:
    """Set the state of files whose rows were removed, and the account of rebuilt ones. After the commit."""
    if manifest.reduced_quarantine:
        _reduce_quarantine(connection, batch_id, manifest)
    if manifest.superseded:
        _supersede(connection, kind, manifest, [FileState.SUCCEEDED])
    if manifest.rebuilt:
        outcomes = [
            {"file_id": file.file_id, "quarantined": file.quarantined, "rescued": file.rescued}
            for file in manifest.rebuilt
        ]
        values = {"batch_id": batch_id, "outcomes": json.dumps(outcomes), "parser_version": __version__}
        if connection.execute(query("settle_rebuilt"), values).rowcount != len(outcomes):
            raise PermanentError(
                f"Batch {batch_id} rebuilt {len(outcomes)} files, and not all of them are SUCCEEDED any more. "
                "The ledger was changed by hand; restore it from a backup."
            )


def _supersede(connection: Connection, kind: str, manifest: Manifest, states: Collection[FileState]) -> None:
    reason = "forgotten by an operator" if kind == FORGET else "replaced by a newer version of the key"
    values = {"file_ids": list(manifest.superseded), "reason": reason, "states": list(states)}
    connection.execute(query("supersede_files"), values)


def _reduce_quarantine(connection: Connection, batch_id: str, manifest: Manifest) -> None:
    parts = [
        {
            "key": part.key,
            "rows": part.rows,
            "size": part.object.size if part.object else None,
            "etag": part.object.etag if part.object else None,
        }
        for part in manifest.reduced_quarantine
    ]
    values = {"batch_id": batch_id, "parts": json.dumps(parts)}
    connection.execute(query("remove_quarantine_files"), values)
    connection.execute(query("update_quarantine_files"), values)
