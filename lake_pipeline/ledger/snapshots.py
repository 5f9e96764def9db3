"""Snapshots: published files that are retained unchanged under a name, until the snapshot is dropped.

The contents are decided in one transaction, which excludes publications, and never change afterwards. The store knows
where the bytes of a retained file are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.errors import FilesMoved, PermanentError, RetainedBySnapshots
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.contract_agreement import serialize_manifests
from lake_pipeline.ledger.curated import CuratedFile, curated_file
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.partitions import escape_mode, mode_of_key
from lake_pipeline.model.selections import Selection
from lake_pipeline.model.snapshot_record import SnapshotRecord

PAGE_ROWS = 5_000

Version = tuple[str, str]
"""Key and ETag of a published file: a key may have had several ETags."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A snapshot of what `selection` matched under `contract_version`: `files` with their `rows` and `size` in bytes.

    `checks` has the number of passed checks, and of these with a warning, for each check of its partitions. `digest`
    covers its files and columns: two snapshots with the same digest have the same rows.
    """

    name: str
    selection: Selection
    contract_version: int
    files: int
    rows: int
    size: int
    checks: Mapping[str, Mapping[str, int]]
    digest: str
    created_at: datetime
    snapshot_id: int


@dataclass(frozen=True, kw_only=True)
class SelectedFile:
    """A published file that matches a selection, with its id in the ledger; `moving` if it is being replaced."""

    curated_file_id: int
    file: CuratedFile
    moving: bool


@dataclass(frozen=True, kw_only=True)
class RetainedFile:
    """A version of a published file in `snapshots`. `removed`: readers of the plain path no longer see it."""

    key: str
    etag: str
    rows: int
    size: int
    removed: bool
    snapshots: tuple[str, ...]


class Snapshots(Component):
    """Snapshots and the files they retain."""

    def select(self, selection: Selection) -> list[SelectedFile]:
        """The published files that match a selection, by partition and key."""
        with self._database.transaction() as connection:
            return _selected(connection, selection)

    def add(self, record: SnapshotRecord, selection: Selection, selected: Sequence[SelectedFile]) -> Snapshot:
        """Retain the `selected` files, if they still are what the selection matches.

        Raises `FilesMoved` if they are not, or if a batch is about to replace one of them: select again.
        `PermanentError` if the name is taken.
        """
        ids = [file.curated_file_id for file in selected]
        with self._database.transaction() as connection:
            # No batch passes its point of no return meanwhile. A later one sees which files are retained.
            serialize_manifests(connection)
            current = _selected(connection, selection)
            if [file.curated_file_id for file in current] != ids or any(file.moving for file in current):
                raise FilesMoved("Other batches are publishing or replacing files of this selection.")
            if not _add(connection, record, ids):
                raise PermanentError(f"Snapshot {record.name} exists already. Drop it, or choose another name.")
        return self.get(record.name)

    def record(self, snapshot: Snapshot) -> SnapshotRecord:
        """What the store keeps of a snapshot."""
        files = [(file.key, file.etag) for file in self.files(snapshot)]
        return snapshot_record(
            snapshot.name,
            snapshot.selection,
            files,
            contract_version=snapshot.contract_version,
            rows=snapshot.rows,
            size=snapshot.size,
            checks=snapshot.checks,
            digest=snapshot.digest,
        )

    def restore(self, record: SnapshotRecord) -> bool:
        """Add a snapshot of the store to a ledger that is rebuilt; False if the ledger does not have all its files."""
        keys, etags = zip(*record.files, strict=True) if record.files else ((), ())
        with self._database.transaction() as connection:
            serialize_manifests(connection)
            versions = {"keys": list(keys), "etags": list(etags)}
            ids = list(connection.scalars(query("curated_files_of_versions"), versions))
            if len(ids) != len(record.files):
                return False
            _add(connection, record, ids)
        return True

    def was_dropped(self, record: SnapshotRecord) -> bool:
        """Whether the ledger had this snapshot and it was dropped."""
        with self._database.transaction() as connection:
            return bool(
                connection.scalar(query("snapshot_was_dropped"), {"name": record.name, "digest": record.digest})
            )

    def all(self) -> list[Snapshot]:
        """Every snapshot, newest first."""
        return self._snapshots(None)

    def get(self, name: str) -> Snapshot:
        """The snapshot with that name. Raises `PermanentError` if there is none."""
        for snapshot in self._snapshots(name):
            return snapshot
        raise PermanentError(f"Snapshot {name} does not exist. `lake snapshot list` shows all snapshots.")

    def _snapshots(self, name: str | None) -> list[Snapshot]:
        with self._database.transaction() as connection:
            return [_snapshot(row) for row in connection.execute(query("snapshots"), {"name": name})]

    def files(self, snapshot: Snapshot) -> list[CuratedFile]:
        """The files of a snapshot, by partition and key. The store finds where their bytes are."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("snapshot_files"), {"snapshot_id": snapshot.snapshot_id})
            return [curated_file(row) for row in rows]

    def drop(self, name: str) -> bool:
        """Drop a snapshot; False if it does not exist."""
        with self._database.transaction() as connection:
            serialize_manifests(connection)
            return connection.execute(query("drop_snapshot"), {"name": name}).rowcount == 1

    def releasable_files(self) -> list[Version]:
        """Files of dropped snapshots that no other snapshot and no reader needs."""
        with self._database.transaction() as connection:
            return [(row.s3_key, row.etag) for row in connection.execute(query("releasable_files"))]

    def forget_released_files(self) -> None:
        """Record that the copies of released files were deleted."""
        with self._database.transaction() as connection:
            connection.execute(query("forget_released_files"))

    def retained(self, versions: Collection[Version]) -> list[Version]:
        """Which of these versions are in a snapshot."""
        keys, etags = zip(*versions, strict=True) if versions else ((), ())
        with self._database.transaction() as connection:
            rows = connection.execute(query("retained_versions"), {"keys": list(keys), "etags": list(etags)})
            return sorted((row.s3_key, row.etag) for row in rows)

    def containing(self, file_ids: Collection[int]) -> list[str]:
        """The names of the snapshots that contain rows of some raw files."""
        with self._database.transaction() as connection:
            return _snapshots_containing(connection, file_ids)

    def retained_files(self) -> Iterator[RetainedFile]:
        """Every retained version, by key and ETag. No transaction stays open between pages."""
        after: dict[str, Any] = {"s3_key": "", "etag": ""}
        while True:
            with self._database.transaction() as connection:
                rows = connection.execute(query("retained_files"), {**after, "limit": PAGE_ROWS}).all()
            yield from map(_retained_file, rows)
            if len(rows) < PAGE_ROWS:
                return
            after = {"s3_key": rows[-1].s3_key, "etag": rows[-1].etag}

    def retained_files_of_key(self, key: str) -> list[RetainedFile]:
        """The retained versions of one key."""
        with self._database.transaction() as connection:
            return [_retained_file(row) for row in connection.execute(query("retained_files_of_key"), {"s3_key": key})]


