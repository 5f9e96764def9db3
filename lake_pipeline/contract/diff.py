"""Differences between two contracts: a line for each column that is new, wider, has new fields, or is gone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.paths import show_path
from lake_pipeline.contract.widening import wider_type


class Change(StrEnum):
    """What happened to a column."""

    ADDED = "added"
    WIDENED = "widened"
    GREW = "grew"
    REMOVED = "removed"


_SIGNS = {Change.ADDED: "+", Change.WIDENED: "~", Change.GREW: "~", Change.REMOVED: "-"}


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """One column that differs. `before` is None if it is new, `after` if it is gone. Types are Arrow's names."""

    change: Change
    column: str
    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        sign = _SIGNS[self.change]
        if self.change is Change.ADDED:
            return f"{sign} {self.column} {self.after} (from {self.path})"
        if self.change is Change.REMOVED:
            return f"{sign} {self.column} {self.before} (from {self.path})"
        how = "widened" if self.change is Change.WIDENED else "has new fields"
        return f"{sign} {self.column} {how}: {self.before} → {self.after} (from {self.path})"


def changes(before: Contract | None, after: Contract | None) -> list[ColumnChange]:
    """The changes from `before` to `after`, in the order of the columns. None is a contract without columns."""
    old = {column.path: column for column in before.columns} if before else {}
    new = {column.path: column for column in after.columns} if after else {}
    changed = [_compare(old.get(path), column) for path, column in new.items()]
    removed = [_change(Change.REMOVED, column, None) for path, column in old.items() if path not in new]
    return [change for change in [*changed, *removed] if change is not None]


def _compare(before: Column | None, after: Column) -> ColumnChange | None:
    if before is None:
        return _change(Change.ADDED, None, after)
    if before.type.equals(after.type):
        return None
    widened = not before.type.equals(wider_type(before.type, after.type))
    return _change(Change.WIDENED if widened else Change.GREW, before, after)


def _change(change: Change, before: Column | None, after: Column | None) -> ColumnChange:
    column = after or before
    assert column is not None, "a change has a column"
    return ColumnChange(
        change=change,
        column=column.name,
        path=show_path(column.path),
        before=str(before.type) if before else None,
        after=str(after.type) if after else None,
    )
