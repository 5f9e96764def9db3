"""Selections of the curated table: days, modes and columns. A snapshot retains one, a dataset reads one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Days from `first` to `last` (inclusive), `modes`, and `columns` of each row; None means all."""

    first: date | None = None
    last: date | None = None
    modes: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.first and self.last and self.last < self.first:
            raise ValueError(f"the last day, {self.last}, is before the first day, {self.first}")
        if self.modes is not None and not self.modes:
            raise ValueError("a selection without modes has no rows; omit modes to select all")
        if self.columns is not None and len(set(self.columns)) != len(self.columns):
            raise ValueError("a column is listed twice")

    def holds(self, partition: PartitionKey) -> bool:
        """Whether the rows of `partition` are selected."""
        return (
            (self.first is None or self.first <= partition.day)
            and (self.last is None or partition.day <= self.last)
            and (self.modes is None or partition.mode in self.modes)
        )

    @classmethod
    def of(
        cls,
        *,
        first: date | str | None = None,
        last: date | str | None = None,
        modes: Iterable[str] | None = None,
        columns: Iterable[str] | None = None,
    ) -> Selection:
        """A selection from user input: days as YYYY-MM-DD, too. Raises ValueError for other text."""
        return cls(
            first=date.fromisoformat(first) if isinstance(first, str) else first,
            last=date.fromisoformat(last) if isinstance(last, str) else last,
            modes=None if modes is None else tuple(sorted(set(modes))),
            columns=None if columns is None else tuple(columns),
        )