def _add(connection: Connection, record: SnapshotRecord, curated_file_ids: Sequence[int]) -> bool:
    """False if the name is taken."""
    snapshot_id = connection.scalar(
        query("add_snapshot"),
        {
            "name": record.name,
            "first": record.first,
            "last": record.last,
            "modes": None if record.modes is None else list(record.modes),
            "columns": None if record.columns is None else list(record.columns),
            "contract_version": record.contract_version,
            "files": len(curated_file_ids),
            "rows": record.rows,
            "size_bytes": record.size,
            "checks": json.dumps(record.checks),
            "digest": record.digest,
        },
    )
    if snapshot_id is None:
        return False
    values = {"snapshot_id": snapshot_id, "curated_file_ids": list(curated_file_ids)}
    connection.execute(query("add_snapshot_files"), values)
    return True


def snapshot_record(
    name: str,
    selection: Selection,
    files: Sequence[Version],
    *,
    contract_version: int,
    rows: int,
    size: int,
    checks: Mapping[str, Mapping[str, int]],
    digest: str,
) -> SnapshotRecord:
    """What the store keeps of a snapshot with these fields."""
    values = _days_and_modes(selection)
    return SnapshotRecord(
        name=name,
        first=selection.first.isoformat() if selection.first else None,
        last=selection.last.isoformat() if selection.last else None,
        modes=None if values["modes"] is None else tuple(values["modes"]),
        columns=selection.columns,
        contract_version=contract_version,
        rows=rows,
        size=size,
        checks=checks,
        digest=digest,
        files=tuple(files),
    )


def _selected(connection: Connection, selection: Selection) -> list[SelectedFile]:
    rows = connection.execute(query("selected_files"), _days_and_modes(selection))
    return [
        SelectedFile(curated_file_id=row.curated_file_id, file=curated_file(row), moving=row.moving) for row in rows
    ]


def refuse_retained(connection: Connection, file_ids: Collection[int]) -> None:
    """Raises `RetainedBySnapshots` if a snapshot contains rows of raw files that should be forgotten."""
    snapshots = _snapshots_containing(connection, file_ids)
    if snapshots:
        raise RetainedBySnapshots(", ".join(f"_file_id {file_id}" for file_id in sorted(file_ids)), snapshots)


def _snapshots_containing(connection: Connection, file_ids: Collection[int]) -> list[str]:
    return list(connection.scalars(query("snapshots_containing"), {"file_ids": sorted(file_ids)}))


def _days_and_modes(selection: Selection) -> dict[str, Any]:
    modes = selection.modes
    return {
        "first": selection.first,
        "last": selection.last,
        # In the form that the ledger stores.
        "modes": None if modes is None else [escape_mode(mode).replace("%", "~") for mode in modes],
    }


def _snapshot(row: Row[Any]) -> Snapshot:
    return Snapshot(
        snapshot_id=row.snapshot_id,
        name=row.name,
        selection=Selection(
            first=row.first_day,
            last=row.last_day,
            modes=None if row.modes is None else tuple(map(mode_of_key, row.modes)),
            columns=None if row.columns is None else tuple(row.columns),
        ),
        contract_version=row.contract_version,
        files=row.files,
        rows=row.rows,
        size=row.size_bytes,
        checks=row.checks,
        digest=row.digest,
        created_at=row.created_at,
    )


def _retained_file(row: Row[Any]) -> RetainedFile:
    return RetainedFile(
        key=row.s3_key,
        etag=row.etag,
        rows=row.rows,
        size=row.size_bytes,
        removed=row.removed,
        snapshots=tuple(row.snapshots),
    )
