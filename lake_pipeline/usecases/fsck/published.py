"""Published objects: every data file and quarantine file by key, size and version.

`contents` checks what is inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from lake_pipeline.ledger.audit import AuditedObject
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake

Sound = Callable[[AuditedObject], Iterator[Finding]]
"""Called for each object that matches the ledger."""

LOST_ROWS = (
    "Readers miss its rows. `lake fsck --repair` rebuilds its partition from the originals; or restore the file from a "
    "backup."
)

DAY_SECONDS = 86_400


def curated(lake: Lake, sound: Sound) -> Iterator[Finding]:
    """Compare the curated zone with the files that readers should see."""
    objects = external_sorted(lake.store.objects(zones.CURATED), lambda info: info.key)
    for key, infos, files in merge_by_key(
        objects, lambda info: info.key, lake.ledger.audit.curated_by_key(), lambda file: file.key
    ):
        if _fits(infos, files):
            yield from sound(files[0])
        elif not lake.ledger.audit.is_being_published(key):
            yield from _judge_curated(lake, key, lake.store.stat(key), lake.ledger.audit.curated_of_key(key))


def quarantine(lake: Lake, sound: Sound, expired: Callable[[str], None]) -> Iterator[Finding]:
    """Compare the quarantine zone with the quarantine files. Calls `expired` with the keys that have expired."""
    objects = external_sorted(lake.store.objects(zones.QUARANTINE), lambda info: info.key)
    for key, infos, files in merge_by_key(
        objects, lambda info: info.key, lake.ledger.audit.quarantine_by_key(), lambda file: file.key
    ):
        if _fits(infos, files):
            yield from sound(files[0])
        elif not lake.ledger.audit.is_being_published(key):
            info, file = lake.store.stat(key), lake.ledger.audit.quarantine_of_key(key)
            if info is None and file is not None and may_be_expired(lake, file.age):
                expired(key)
            else:
                yield from _judge_quarantine(key, info, file)


def may_be_expired(lake: Lake, age: float) -> bool:
    """Whether the store may have deleted quarantined records of this age in seconds, as `lake provision` sets it up."""
    return lake.quarantine_days is not None and age >= lake.quarantine_days * DAY_SECONDS


def _fits(infos: list[ObjectInfo], files: list[AuditedObject]) -> bool:
    return len(infos) == len(files) == 1 and (infos[0].size, infos[0].etag) == (files[0].size, files[0].etag)


def _judge_curated(lake: Lake, key: str, info: ObjectInfo | None, file: AuditedObject | None) -> Iterator[Finding]:
    if file is None:
        if info is not None:
            yield _orphan(lake, key)
    elif info is None:
        text = f"{key} with {file.rows} rows is gone. {LOST_ROWS}"
        yield Finding(problem=Problem.MISSING, key=key, text=text, partitions=(PartitionKey.of_path(key),))
    elif not _fits([info], [file]):
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} was replaced or damaged: {_difference(info, file)}. {LOST_ROWS}",
            partitions=(PartitionKey.of_path(key),),
        )


def _orphan(lake: Lake, key: str) -> Finding:
    if lake.ledger.audit.was_curated(key):
        return Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} was replaced or removed, but readers still see it. `lake fsck --repair` removes it.",
            mend=partial(lake.store.delete, key),
        )
    return Finding(
        problem=Problem.ORPHANED,
        key=key,
        text=f"{key} was not published by this ledger, and readers see it. If it is not your file, remove it.",
    )


def _judge_quarantine(key: str, info: ObjectInfo | None, file: AuditedObject | None) -> Iterator[Finding]:
    if file is None:
        if info is not None:
            yield Finding(
                problem=Problem.ORPHANED,
                key=key,
                text=f"{key} was not written by this ledger. If it is not your file, remove it.",
            )
    elif info is None:
        yield Finding(
            problem=Problem.MISSING,
            key=key,
            text=f"{key} with {file.rows} quarantined records is gone. Their originals are kept; restore it from a "
            "backup. If a lifecycle rule of the bucket deletes such files, say after how many days: "
            "LAKE_QUARANTINE_DAYS.",
        )
    elif not _fits([info], [file]):
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} was replaced or damaged: {_difference(info, file)}. Restore it from a backup.",
        )


def _difference(info: ObjectInfo, file: AuditedObject) -> str:
    if info.size != file.size:
        return f"it has {info.size} bytes, and {file.size} were published"
    return f"it is version {info.etag}, and {file.etag} was published"
