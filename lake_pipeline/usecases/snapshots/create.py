"""Create a snapshot: data files under a name that keeps them, once their partitions have passed their checks.

look at the selection → check its partitions → keep exactly these files, or look again
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby

from lake_pipeline.contract.contract import Contract
from lake_pipeline.errors import FilesMoved, LedgerRefused, PermanentError
from lake_pipeline.ledger.curated import CuratedFile
from lake_pipeline.ledger.snapshots import SelectedFile, Snapshot, snapshot_record
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.zones import snapshot_key
from lake_pipeline.usecases.checks.verdicts import PartitionVerdicts
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.file_conflicts import retry_file_conflicts
from lake_pipeline.usecases.snapshots.snapshot_objects import store_snapshot

CHECKED_AT_ONCE = 500
"""Partitions whose footers are read together: it bounds memory, not time."""

MAX_NAMED_FAILURES = 5
"""Failed checks that an error names."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def create_snapshot(lake: Lake, name: str, selection: Selection) -> Snapshot:
    """Keep the data files of `selection` under `name`.

    Raises `PermanentError` if the name is taken or invalid, a column does not exist, no file is selected or a check
    fails; `FilesMoved` if others keep publishing into the selection.
    """
    if not _NAME.fullmatch(name):
        raise PermanentError(
            f"{name!r} is not a valid snapshot name. Use letters, digits and . _ : - and start with a letter or digit."
        )
    if any(snapshot.name == name for snapshot in lake.ledger.snapshots.all()):
        raise PermanentError(f"There is a snapshot {name} already. Drop it, or choose another name.")
    checks = _PartitionChecks(lake, selection)

    def attempt(_is_later: bool) -> Snapshot:
        files = lake.ledger.snapshots.select(selection)
        # After the files, so that none of them was written with a later one.
        contract = lake.ledger.contracts.latest()
        if not files or contract is None:
            raise PermanentError("No published file matches this selection, so there is nothing to keep.")
        _check_columns(selection, contract)
        checks.run(files)
        record = snapshot_record(
            name,
            selection,
            [(selected.file.key, selected.file.etag) for selected in files],
            contract_version=contract.version,
            rows=sum(selected.file.rows for selected in files),
            size=sum(selected.file.size for selected in files),
            checks=checks.summary(),
            digest=digest([selected.file for selected in files], selection),
        )
        # First, so that a ledger that is lost after this has it again.
        store_snapshot(lake, record)
        try:
            return lake.ledger.snapshots.add(record, selection, files)
        except LedgerRefused:
            # Nothing was written, and nothing will be: a recovery must not add this snapshot.
            lake.store.delete(snapshot_key(name))
            raise

    try:
        return retry_file_conflicts(lake, f"Snapshot {name}", attempt)
    except FilesMoved as error:
        raise FilesMoved(
            f"No snapshot was created, because others keep publishing into its selection. Try again. ({error})"
        ) from error


def digest(files: Sequence[CuratedFile], selection: Selection) -> str:
    """Identifies a set of files and columns: every version with its rows, in the order of keys."""
    hashed = sha256(json.dumps(selection.columns).encode())
    for file in sorted(files, key=lambda file: file.key):
        hashed.update(f"\n{file.key} {file.etag} {file.rows}".encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """The verdicts of a partition when it had these files."""

    files: tuple[int, ...]
    verdicts: PartitionVerdicts


class _PartitionChecks:
    """The checks of the selected partitions; a partition is checked again only if its files have changed."""

    def __init__(self, lake: Lake, selection: Selection) -> None:
        self._lake = lake
        self._selection = selection
        self._checked: dict[PartitionKey, _Checked] = {}

    def run(self, selected: list[SelectedFile]) -> None:
        """Raises `PermanentError` if a check fails, and `FilesMoved` if that is because the partition is changing."""
        self._check(
            {
                partition: tuple(file.curated_file_id for file in group)
                for partition, group in groupby(selected, key=lambda file: file.file.partition)
            }
        )
        failed = [
            f"{partition}: check {name} failed: {verdict.text}"
            for partition, checked in sorted(self._checked.items())
            for name, verdict in checked.verdicts.named()
            if not verdict.passed
        ]
        if failed and self._lake.ledger.snapshots.select(self._selection) != [
            replace(file, moving=False) for file in selected
        ]:
            self._checked.clear()
            raise FilesMoved("Other batches are replacing files of this selection.")
        if failed:
            raise PermanentError(
                f"No snapshot is created of partitions that fail their checks: "
                f"{'; '.join(failed[:MAX_NAMED_FAILURES])}. Run `lake fsck`, or leave these partitions out."
            )

    def _check(self, files: dict[PartitionKey, tuple[int, ...]]) -> None:
        for gone in self._checked.keys() - files.keys():
            del self._checked[gone]
        stale = [key for key, ids in files.items() if key not in self._checked or self._checked[key].files != ids]
        for start in range(0, len(stale), CHECKED_AT_ONCE):
            for verdicts in verify(self._lake, stale[start : start + CHECKED_AT_ONCE]):
                partition = verdicts.partition
                self._checked[partition] = _Checked(files=files[partition], verdicts=verdicts)

    def summary(self) -> dict[str, dict[str, int]]:
        """For each check, the number of partitions that passed, and that passed with a warning."""
        passed: Counter[str] = Counter()
        warned: Counter[str] = Counter()
        for checked in self._checked.values():
            for name, verdict in checked.verdicts.named():
                passed[name] += verdict.passed
                warned[name] += verdict.warns
        return {name: {"passed": count, "warned": warned[name]} for name, count in passed.items()}


def _check_columns(selection: Selection, contract: Contract) -> None:
    columns = readable_columns(contract)
    missing = [name for name in selection.columns or () if name not in columns]
    if missing:
        raise PermanentError(f"There is no column {missing[0]}; `lake contract show` lists the columns.")


def readable_columns(contract: Contract) -> tuple[str, ...]:
    """Every column that a reader can select: those of the files, then those of the partition."""
    return (*contract.arrow_schema().names, "year", "month", "day", "mode")
