"""Replay: commits of the store that a lost or old ledger does not have, applied as their workers did.

A commit is applied in one transaction, so an interrupted replay continues with the next number. No worker may be active
meanwhile; the caller checks that.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import Connection

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.errors import FilesMoved, LeaseLost, PermanentError
from lake_pipeline.ledger.archive import ArchiveTask
from lake_pipeline.ledger.commit_log import last_number
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.contract_agreement import (
    add_evidence,
    end_requested_widenings,
    latest_contract,
    serialize_manifests,
)
from lake_pipeline.ledger.finish import finish_batch
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.replacement import reserve
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.commit import Commit


class Replay(Component):
    """Applies commits of the store, and takes back what an old ledger recorded under a number of another commit."""

    def apply(self, commit: Commit, *, owner: str, lease_seconds: int, max_attempts: int, finish: bool) -> None:
        """Bring the ledger to the state after `commit`, the next one by number.

        With `finish`, all its objects are visible. Otherwise the batch is past its point of no return only: publish its
        objects, then call `finish`. Raises `PermanentError` if the commit does not follow from the ledger's state.
        """
        claim = Claim(batch_id=commit.batch_id, owner=owner, files=(), lease_seconds=lease_seconds)
        with self._database.transaction() as connection:
            serialize_manifests(connection)
            if last_number(connection) != commit.number - 1:
                raise PermanentError(f"Commit {commit.number} is not the next one of this ledger. Run `lake recover`.")
            try:
                _register(connection, commit)
                _record(connection, commit, claim)
                if finish:
                    _finish(connection, commit, max_attempts)
            except (FilesMoved, LeaseLost) as error:
                raise PermanentError(
                    f"Commit {commit.number} (batch {commit.batch_id}) does not follow from the commits before it: "
                    f"the ledger belongs to another lake, or was changed by hand. Recover into an empty database. "
                    f"({error})"
                ) from error

    def finish(self, commit: Commit, *, max_attempts: int) -> None:
        """Finish the batch of an applied commit whose objects are all visible. Idempotent."""
        with self._database.transaction() as connection:
            _finish(connection, commit, max_attempts)

    def awaiting_archive(self, file_ids: Collection[int]) -> list[ArchiveTask]:
        """Which of these files are published and wait to be archived."""
        if not file_ids:
            return []
        with self._database.transaction() as connection:
            rows = connection.execute(query("awaiting_archive_of_files"), {"file_ids": list(file_ids)})
            return [
                ArchiveTask(file_id=row.file_id, key=row.s3_key, etag=row.etag, archive_key=row.archive_key)
                for row in rows
            ]

    def take_back(self, batch_id: str) -> None:
        """Remove a batch that recorded its manifest and published nothing: its number belongs to another commit.

        Its files are pending again. What it added to the evidence stays counted.
        """
        batch = {"batch_id": batch_id}
        with self._database.transaction() as connection:
            serialize_manifests(connection)
            connection.execute(query("unreserve_files"), batch)
            connection.execute(query("unreserve_quarantine_files"), batch)
            connection.execute(query("unrecord_widenings"), batch)
            connection.execute(query("unrecord_contract"), batch)
            connection.execute(query("release_taken_back"), batch)
            connection.execute(query("drop_recorded_batch"), batch)


def _register(connection: Connection, commit: Commit) -> None:
    """The files of the commit have the ids that rows contain, whatever was registered meanwhile."""
    files = [{**asdict(file), "id": file.file_id} for file in commit.files]
    connection.execute(query("prepare_committed"))
    connection.execute(query("add_committed"), {"files": json.dumps(files)})
    if not files:
        return
    other = connection.execute(query("other_lake")).one_or_none()
    if other is not None:
        raise PermanentError(
            f"Commit {commit.number} has {other.committed_key} as file {other.file_id}, and in this ledger that is "
            f"{other.s3_key}, which has rows: the ledger belongs to another lake. Recover into an empty database."
        )
    connection.execute(query("pass_committed_ids"))
    connection.execute(query("move_registered"))
    connection.execute(query("identify_registered"))
    connection.execute(query("register_committed"))
    connection.execute(query("supersede_earlier_returns"))


def _record(connection: Connection, commit: Commit, claim: Claim) -> None:
    batch_id = commit.batch_id
    connection.execute(query("drop_unrecorded_batch"), {"batch_id": batch_id})
    file_ids = [file.file_id for file in commit.manifest.files]
    connection.execute(query("requeue_committed"), {"file_ids": file_ids})
    claimed = connection.execute(query("claim_committed"), {"batch_id": batch_id, "file_ids": file_ids}).rowcount
    if claimed != len(file_ids):
        raise FilesMoved(f"{len(file_ids) - claimed} of its files were published or superseded before.")
    connection.execute(query("add_recorded_batch"), _batch_row(commit, claim))
    if commit.contract is not None:
        _add_contract(connection, commit)
    if commit.evidence is not None:
        add_evidence(connection, claim, Evidence.from_json(commit.evidence), commit.contract_version)
    reserve(connection, batch_id, commit.kind, commit.manifest)


def _batch_row(commit: Commit, claim: Claim) -> dict[str, object]:
    held = {outcome.file_id for outcome in commit.manifest.files}
    return {
        "batch_id": commit.batch_id,
        "kind": commit.kind,
        "owner": claim.owner,
        "lease_seconds": claim.lease_seconds,
        "engine": commit.engine,
        "manifest": json.dumps(commit.manifest.to_json()),
        "contract_version": commit.contract_version,
        "manifest_number": commit.number,
        "evidence": None if commit.evidence is None else json.dumps(commit.evidence),
        "files": len(held),
        "bytes": sum(file.size for file in commit.files if file.file_id in held),
        "created_at": commit.created_at,
    }


def _add_contract(connection: Connection, commit: Commit) -> None:
    before = latest_contract(connection)
    contract = Contract.from_json(dict(commit.contract or {}))
    narrow = before.narrower_than(contract) if before else ()
    end_requested_widenings(connection, narrow)
    connection.execute(
        query("add_committed_contract"),
        {
            "version": commit.contract_version,
            "contract": json.dumps(commit.contract),
            "batch_id": commit.batch_id,
            "created_at": commit.created_at,
        },
    )


def _finish(connection: Connection, commit: Commit, max_attempts: int) -> None:
    archive_keys = {file.file_id: file.archive_key for file in commit.files if file.archive_key is not None}
    if finish_batch(connection, commit.batch_id, max_attempts=max_attempts, archive_keys=archive_keys):
        batch = {"batch_id": commit.batch_id}
        connection.execute(query("date_batch"), batch)
        connection.execute(query("date_commit"), batch)
        connection.execute(query("date_files"), batch)
