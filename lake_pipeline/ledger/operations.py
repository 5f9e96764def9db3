"""Operations: what a person decides about failed files and unfinished batches.

The next claim treats a retried file as new; its history shows the retry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import days_and_modes
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import BatchState, FileState

PAGE_FILES = 5_000
"""Files retried in one transaction: a second of work, and claims are not blocked."""


@dataclass(frozen=True, kw_only=True)
class FailureFilter:
    """Selects failed and quarantined files that meet all conditions. None means no condition.

    `pattern` is a glob over the key: `*` matches anything (slashes too), `?` one character. `parser_version` is the
    version of this program that set the last outcome.
    """

    states: tuple[FileState, ...] = (FileState.FAILED, FileState.QUARANTINED)
    reason: str | None = None
    pattern: str | None = None
    parser_version: str | None = None

    def parameters(self) -> dict[str, Any]:
        """Parameters of the queries."""
        return {
            "states": [state.value for state in self.states],
            "reason": self.reason,
            "pattern": None if self.pattern is None else _like(self.pattern),
            "parser_version": self.parser_version,
        }


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Files with the same state and reason; `first_key` is one of them, `bytes` their sum as stored."""

    state: FileState
    error_class: str | None
    reason: str | None
    parser_version: str | None
    files: int
    bytes: int
    first_key: str


@dataclass(frozen=True, kw_only=True)
class OpenBatch:
    """An unfinished batch."""

    batch_id: str
    state: BatchState
    owner: str


class Operations(Component):
    """Retries and releases by a person."""

    def failures(self, selected: FailureFilter) -> list[FailureGroup]:
        """The selected failed and quarantined files, grouped by reason, largest group first."""
        with self._database.transaction() as connection:
            return [
                FailureGroup(
                    state=FileState(row.processing_status),
                    error_class=row.error_class,
                    reason=row.error_reason,
                    parser_version=row.parser_version,
                    files=row.files,
                    bytes=row.bytes,
                    first_key=row.first_key,
                )
                for row in connection.execute(query("failed_files"), selected.parameters())
            ]

    def retry(self, selected: FailureFilter) -> Iterator[int]:
        """Make the selected files PENDING again with zero attempts; yields the number of files of each page.

        Each page is committed, so files of finished pages stay pending if this is interrupted.
        """
        after = 0
        while True:
            with self._database.transaction() as connection:
                values = {**selected.parameters(), "after": after, "limit": PAGE_FILES}
                file_ids = connection.scalars(query("retry_files"), values).all()
            if not file_ids:
                return
            after = max(file_ids)
            yield len(file_ids)

    def retry_now(self, partitions: Collection[PartitionKey]) -> int:
        """End the backoff of failed files that are expected in `partitions`; returns the number of files.

        Their attempts stay counted, so a file that always fails is still quarantined.
        """
        with self._database.transaction() as connection:
            return connection.execute(query("retry_now"), days_and_modes(partitions)).rowcount

    def open_batches(self, owner_or_id: str) -> list[OpenBatch]:
        """The unfinished batches with this id, or of this owner, host or process."""
        with self._database.transaction() as connection:
            return [
                OpenBatch(batch_id=row.batch_id, state=BatchState(row.state), owner=row.owner)
                for row in connection.execute(query("open_batches_of"), {"owner_or_id": owner_or_id})
            ]


def _like(pattern: str) -> str:
    """The LIKE pattern of a glob."""
    escaped = pattern.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%").replace("?", "_")
