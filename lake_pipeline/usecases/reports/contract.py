"""Reports about the contract: its columns, their evidence and their history, as values.

They read the ledger and change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.diff import ColumnChange, changes
from lake_pipeline.contract.evidence import ALL
from lake_pipeline.contract.paths import show_path
from lake_pipeline.contract.shapes import Kind
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.contracts import PathEvidence
from lake_pipeline.usecases.lake import Lake


@dataclass(frozen=True, kw_only=True)
class PathFacts:
    """The values at one JSON path, over all published rows since evidence is kept.

    `kinds` maps kinds of values to rows, the most frequent first; `share` is the ratio of rows with a value, 0 to 1.
    `column`, `type` and `since` (a contract version) are None if the path has no column; its values are then in
    `_rescued`. `conflicts` are the kinds that do not fit the column. If `wants_to_widen`, it got fractions and was not
    widened; if `widening_is_lossy` because it has integers that no double holds.
    """

    path: str
    column: str | None
    type: str | None
    since: int | None
    kinds: Mapping[str, int]
    share: float
    first_key: str | None
    last_key: str | None
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    conflicts: tuple[str, ...]
    wants_to_widen: bool
    widening_is_lossy: bool


@dataclass(frozen=True, kw_only=True)
class ContractFacts:
    """The contract in force with its evidence. `rows` is what the shares of its columns relate to."""

    version: int
    rows: int
    columns: tuple[PathFacts, ...]
    without_column: tuple[PathFacts, ...]


@dataclass(frozen=True, kw_only=True)
class HistoryStep:
    """A contract version: its time, the batch that added it (INGEST or WIDEN), and its changes."""

    version: int
    at: datetime
    batch_id: str
    batch_kind: str
    changes: tuple[ColumnChange, ...]


def describe(lake: Lake) -> ContractFacts:
    """The contract in force. Raises `PermanentError` if there is none yet."""
    contract = _in_force(lake)
    seen: dict[str, list[PathEvidence]] = {}
    for evidence in lake.ledger.contracts.evidence():
        seen.setdefault(evidence.path, []).append(evidence)
    rows = sum(evidence.rows for evidence in seen.pop(ALL, []))
    requested = dict.fromkeys(lake.ledger.contracts.requested_widenings(), False)
    requested |= dict.fromkeys(lake.ledger.contracts.lossy_widenings(), True)
    columns = {show_path(column.path): column for column in contract.columns}
    untyped = [show_path(path) for path, shape in contract.root.leaves() if shape.storable is None]
    others = dict.fromkeys([*untyped, *seen])
    return ContractFacts(
        version=contract.version,
        rows=rows,
        columns=tuple(_facts(path, column, seen.get(path, []), rows, requested) for path, column in columns.items()),
        without_column=tuple(
            _facts(path, None, seen.get(path, []), rows, requested) for path in others if path not in columns
        ),
    )


def diff(lake: Lake, before: int | None = None, after: int | None = None) -> tuple[int, int, list[ColumnChange]]:
    """The two versions and the changes between them: of the last step, since `before`, or from `before` to `after`.

    Raises `PermanentError` for a version that does not exist. 0 is the contract before the first, without columns.
    """
    newest = _in_force(lake).version
    to = newest if after is None else after
    since = to - 1 if before is None else before
    old, new = (_version(lake, version, newest) for version in (since, to))
    return since, to, changes(old, new)


def history(lake: Lake) -> list[HistoryStep]:
    """Every version, oldest first; empty if there is no contract yet."""
    steps = []
    before: Contract | None = None
    for step in lake.ledger.contracts.history():
        steps.append(
            HistoryStep(
                version=step.contract.version,
                at=step.at,
                batch_id=step.batch_id,
                batch_kind=step.batch_kind,
                changes=tuple(changes(before, step.contract)),
            )
        )
        before = step.contract
    return steps


def changes_of_batch(lake: Lake, batch_id: str) -> list[ColumnChange]:
    """What a batch changed in the contract."""
    version = lake.ledger.contracts.version_of_batch(batch_id)
    if version is None:
        return []
    return changes(lake.ledger.contracts.version(version - 1), lake.ledger.contracts.version(version))


def _in_force(lake: Lake) -> Contract:
    contract = lake.ledger.contracts.latest()
    if contract is None:
        raise PermanentError("There is no contract yet: run `lake discover`, then `lake ingest`.")
    return contract


def _version(lake: Lake, version: int, newest: int) -> Contract | None:
    contract = lake.ledger.contracts.version(version) if version else None
    if version and contract is None:
        raise PermanentError(f"There is no contract version {version}; versions go from 1 to {newest}.")
    return contract


def _facts(
    path: str, column: Column | None, seen: Sequence[PathEvidence], rows: int, requested: Mapping[str, bool]
) -> PathFacts:
    kinds = {evidence.kind: evidence.rows for evidence in sorted(seen, key=lambda evidence: -evidence.rows)}
    first = min(seen, key=lambda evidence: evidence.first_seen_at, default=None)
    last = max(seen, key=lambda evidence: evidence.last_seen_at, default=None)
    return PathFacts(
        path=path,
        column=column.name if column else None,
        type=str(column.type) if column else None,
        since=column.since if column else None,
        kinds=kinds,
        share=min(1.0, sum(kinds.values()) / rows) if rows else 0.0,
        first_key=first.first_key if first else None,
        last_key=last.last_key if last else None,
        first_seen_at=first.first_seen_at if first else None,
        last_seen_at=last.last_seen_at if last else None,
        conflicts=tuple(kind for kind in kinds if column and kind not in _fitting(column.shape.kind)),
        wants_to_widen=path in requested,
        widening_is_lossy=requested.get(path, False),
    )


def _fitting(kind: Kind) -> set[str]:
    """Kinds of values that fit a column. A column of doubles may have been one of integers before."""
    return {Kind.DOUBLE.value, Kind.INT.value} if kind is Kind.DOUBLE else {kind.value}
