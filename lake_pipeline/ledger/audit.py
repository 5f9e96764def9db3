"""Audit: the ledger's account of every object, streamed by key for `lake fsck`, which compares it with the store.

Memory is bounded by a page, and no transaction stays open between pages. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, TextClause

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.states import ArchiveState, BatchState, FileState

PAGE_ROWS = 5_000
"""Rows of a page: a few megabytes."""


@dataclass(frozen=True, kw_only=True)
class AuditedFile:
    """A raw file and the place of its original. `size` in bytes, `age` in seconds since its row was updated."""

    file_id: int
    key: str
    etag: str
    size: int
    state: FileState
    archive_state: ArchiveState
    archive_key: str | None
    age: float


@dataclass(frozen=True, kw_only=True)
class FileAccount:
    """The row counts of a raw file; None if it was never converted.

    `lineage` counts its rows in published files according to lineage. `batch_id` is the batch of its last claim, `age`
    the seconds since the account was written.
    """

    file_id: int
    key: str
    state: FileState
    batch_id: str | None
    read: int | None
    published: int | None
    quarantined: int | None
    lineage: int
    age: float | None


@dataclass(frozen=True, kw_only=True)
class AuditedObject:
    """A published object. `rows_by_file` maps file_id to rows and is empty for quarantine files. `age` is that of
    their batch, in seconds."""

    key: str
    rows: int
    size: int
    etag: str
    rows_by_file: Mapping[int, int]
    batch_id: str | None = None
    age: float = 0.0


@dataclass(frozen=True, kw_only=True)
class HeldBatch:
    """An unfinished batch. Its worker may be alive or gone."""

    batch_id: str
    state: BatchState
    owner: str
    expired: bool
    files: int


class Audit(Component):
    """Complete listings of the ledger, and lookups by key."""

    def files_by_key(self) -> Iterator[AuditedFile]:
        """Every version of every raw file, by key (code points) and ETag."""
        return map(_file, self._pages(query("files_by_key"), {"s3_key": "", "etag": "", "times_back": 0}))

    def versions_of_key(self, key: str) -> list[AuditedFile]:
        """The versions of one raw file."""
        with self._database.transaction() as connection:
            return [_file(row) for row in connection.execute(query("versions_of_key"), {"s3_key": key})]

    def files_by_archive_key(self) -> Iterator[AuditedFile]:
        """Every raw file with a key in the archive, by that key."""
        return map(_file, self._pages(query("files_by_archive_key"), {"archive_key": ""}))

    def file_of_archive_key(self, key: str) -> AuditedFile | None:
        """The raw file whose key in the archive is `key`."""
        with self._database.transaction() as connection:
            row = connection.execute(query("file_of_archive_key"), {"archive_key": key}).one_or_none()
        return _file(row) if row else None

    def accounts_by_id(self) -> Iterator[FileAccount]:
        """The account of every raw file, by file_id."""
        return map(_account, self._pages(query("accounts_by_id"), {"file_id": 0}))

    def account_of_id(self, file_id: int) -> FileAccount | None:
        """The account of one raw file."""
        with self._database.transaction() as connection:
            row = connection.execute(query("account_of_id"), {"file_id": file_id}).one_or_none()
        return _account(row) if row else None

    def curated_by_key(self) -> Iterator[AuditedObject]:
        """Every curated file that readers see, by key."""
        return map(_object, self._pages(query("curated_by_key"), {"s3_key": ""}))

    def curated_of_key(self, key: str) -> AuditedObject | None:
        """The curated file with this key, if readers see it."""
        with self._database.transaction() as connection:
            row = connection.execute(query("curated_of_key"), {"s3_key": key}).one_or_none()
        return _object(row) if row else None

    def curated_of_file(self, file_id: int) -> list[AuditedObject]:
        """The curated files that readers see and that contain rows of a raw file."""
        with self._database.transaction() as connection:
            return [_object(row) for row in connection.execute(query("curated_of_file"), {"file_id": file_id})]

    def was_curated(self, key: str) -> bool:
        """Whether a curated file with this key was published and later replaced or removed."""
        with self._database.transaction() as connection:
            return bool(connection.scalar(query("was_curated"), {"s3_key": key}))

    def quarantine_by_key(self) -> Iterator[AuditedObject]:
        """Every file with quarantined records, by key."""
        return map(_object, self._pages(query("quarantine_by_key"), {"s3_key": ""}))

    def quarantine_of_key(self, key: str) -> AuditedObject | None:
        """The file of quarantined records with this key."""
        with self._database.transaction() as connection:
            row = connection.execute(query("quarantine_of_key"), {"s3_key": key}).one_or_none()
        return _object(row) if row else None

    def quarantine_of_batch(self, batch_id: str) -> list[AuditedObject]:
        """The files with records that a batch quarantined."""
        with self._database.transaction() as connection:
            return [_object(row) for row in connection.execute(query("quarantine_of_batch"), {"batch_id": batch_id})]

    def is_being_published(self, key: str) -> bool:
        """Whether an object with this key is being published, or will be when its batch is rolled forward."""
        with self._database.transaction() as connection:
            return bool(connection.scalar(query("is_being_published"), {"s3_key": key}))

    def open_batches(self) -> list[HeldBatch]:
        """The unfinished batches, oldest first."""
        with self._database.transaction() as connection:
            return [
                HeldBatch(
                    batch_id=row.batch_id,
                    state=BatchState(row.state),
                    owner=row.owner,
                    expired=row.expired,
                    files=row.files,
                )
                for row in connection.execute(query("open_batches"))
            ]

    def _pages(self, sql: TextClause, after: dict[str, Any]) -> Iterator[Row[Any]]:
        """Every row of a query after the values of `after`, which are the columns of its order."""
        while True:
            with self._database.transaction() as connection:
                rows = connection.execute(sql, {**after, "limit": PAGE_ROWS}).all()
            yield from rows
            if len(rows) < PAGE_ROWS:
                return
            after = {column: getattr(rows[-1], column) for column in after}


def _file(row: Row[Any]) -> AuditedFile:
    return AuditedFile(
        file_id=row.file_id,
        key=row.s3_key,
        etag=row.etag,
        size=row.size_bytes,
        state=FileState(row.processing_status),
        archive_state=ArchiveState(row.archive_state),
        archive_key=row.archive_key,
        age=float(row.age),
    )


def _account(row: Row[Any]) -> FileAccount:
    return FileAccount(
        file_id=row.file_id,
        key=row.s3_key,
        state=FileState(row.processing_status),
        batch_id=row.batch_id,
        read=row.rows_read,
        published=row.rows_published,
        quarantined=row.rows_quarantined,
        lineage=row.lineage_rows,
        age=None if row.age is None else float(row.age),
    )


def _object(row: Row[Any]) -> AuditedObject:
    values = row._mapping
    return AuditedObject(
        key=row.s3_key,
        rows=row.rows,
        size=row.size_bytes,
        etag=row.etag,
        rows_by_file={int(file_id): rows for file_id, rows in (values.get("rows_by_file") or {}).items()},
        batch_id=values.get("batch_id"),
        age=float(values.get("age") or 0),
    )
