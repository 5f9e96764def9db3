"""Claims: taking files for one worker, keeping the lease, and giving up before anything is published.

Each method is one short transaction; none is open while a worker works. Every write after the claim names its
batch and owner, and fails with `LeaseLost` when the ledger no longer agrees.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from datetime import date
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.errors import LeaseLost, PermanentError
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.settling import after_error, lock_files, plain_text, settle
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import Lane, RawFile
from lake_pipeline.model.partitions import PartitionKey, mode_of_key
from lake_pipeline.model.states import BatchState

INGEST = "INGEST"
"""The kind of a batch that takes raw files to curated data."""

WIDEN = "WIDEN"
"""The kind of a batch that has no raw files: it makes a column wider and rewrites the files that hold it."""


class Claiming(Database):
    """The part of the ledger that a worker uses before its point of no return."""

    def claim(
        self,
        *,
        owner: str,
        max_files: int,
        max_bytes: int,
        lease_seconds: int,
        engine: str,
        partitions: Collection[PartitionKey] | None = None,
    ) -> Claim | None:
        """Take the next claimable files, the weekly lane first; None when nothing is claimable at this moment.

        At most `max_files`, and `max_bytes` bytes as stored; a single file may be larger. With `partitions`, only
        files whose key promises one of them. `owner` is `owner.this_owner()`.
        """
        batch_id = str(uuid.uuid4())
        limits = {"batch_id": batch_id, "max_files": max_files, "max_bytes": max_bytes}
        with self.transaction() as connection:
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
        """A claim on no files, for a batch of that kind that works on published ones: those of `partitions`, if any."""
        claim = Claim(batch_id=str(uuid.uuid4()), owner=owner, files=(), lease_seconds=lease_seconds)
        with self.transaction() as connection:
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
        """Prolong the lease to its full length from now. Raises `LeaseLost`."""
        with self.transaction() as connection:
            renewed = connection.execute(query("renew_lease"), {**_fence(claim), "lease_seconds": claim.lease_seconds})
            _must_hold(claim, renewed.rowcount)

    def record_engine_run(self, claim: Claim, run_id: str | None) -> None:
        """Note the engine's own id of this conversion on the batch and its files; None for one that is not to be found.

        Raises `LeaseLost`.
        """
        with self.transaction() as connection:
            noted = connection.execute(query("note_engine_run"), {**_fence(claim), "run_id": run_id})
            _must_hold(claim, noted.rowcount)
            of_files = {"batch_id": claim.batch_id, "run_id": run_id}
            files = connection.execute(query("note_engine_run_on_files"), of_files).rowcount
            _must_hold(claim, files, expected=len(claim.files))

    def fail(self, claim: Claim, error: Exception, *, max_attempts: int) -> None:
        """End the batch as failed: its files wait for their next attempt, or go to quarantine.

        They go to quarantine at once after a `PermanentError`, else when they were tried `max_attempts` times.
        Raises `LeaseLost`, also for a batch past its point of no return: that one can't fail any more.
        """
        permanent = isinstance(error, PermanentError)
        with self.transaction() as connection:
            self._give_up(connection, _fence(claim), BatchState.FAILED, f"{type(error).__name__}: {error}")
            files = lock_files(connection, claim.batch_id)
            _must_hold(claim, len(files), expected=len(claim.files))
            settle(
                connection,
                claim.batch_id,
                [after_error(file, error, permanent=permanent, max_attempts=max_attempts) for file in files],
            )

    def release(self, claim: Claim, reason: str) -> None:
        """Put the files back as if they had not been claimed; `reason` stands in their history.

        Raises `LeaseLost`, also for a batch past its point of no return.
        """
        with self.transaction() as connection:
            released = self._release(connection, _fence(claim), reason)
            _must_hold(claim, released, expected=len(claim.files))

    def release_batch(self, batch_id: str, owner: str, reason: str) -> int:
        """The same for somebody else's claim, with whatever it holds; returns how many files were put back."""
        with self.transaction() as connection:
            return self._release(connection, {"batch_id": batch_id, "owner": owner}, reason)

    def _release(self, connection: Connection, fence: dict[str, Any], reason: str) -> int:
        self._give_up(connection, fence, BatchState.ABANDONED, reason)
        return connection.execute(query("release_files"), {"batch_id": fence["batch_id"]}).rowcount

    def _give_up(self, connection: Connection, fence: dict[str, Any], state: BatchState, message: str) -> None:
        ended = connection.execute(query("give_up_batch"), {**fence, "state": state, "message": plain_text(message)})
        if ended.rowcount != 1:
            raise LeaseLost(fence["batch_id"])


def days_and_modes(partitions: Collection[PartitionKey]) -> dict[str, list[Any]]:
    """Partitions as the two parallel arrays that queries take, each partition once."""
    unique = sorted(set(partitions))
    return {"days": [partition.day for partition in unique], "modes": [partition.mode_key for partition in unique]}


def raw_file(row: Row[Any], archived_at: str | None = None) -> RawFile:
    """A row of the files as a value; its first columns are those of `claim_files`.

    By position, because a claim has hundreds of rows: by name they took 7 ms of a claim's 27.
    """
    file_id, key, etag, size, lane, attempts, day, mode_key = row[:8]
    return RawFile(
        file_id=file_id,
        key=key,
        etag=etag,
        size=size,
        lane=_LANES[lane],
        attempts=attempts,
        expected=_partition(day, mode_key) if day else None,
        archived_at=archived_at,
    )


_LANES = {lane.value: lane for lane in Lane}


@lru_cache(maxsize=4096)
def _partition(day: date, mode_key: str) -> PartitionKey:
    return PartitionKey(day, mode_of_key(mode_key))


def _fence(claim: Claim) -> dict[str, Any]:
    return {"batch_id": claim.batch_id, "owner": claim.owner}


def _must_hold(claim: Claim, found: int, *, expected: int = 1) -> None:
    if found != expected:
        raise LeaseLost(claim.batch_id)
