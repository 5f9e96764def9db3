"""Claims: take files for one worker, renew the lease, and end a batch that publishes nothing.

Each method is one short transaction; none stays open while a worker works. Every write after the claim names its batch
and owner, and raises `LeaseLost` if the ledger has other values.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from lake_pipeline.errors import LeaseLost, PermanentError
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import days_and_modes, raw_file
from lake_pipeline.ledger.settlement import after_error, after_lost_file, lock_files, lose, plain_text, settle
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import BatchState

INGEST = "INGEST"
"""The kind of a batch that converts raw files to curated data."""

WIDEN = "WIDEN"
"""The kind of a batch without raw files that widens a column and rewrites the files that contain it."""


class Claims(Component):
    """Claims and leases of workers, before their point of no return."""

    def take(
        self,
        *,
        owner: str,
        max_files: int,
        max_bytes: int,
        lease_seconds: int,
        engine: str,
        partitions: Collection[PartitionKey] | None = None,
    ) -> Claim | None:
        """Claim the next files, the weekly lane first; None if nothing is claimable now.

        At most `max_files`, and `max_bytes` bytes as stored; a single file may be larger. With `partitions`, only
        files that are expected in one of them. `owner` is `owner.this_owner()`.
        """
        batch_id = str(uuid.uuid4())
        limits = {"batch_id": batch_id, "max_files": max_files, "max_bytes": max_bytes}
        with self._database.transaction() as connection:
            files = self._take(connection, limits, partitions)
            if not files:
                return None
            claim = Claim(batch_id=batch_id, owner=owner, files=files, lease_seconds=lease_seconds)
            self._open_batch(connection, claim, INGEST, engine)
        return claim

    def open_empty(
        self,
        kind: str,
        *,
        owner: str,
        lease_seconds: int,
        engine: str = "in_process",
        partitions: Collection[PartitionKey] | None = None,
    ) -> Claim:
        """A claim without raw files, for a batch that works on published files: those of `partitions`, if given."""
        claim = Claim(batch_id=str(uuid.uuid4()), owner=owner, files=(), lease_seconds=lease_seconds)
        with self._database.transaction() as connection:
            self._open_batch(connection, claim, kind, engine, partitions)
        return claim

    def _take(
        self, connection: Connection, limits: Mapping[str, Any], partitions: Collection[PartitionKey] | None
    ) -> tuple[RawFile, ...]:
        if partitions is None:
            rows = connection.execute(query("claim_files"), limits)
        else:
            rows = connection.execute(query("claim_files_of_partitions"), {**limits, **days_and_modes(partitions)})
        return tuple(sorted(map(raw_file, rows), key=attrgetter("lane", "file_id")))

    def _open_batch(
        self,
        connection: Connection,
        claim: Claim,
        kind: str,
        engine: str,
        partitions: Collection[PartitionKey] | None = None,
    ) -> None:
        connection.execute(
            query("open_batch"),
            {
                "batch_id": claim.batch_id,
                "kind": kind,
                "owner": claim.owner,
                "lease_seconds": claim.lease_seconds,
                "engine": engine,
                "files": len(claim.files),
                "bytes": claim.size,
                "partitions": None if partitions is None else json.dumps(sorted(map(str, partitions))),
            },
        )

    def renew(self, claim: Claim) -> None:
        """Extend the lease to its full length from now. Raises `LeaseLost`."""
        with self._database.transaction() as connection:
            renewed = connection.execute(query("renew_lease"), {**_fence(claim), "lease_seconds": claim.lease_seconds})
            _must_hold(claim, renewed.rowcount)

    def record_engine_run(self, claim: Claim, run_id: str | None) -> None:
        """Store the engine's id of this conversion with the batch and its files. Raises `LeaseLost`.

        None means that no other worker may look for the run, because its parts are deleted.
        """
        with self._database.transaction() as connection:
            recorded = connection.execute(query("record_engine_run"), {**_fence(claim), "run_id": run_id})
            _must_hold(claim, recorded.rowcount)
            of_files = {"batch_id": claim.batch_id, "run_id": run_id}
            files = connection.execute(query("record_engine_run_on_files"), of_files).rowcount
            _must_hold(claim, files, expected=len(claim.files))

    def fail(self, claim: Claim, error: Exception, *, max_attempts: int) -> None:
        """End the batch as failed: its files wait for their next attempt, or are quarantined.

        They are quarantined at once after a `PermanentError`, else after `max_attempts` attempts. Raises `LeaseLost`,
        also for a batch past its point of no return, which can't fail any more.
        """
        permanent = isinstance(error, PermanentError)
        with self._database.transaction() as connection:
            self._end_batch(connection, _fence(claim), BatchState.FAILED, f"{type(error).__name__}: {error}")
            files = lock_files(connection, claim.batch_id)
            _must_hold(claim, len(files), expected=len(claim.files))
            settle(
                connection,
                claim.batch_id,
                [after_error(file, error, permanent=permanent, max_attempts=max_attempts) for file in files],
            )

    def wait_for_repair(self, claim: Claim, error: Exception) -> None:
        """End a batch that needs a lost data file: later versions of files wait, the others are pending again.

        No attempt counts. Raises `LeaseLost` like `release`.
        """
        with self._database.transaction() as connection:
            self._end_batch(connection, _fence(claim), BatchState.ABANDONED, f"{type(error).__name__}: {error}")
            files = lock_files(connection, claim.batch_id)
            _must_hold(claim, len(files), expected=len(claim.files))
            settle(connection, claim.batch_id, after_lost_file(files, error))

    def release(self, claim: Claim, reason: str) -> None:
        """Return the files to the queue as if they had not been claimed, with `reason` in their history.

        Raises `LeaseLost`, also for a batch past its point of no return.
        """
        with self._database.transaction() as connection:
            released = self._release(connection, _fence(claim), reason)
            _must_hold(claim, released, expected=len(claim.files))

    def lose(self, claim: Claim, error: Exception, *, max_lost: int) -> None:
        """End a batch whose engine lost its workers: its files are pending again, in smaller batches.

        A file that was alone is quarantined after `max_lost` losses. Raises `LeaseLost` like `release`.
        """
        with self._database.transaction() as connection:
            self._end_batch(connection, _fence(claim), BatchState.ABANDONED, f"{type(error).__name__}: {error}")
            lost = lose(
                connection, claim.batch_id, max_lost=max_lost, error_class=type(error).__name__, message=str(error)
            )
            _must_hold(claim, len(lost), expected=len(claim.files))

    def return_files_of_outages(self) -> int:
        """Make files pending that an older version quarantined because of an outage; returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(query("return_files_of_outages")).rowcount

    def release_batch(self, batch_id: str, owner: str, reason: str) -> int:
        """Release the claim of another worker with all files it holds; returns their number."""
        with self._database.transaction() as connection:
            return self._release(connection, {"batch_id": batch_id, "owner": owner}, reason)

    def _release(self, connection: Connection, fence: dict[str, Any], reason: str) -> int:
        self._end_batch(connection, fence, BatchState.ABANDONED, reason)
        return connection.execute(query("release_files"), {"batch_id": fence["batch_id"]}).rowcount

    def _end_batch(self, connection: Connection, fence: dict[str, Any], state: BatchState, message: str) -> None:
        ended = connection.execute(query("end_batch"), {**fence, "state": state, "message": plain_text(message)})
        if ended.rowcount != 1:
            raise LeaseLost(fence["batch_id"])


def _fence(claim: Claim) -> dict[str, Any]:
    return {"batch_id": claim.batch_id, "owner": claim.owner}


def _must_hold(claim: Claim, rows: int, *, expected: int = 1) -> None:
    if rows != expected:
        raise LeaseLost(claim.batch_id)
