"""Snapshots: published files that are held under a name, as they are, until somebody drops it.

What a snapshot holds is decided in one transaction, beside no other publish, and never changes after it. Where the
bytes of a held file stand is a matter of the store.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.errors import FilesMoved, PermanentError, SnapshotsHold
from lake_pipeline.ledger.agreeing import one_at_a_time
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.views import CuratedFile, curated_file
from lake_pipeline.model.partitions import escape_mode, mode_of_key
from lake_pipeline.model.selections import Selection

PAGE = 5_000

Version = tuple[str, str]
"""Key and ETag of a published file: the same key may have had others."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A snapshot: `files` and their `rows` and `size` in bytes, as `selection` found them under `contract_version`.

    `checks` has for each check of its partitions how many passed and how many of these warned. `digest` is that of
    its files and columns: two snapshots with the same one hold the same rows.
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
    """A published file that a selection finds, with its id in the ledger. One that is `moving` is being replaced."""

    curated_file_id: int
    file: CuratedFile
    moving: bool


@dataclass(frozen=True, kw_only=True)
class HeldFile:
    """A version of a published file that `snapshots` hold. `removed`: readers of the plain path do not see it."""

    key: str
    etag: str
    rows: int
    size: int
    removed: bool
    snapshots: tuple[str, ...]


class Snapshots(Database):
    """The part of the ledger that holds published files."""

    def selected_files(self, selection: Selection) -> list[SelectedFile]:
        """The published files that a selection finds, by partition and key."""
        with self.transaction() as connection:
            return _selected(connection, selection)

    def add_snapshot(
        self,
        name: str,
        selection: Selection,
        seen: Sequence[SelectedFile],
        *,
        contract_version: int,
        checks: Mapping[str, Mapping[str, int]],
        digest: str,
    ) -> Snapshot:
        """Hold the files that were `seen`, if they still are what the selection finds.

        Raises `FilesMoved` where they are not, or where a batch is about to replace one of them: look again.
        `PermanentError` where the name is taken.
        """
        ids = [each.curated_file_id for each in seen]
        with self.transaction() as connection:
            # No batch passes its point of no return meanwhile: one that does so later sees what is held.
            one_at_a_time(connection)
            found = _selected(connection, selection)
            if [each.curated_file_id for each in found] != ids or any(each.moving for each in found):
                raise FilesMoved("Others publish files of this selection, or replace some of them, at this moment.")
            snapshot_id = connection.scalar(
                query("add_snapshot"),
                {
                    **_days_and_modes(selection),
                    "name": name,
                    "columns": None if selection.columns is None else list(selection.columns),
                    "contract_version": contract_version,
                    "files": len(seen),
                    "rows": sum(each.file.rows for each in seen),
                    "size_bytes": sum(each.file.size for each in seen),
                    "checks": json.dumps(checks),
                    "digest": digest,
                },
            )
            if snapshot_id is None:
                raise PermanentError(f"There is a snapshot {name} already. Drop it, or choose another name.")
            connection.execute(query("add_snapshot_files"), {"snapshot_id": snapshot_id, "curated_file_ids": ids})
        return self.snapshot(name)

    def snapshots(self) -> list[Snapshot]:
        """Every snapshot, the newest first."""
        return self._snapshots(None)

    def snapshot(self, name: str) -> Snapshot:
        """The snapshot of that name. Raises `PermanentError` where there is none."""
        for found in self._snapshots(name):
            return found
        raise PermanentError(f"There is no snapshot {name}. `lake snapshot list` shows those there are.")

    def _snapshots(self, name: str | None) -> list[Snapshot]:
        with self.transaction() as connection:
            return [_snapshot(row) for row in connection.execute(query("snapshots"), {"name": name})]

    def snapshot_files(self, snapshot: Snapshot) -> list[CuratedFile]:
        """The files that a snapshot holds, by partition and key; where they stand is for the store to find."""
        with self.transaction() as connection:
            rows = connection.execute(query("snapshot_files"), {"snapshot_id": snapshot.snapshot_id})
            return [curated_file(row) for row in rows]

    def drop_snapshot(self, name: str) -> bool:
        """Let go of what it holds; False where there is no such snapshot (any more)."""
        with self.transaction() as connection:
            one_at_a_time(connection)
            return connection.execute(query("drop_snapshot"), {"name": name}).rowcount == 1

    def files_to_let_go(self) -> list[Version]:
        """What dropped snapshots held and nobody needs any more."""
        with self.transaction() as connection:
            return [(row.s3_key, row.etag) for row in connection.execute(query("files_to_let_go"))]

    def forget_dropped_files(self) -> None:
        """Note that those are gone."""
        with self.transaction() as connection:
            connection.execute(query("forget_dropped_files"))

    def held_versions(self, versions: Collection[Version]) -> list[Version]:
        """Which of these versions a snapshot holds."""
        keys, etags = zip(*versions, strict=True) if versions else ((), ())
        with self.transaction() as connection:
            rows = connection.execute(query("held_versions"), {"keys": list(keys), "etags": list(etags)})
            return sorted((row.s3_key, row.etag) for row in rows)

    def snapshots_with(self, file_ids: Collection[int]) -> list[str]:
        """The names of the snapshots that hold rows of some raw files."""
        with self.transaction() as connection:
            return _snapshots_with(connection, file_ids)

    def held_files(self) -> Iterator[HeldFile]:
        """Every version that is held, by key and ETag; no transaction stays open between pages."""
        after: dict[str, Any] = {"s3_key": "", "etag": ""}
        while True:
            with self.transaction() as connection:
                rows = connection.execute(query("held_files"), {**after, "limit": PAGE}).all()
            yield from map(_held_file, rows)
            if len(rows) < PAGE:
                return
            after = {"s3_key": rows[-1].s3_key, "etag": rows[-1].etag}

    def held_files_of_key(self, key: str) -> list[HeldFile]:
        """The versions of one key that are held."""
        with self.transaction() as connection:
            return [_held_file(row) for row in connection.execute(query("held_files_of_key"), {"s3_key": key})]


def _selected(connection: Connection, selection: Selection) -> list[SelectedFile]:
    rows = connection.execute(query("selected_files"), _days_and_modes(selection))
    return [
        SelectedFile(curated_file_id=row.curated_file_id, file=curated_file(row), moving=row.moving) for row in rows
    ]


def refuse_held(connection: Connection, file_ids: Collection[int]) -> None:
    """Raises `SnapshotsHold` where a snapshot holds rows of raw files that should be forgotten."""
    held = _snapshots_with(connection, file_ids)
    if held:
        raise SnapshotsHold(", ".join(f"_file_id {file_id}" for file_id in sorted(file_ids)), held)


def _snapshots_with(connection: Connection, file_ids: Collection[int]) -> list[str]:
    return list(connection.scalars(query("snapshots_with"), {"file_ids": sorted(file_ids)}))


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


def _held_file(row: Row[Any]) -> HeldFile:
    return HeldFile(
        key=row.s3_key,
        etag=row.etag,
        rows=row.rows,
        size=row.size_bytes,
        removed=row.removed,
        snapshots=tuple(row.snapshots),
    )
