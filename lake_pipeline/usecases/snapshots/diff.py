"""Compare two snapshots: files, rows by partition, and columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lake_pipeline.ledger.curated import CuratedFile
from lake_pipeline.ledger.snapshots import Snapshot
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots.create import readable_columns


@dataclass(frozen=True, kw_only=True)
class SnapshotDifference:
    """What `after` has and `before` has not, and the reverse.

    `rows` maps each partition whose files differ to its rows (before, after). Columns are the selected ones, or all of
    the contract.
    """

    before: Snapshot
    after: Snapshot
    files_added: int
    files_removed: int
    rows: Mapping[PartitionKey, tuple[int, int]]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]


def diff_snapshots(lake: Lake, before: str, after: str) -> SnapshotDifference:
    """What changed from one snapshot to another."""
    old_snapshot, new_snapshot = lake.ledger.snapshots.get(before), lake.ledger.snapshots.get(after)
    old = {(file.key, file.etag): file for file in lake.ledger.snapshots.files(old_snapshot)}
    new = {(file.key, file.etag): file for file in lake.ledger.snapshots.files(new_snapshot)}
    removed, added = old.keys() - new.keys(), new.keys() - old.keys()
    partitions = {old[version].partition for version in removed} | {new[version].partition for version in added}
    old_rows, new_rows = _rows(old.values()), _rows(new.values())
    old_columns, new_columns = _columns(lake, old_snapshot), _columns(lake, new_snapshot)
    return SnapshotDifference(
        before=old_snapshot,
        after=new_snapshot,
        files_added=len(added),
        files_removed=len(removed),
        rows={partition: (old_rows[partition], new_rows[partition]) for partition in sorted(partitions)},
        columns_added=tuple(name for name in new_columns if name not in old_columns),
        columns_removed=tuple(name for name in old_columns if name not in new_columns),
    )


def _columns(lake: Lake, snapshot: Snapshot) -> tuple[str, ...]:
    if snapshot.selection.columns is not None:
        return snapshot.selection.columns
    contract = lake.ledger.contracts.version(snapshot.contract_version)
    assert contract is not None, "versions of the contract are never removed"
    return readable_columns(contract)


def _rows(files: Iterable[CuratedFile]) -> Counter[PartitionKey]:
    rows: Counter[PartitionKey] = Counter()
    for file in files:
        rows[file.partition] += file.rows
    return rows
