"""Replacing: published files that a batch writes again or takes away, and the raw files whose rows go with it.

At the point of no return the files are marked, so that no second batch replaces them, and raw files that wait are
taken out of the queue; when the batch is finished the others get the state and the account that follow from it.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection

from lake_pipeline import __version__
from lake_pipeline.errors import FilesMoved, PermanentError
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.states import FileState

FORGET = "FORGET"
"""The kind of a batch that only takes rows out, because a person wants it."""

REBUILD = "REBUILD"
"""The kind of a batch that converts published files again, from their originals."""


_WAITING = (FileState.PENDING, FileState.FAILED, FileState.QUARANTINED)


def reserve(connection: Connection, claim: Claim, kind: str, manifest: Manifest) -> None:
    """Mark what is replaced. Raises `FilesMoved` where others have replaced some of it, or are about to."""
    parts = [
        *({"key": part.object.key, "replaces": part.replaces, "before": part.rows} for part in manifest.rewritten),
        *({"key": part.key, "replaces": part.replaces, "before": part.rows_before} for part in manifest.stripped),
    ]
    if parts:
        values = {"batch_id": claim.batch_id, "parts": json.dumps(parts)}
        if connection.execute(query("reserve_files"), values).rowcount != len(parts):
            raise FilesMoved("Other batches replace some of the same published files; look at them again.")
    if manifest.unquarantined:
        quarantine = [{"key": part.key, "replaces": part.replaces} for part in manifest.unquarantined]
        values = {"batch_id": claim.batch_id, "parts": json.dumps(quarantine)}
        if connection.execute(query("reserve_quarantine_files"), values).rowcount != len(quarantine):
            raise FilesMoved("Other batches replace some of the same files of quarantined records; look at them again.")
    if manifest.superseded:
        # First, so that nobody claims one of them any more: whoever did so before is seen by the next query.
        _supersede(connection, kind, manifest, _WAITING)
        superseded = {"batch_id": claim.batch_id, "file_ids": list(manifest.superseded)}
        if connection.scalar(query("left_behind"), superseded):
            raise FilesMoved("A file that is taken out was published meanwhile, or a worker is about to publish it.")


def settle_replaced(connection: Connection, batch_id: str, kind: str, manifest: Manifest) -> None:
    """Give the files whose rows went their state, and rebuilt ones their account. After the commit."""
    if manifest.unquarantined:
        _strip_quarantine(connection, batch_id, manifest)
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
                f"Batch {batch_id} rebuilt {len(outcomes)} files, and not all of them are SUCCEEDED any more. Somebody "
                "changed the ledger by hand; restore it from a backup."
            )


def _supersede(connection: Connection, kind: str, manifest: Manifest, states: Collection[FileState]) -> None:
    why = "forgotten by an operator" if kind == FORGET else "replaced by a newer version of the key"
    values = {"file_ids": list(manifest.superseded), "why": why, "states": list(states)}
    connection.execute(query("supersede_files"), values)


def _strip_quarantine(connection: Connection, batch_id: str, manifest: Manifest) -> None:
    parts = [
        {
            "key": part.key,
            "rows": part.rows,
            "size": part.object.size if part.object else None,
            "etag": part.object.etag if part.object else None,
        }
        for part in manifest.unquarantined
    ]
    values = {"batch_id": batch_id, "parts": json.dumps(parts)}
    connection.execute(query("remove_quarantine_files"), values)
    connection.execute(query("strip_quarantine_files"), values)
