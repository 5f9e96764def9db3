"""Snapshots: an immutable set of published files under a name, made once its partitions have passed their checks.

    look at the selection → check its partitions → hold exactly what was looked at, or look again

Dropping one lets go of its files; what only it kept is deleted.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby

from lake_pipeline.contract.contract import Contract
from lake_pipeline.errors import FilesMoved, PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.reconcile import finish_publications
from lake_pipeline.ingest.retaining import let_go
from lake_pipeline.ingest.verdicts import PartitionVerdicts
from lake_pipeline.ingest.verify import verify
from lake_pipeline.ingest.widening import pauses
from lake_pipeline.ledger.snapshots import SelectedFile, Snapshot
from lake_pipeline.ledger.views import CuratedFile
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.selections import Selection

log = logging.getLogger(__name__)

CHECKED_AT_ONCE = 500
"""Partitions whose footers are read together: it bounds memory, not time."""

TOLD = 5

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class SnapshotDifference:
    """What a reader of `after` sees that one of `before` does not, and the other way round.

    `rows` maps a partition to its rows (before, after) where its files differ; columns are those of the contract, or
    the selected ones.
    """

    before: Snapshot
    after: Snapshot
    files_added: int
    files_removed: int
    rows: Mapping[PartitionKey, tuple[int, int]]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]


def create_snapshot(lake: Lake, name: str, selection: Selection) -> Snapshot:
    """Hold what `selection` finds now under `name`.

    Raises `PermanentError` for a name that is taken or none, a column that is not there, where nothing is found and
    where a check fails; `FilesMoved` where others keep publishing into the selection.
    """
    if not _NAME.fullmatch(name):
        raise PermanentError(
            f"{name!r} is no name of a snapshot: letters, digits and . _ : - behind a letter or digit."
        )
    if any(taken.name == name for taken in lake.ledger.snapshots()):
        raise PermanentError(f"There is a snapshot {name} already. Drop it, or choose another name.")
    checked: dict[PartitionKey, _Checked] = {}
    for pause in pauses():
        seen = lake.ledger.selected_files(selection)
        # After the files, so that none of them was written under a later one.
        contract = lake.ledger.contract()
        if not seen or contract is None:
            raise PermanentError("Nothing is published of this selection, so there is nothing to hold.")
        _check_columns(selection, contract)
        try:
            _check(lake, selection, seen, checked)
            return lake.ledger.add_snapshot(
                name,
                selection,
                seen,
                contract_version=contract.version,
                checks=_summary(checked.values()),
                digest=digest([each.file for each in seen], selection),
            )
        except FilesMoved as error:
            moved = error
            log.info("Snapshot %s looks again: %s", name, error)
            time.sleep(pause)
            finish_publications(lake)
    raise FilesMoved(f"No snapshot was made, because others keep publishing into its selection. Try again. ({moved})")


def drop_snapshot(lake: Lake, name: str) -> int:
    """Drop a snapshot; returns how many files that only it kept were deleted.

    Raises `PermanentError` where there is none of that name. Stopped half way, the next drop, or `lake fsck --repair`,
    does the rest.
    """
    if not lake.ledger.drop_snapshot(name):
        raise PermanentError(f"There is no snapshot {name}. `lake snapshot list` shows those there are.")
    return let_go(lake)


def diff_snapshots(lake: Lake, before: str, after: str) -> SnapshotDifference:
    """What changed from one snapshot to another."""
    one, other = lake.ledger.snapshot(before), lake.ledger.snapshot(after)
    old = {(file.key, file.etag): file for file in lake.ledger.snapshot_files(one)}
    new = {(file.key, file.etag): file for file in lake.ledger.snapshot_files(other)}
    gone, come = old.keys() - new.keys(), new.keys() - old.keys()
    touched = {old[each].partition for each in gone} | {new[each].partition for each in come}
    had, has = _rows(old.values()), _rows(new.values())
    columns_before, columns_after = _columns(lake, one), _columns(lake, other)
    return SnapshotDifference(
        before=one,
        after=other,
        files_added=len(come),
        files_removed=len(gone),
        rows={partition: (had[partition], has[partition]) for partition in sorted(touched)},
        columns_added=tuple(name for name in columns_after if name not in columns_before),
        columns_removed=tuple(name for name in columns_before if name not in columns_after),
    )


def digest(files: Sequence[CuratedFile], selection: Selection) -> str:
    """What tells one set of files and columns from another: every version with its rows, in the order of keys."""
    made = sha256(json.dumps(selection.columns).encode())
    for file in sorted(files, key=lambda each: each.key):
        made.update(f"\n{file.key} {file.etag} {file.rows}".encode("utf-8", "surrogatepass"))
    return made.hexdigest()


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """The verdicts of a partition as it had these files."""

    files: tuple[int, ...]
    verdicts: PartitionVerdicts


def _check(lake: Lake, selection: Selection, seen: list[SelectedFile], checked: dict[PartitionKey, _Checked]) -> None:
    """Check the partitions that were not checked with these files before.

    Raises `PermanentError` where one fails, and `FilesMoved` where that is because it changes at this moment.
    """
    files = {
        partition: tuple(each.curated_file_id for each in group)
        for partition, group in groupby(seen, key=lambda each: each.file.partition)
    }
    for gone in checked.keys() - files.keys():
        del checked[gone]
    stale = [key for key, ids in files.items() if key not in checked or checked[key].files != ids]
    for start in range(0, len(stale), CHECKED_AT_ONCE):
        for verdicts in verify(lake, stale[start : start + CHECKED_AT_ONCE]):
            checked[verdicts.partition] = _Checked(files=files[verdicts.partition], verdicts=verdicts)
    failed = [
        f"{partition}: check {name} failed: {verdict.text}"
        for partition, each in sorted(checked.items())
        for name, verdict in each.verdicts.named()
        if not verdict.passed
    ]
    if failed and lake.ledger.selected_files(selection) != [replace(each, moving=False) for each in seen]:
        checked.clear()
        raise FilesMoved("Others replace files of this selection at this moment.")
    if failed:
        raise PermanentError(
            f"No snapshot is made of what is wrong: {'; '.join(failed[:TOLD])}. Run `lake fsck`, or leave these "
            "partitions out."
        )


def _summary(checked: Iterable[_Checked]) -> dict[str, dict[str, int]]:
    passed: Counter[str] = Counter()
    warned: Counter[str] = Counter()
    for each in checked:
        for name, verdict in each.verdicts.named():
            passed[name] += verdict.passed
            warned[name] += verdict.warns
    return {name: {"passed": count, "warned": warned[name]} for name, count in passed.items()}


def _check_columns(selection: Selection, contract: Contract) -> None:
    known = readable_columns(contract)
    missing = [name for name in selection.columns or () if name not in known]
    if missing:
        raise PermanentError(f"There is no column {missing[0]}; `lake contract show` lists what there is.")


def readable_columns(contract: Contract) -> tuple[str, ...]:
    """Every column that a reader may ask for: those of the files, then those of the partition."""
    return (*contract.arrow_schema().names, "year", "month", "day", "mode")


def _columns(lake: Lake, snapshot: Snapshot) -> tuple[str, ...]:
    if snapshot.selection.columns is not None:
        return snapshot.selection.columns
    return readable_columns(_contract_of(lake, snapshot))


def _contract_of(lake: Lake, snapshot: Snapshot) -> Contract:
    contract = lake.ledger.contract_of_version(snapshot.contract_version)
    assert contract is not None, "versions of the contract are never removed"
    return contract


def _rows(files: Iterable[CuratedFile]) -> Counter[PartitionKey]:
    rows: Counter[PartitionKey] = Counter()
    for file in files:
        rows[file.partition] += file.rows
    return rows
