"""The log of manifests: what the store keeps of each batch, and the numbers that order them.

Writing them to the store is the task of the caller; replaying them is in `replay`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.errors import LeaseLost
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.settlement import LockedFile
from lake_pipeline.model.commit import Commit, CommittedFile
from lake_pipeline.model.manifest import Manifest, Outcome
from lake_pipeline.model.states import BatchState

PAGE_NUMBERS = 10_000
"""Numbers of a page: about a megabyte."""


@dataclass(frozen=True, kw_only=True)
class NumberedBatch:
    """A batch past its point of no return, and the number of its manifest."""

    number: int
    batch_id: str
    state: BatchState


class CommitLog(Component):
    """The recorded manifests, in their order."""

    def last_number(self) -> int:
        """The number of the newest manifest; 0 before the first one."""
        with self._database.transaction() as connection:
            return last_number(connection)

    def commit(self, batch_id: str) -> Commit:
        """The commit of a batch. Raises `LeaseLost` for a batch that never passed its point of no return."""
        with self._database.transaction() as connection:
            batch = connection.execute(query("recorded_batch"), {"batch_id": batch_id}).one_or_none()
            if batch is None:
                raise LeaseLost(batch_id)
            manifest = Manifest.from_json(batch.manifest)
            files = _files(connection, manifest)
        return Commit(
            number=batch.manifest_number,
            batch_id=batch_id,
            kind=batch.kind,
            engine=batch.engine,
            created_at=batch.created_at.isoformat(),
            files=files,
            manifest=manifest,
            evidence=batch.evidence,
            contract_version=batch.contract_version,
            contract=batch.contract,
        )

    def batches(self) -> Iterator[NumberedBatch]:
        """Every batch with a number, in the order of numbers; memory is bounded by a page."""
        last = 0
        while page := self._page(last):
            yield from page
            last = page[-1].number

    def unfinished(self) -> list[NumberedBatch]:
        """The batches past their point of no return that are not finished."""
        with self._database.transaction() as connection:
            return [_numbered(row) for row in connection.execute(query("unfinished_numbers"))]

    def _page(self, after: int) -> list[NumberedBatch]:
        values = {"manifest_number": after, "limit": PAGE_NUMBERS}
        with self._database.transaction() as connection:
            return [_numbered(row) for row in connection.execute(query("manifest_numbers"), values)]


def _numbered(row: Row[Any]) -> NumberedBatch:
    return NumberedBatch(number=row.manifest_number, batch_id=row.batch_id, state=BatchState(row.state))


def last_number(connection: Connection) -> int:
    """See `CommitLog.last_number`."""
    number: int = connection.scalar(query("last_manifest_number"))
    return number


def _files(connection: Connection, manifest: Manifest) -> tuple[CommittedFile, ...]:
    converted = {file.file_id for file in manifest.files if file.outcome is Outcome.CONVERTED}
    rows = connection.execute(query("files_of_commit"), {"file_ids": _file_ids(manifest)})
    return tuple(
        CommittedFile(
            file_id=row.file_id,
            key=row.s3_key,
            etag=row.etag,
            times_back=row.times_back,
            size=row.size_bytes,
            lane=row.lane,
            day=row.expected_date.isoformat() if row.expected_date else None,
            mode=row.expected_mode,
            archive_key=_archived(row.file_id, row.s3_key, row.versioned) if row.file_id in converted else None,
        )
        for row in rows
    )


def _file_ids(manifest: Manifest) -> Collection[int]:
    outcomes = (*manifest.files, *manifest.rebuilt)
    return sorted({*(file.file_id for file in outcomes), *manifest.superseded})


def _archived(file_id: int, key: str, versioned: bool) -> str:
    """The key that `settle` gives the original."""
    return LockedFile(file_id=file_id, key=key, attempts=0, versioned=versioned).archive_key
