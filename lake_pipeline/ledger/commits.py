"""Commits: one step in the history of the curated table, with the files it adds and those it replaces.

A commit is written in the transaction that finishes a batch, when all its objects are visible.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import Connection

from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.manifest import CuratedPart, Manifest, ReducedPart, RewrittenPart


def add_commit(connection: Connection, batch_id: str, manifest: Manifest, contract_version: int) -> None:
    """Record what became visible with a batch."""
    connection.execute(query("lock_commits"))
    replaced = _replaced_rows(manifest)
    commit_id = connection.scalar(
        query("add_commit"),
        {
            "batch_id": batch_id,
            "files_added": len(manifest.curated) + len(replaced) - len(manifest.deleted),
            "files_removed": len(replaced),
            "rows_added": sum(part.rows for part in manifest.curated) + sum(row["rows"] for row in replaced),
            "rows_removed": sum(row["before"] for row in replaced),
        },
    )
    commit = {"batch_id": batch_id, "contract_version": contract_version, "commit_id": commit_id}
    if replaced:
        _replace(connection, commit, replaced, without=manifest.superseded)
        _add_rescued(connection, (*manifest.rewritten, *manifest.reduced))
    added = connection.execute(
        query("add_curated_files"), {**commit, "parts": json.dumps([_curated_row(part) for part in manifest.curated])}
    )
    _add_lineage(connection, manifest, {row.s3_key: row.curated_file_id for row in added})


def _replaced_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Rewritten and removed files, with the column names of the queries; `etag` is None for a removed file."""
    return [
        *(
            {
                "key": part.object.key,
                "replaces": part.replaces,
                "before": part.rows,
                "rows": part.rows,
                "size": part.object.size,
                "etag": part.object.etag,
                "is_wider": True,
            }
            for part in manifest.rewritten
        ),
        *(
            {
                "key": part.key,
                "replaces": part.replaces,
                "before": part.rows_before,
                "rows": part.rows,
                "size": part.object.size if part.object else None,
                "etag": part.object.etag if part.object else None,
                "is_wider": part.is_wider,
            }
            for part in manifest.reduced
        ),
    ]


def _replace(
    connection: Connection, commit: dict[str, object], rows: list[dict[str, Any]], without: tuple[int, ...]
) -> None:
    values = {**commit, "parts": json.dumps(rows)}
    removed = connection.execute(query("remove_replaced_files"), values).rowcount
    if removed != len(rows):
        raise PermanentError(
            f"Batch {commit['batch_id']} replaces {len(rows)} published files, but only {removed} of them are as read "
            "before. The ledger was changed by hand; restore it from a backup."
        )
    connection.execute(query("add_rewritten_files"), values)
    connection.execute(query("copy_lineage"), {**commit, "without": list(without)})


def _add_rescued(connection: Connection, parts: tuple[RewrittenPart | ReducedPart, ...]) -> None:
    rescued: Counter[int] = Counter()
    for part in parts:
        rescued.update(part.rescued_by_file)
    if rescued:
        file_ids = sorted(rescued)
        values = {"file_ids": file_ids, "rows": [rescued[file_id] for file_id in file_ids]}
        connection.execute(query("add_rescued_rows"), values)


def _add_lineage(connection: Connection, manifest: Manifest, curated_ids: dict[str, int]) -> None:
    links = [
        (file_id, curated_ids[part.object.key], rows)
        for part in manifest.curated
        for file_id, rows in part.rows_by_file.items()
        if rows
    ]
    file_ids, curated_file_ids, rows = zip(*links, strict=True) if links else ((), (), ())
    connection.execute(
        query("add_lineage"),
        {"file_ids": list(file_ids), "curated_file_ids": list(curated_file_ids), "rows": list(rows)},
    )


def _curated_row(part: CuratedPart) -> dict[str, object]:
    return {
        "key": part.object.key,
        "day": part.partition.day.isoformat(),
        "mode": part.partition.mode_key,
        "rows": part.rows,
        "size": part.object.size,
        "etag": part.object.etag,
    }
