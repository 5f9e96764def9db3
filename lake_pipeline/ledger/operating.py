"""Operating: what a person decides about files and batches, where the ledger would go on waiting or has given up.

The next claim treats what was brought back as new; that it was brought back stands in its history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lake_pipeline.ledger.claims import days_and_modes
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import BatchState, FileState

PAGE = 5_000
"""Files brought back in one transaction: a second of work, and claims go on beside it."""


@dataclass(frozen=True, kw_only=True)
class RefusedFiles:
    """Which files are meant: all conditions hold. None is no condition.

    `pattern` is a glob over the key: `*` for anything (slashes too), `?` for one character. `parser_version` is the
    version of this program that said last what became of the file.
    """

    states: tuple[FileState, ...] = (FileState.FAILED, FileState.QUARANTINED)
    reason: str | None = None
    pattern: str | None = None
    parser_version: str | None = None

    def parameters(self) -> dict[str, Any]:
        """As the queries take it."""
        return {
            "states": [state.value for state in self.states],
            "reason": self.reason,
            "pattern": None if self.pattern is None else _like(self.pattern),
            "parser_version": self.parser_version,
        }


@dataclass(frozen=True, kw_only=True)
class RefusedGroup:
    """Files of which the same is said; `first_key` is one of them, `bytes` are theirs as stored."""

    state: FileState
    error_class: str | None
    reason: str | None
    parser_version: str | None
    files: int
    bytes: int
    first_key: str


@dataclass(frozen=True, kw_only=True)
class LiveBatch:
    """A batch that is not over."""

    batch_id: str
    state: BatchState
    owner: str


class Operating(Database):
    """The part of the ledger for people."""

    def refused(self, chosen: RefusedFiles) -> list[RefusedGroup]:
        """The failed and quarantined files that are chosen, grouped by what is said of them, most files first."""
        with self.transaction() as connection:
            return [
                RefusedGroup(
                    state=FileState(row.processing_status),
                    error_class=row.error_class,
                    reason=row.error_reason,
                    parser_version=row.parser_version,
                    files=row.files,
                    bytes=row.bytes,
                    first_key=row.first_key,
                )
                for row in connection.execute(query("refused"), chosen.parameters())
            ]

    def bring_back(self, chosen: RefusedFiles) -> Iterator[int]:
        """Make the chosen files PENDING again with no attempt behind them; yields the number of each page.

        What was brought back stays so when this is stopped half way.
        """
        after = 0
        while True:
            with self.transaction() as connection:
                values = {**chosen.parameters(), "after": after, "limit": PAGE}
                file_ids = connection.scalars(query("bring_back"), values).all()
            if not file_ids:
                return
            after = max(file_ids)
            yield len(file_ids)

    def hurry(self, partitions: Collection[PartitionKey]) -> int:
        """Let the failed files that promise one of `partitions` be tried at once; returns how many had a pause left.

        Their attempts stay counted, so a file that fails for ever is quarantined as before.
        """
        with self.transaction() as connection:
            return connection.execute(query("hurry"), days_and_modes(partitions)).rowcount

    def live_batches_of(self, who: str) -> list[LiveBatch]:
        """The batches that are not over with this id, or of this owner, host or process."""
        with self.transaction() as connection:
            return [
                LiveBatch(batch_id=row.batch_id, state=BatchState(row.state), owner=row.owner)
                for row in connection.execute(query("live_batches_of"), {"who": who})
            ]


def _like(pattern: str) -> str:
    """A glob as a pattern of LIKE."""
    escaped = pattern.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%").replace("?", "_")
