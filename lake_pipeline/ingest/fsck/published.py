"""Published objects: every curated and quarantine file by name, size and version.

What is inside of them is looked at by `contents`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from lake_pipeline.ingest.fsck.findings import Finding, Problem
from lake_pipeline.ingest.fsck.ordering import in_order, side_by_side
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.auditing import AuditedObject
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage import zones
from lake_pipeline.storage.objects import ObjectInfo

Sound = Callable[[AuditedObject], Iterator[Finding]]
"""Called for each object that is there as the ledger knows it."""

LOST_ROWS = (
    "Readers miss its rows. `lake fsck --repair` rebuilds its partition from the originals; or restore the file from a "
    "backup."
)

DAY_SECONDS = 86_400


def curated(lake: Lake, sound: Sound) -> Iterator[Finding]:
    """Compare the curated zone with the files that readers should see."""
    objects = in_order(lake.store.objects(zones.CURATED), lambda info: info.key)
    for key, found, known in side_by_side(
        objects, lambda info: info.key, lake.ledger.curated_by_key(), lambda file: file.key
    ):
        if _fits(found, known):
            yield from sound(known[0])
        elif not lake.ledger.is_being_published(key):
            yield from _judge_curated(lake, key, lake.store.stat(key), lake.ledger.curated_of_key(key))


def quarantine(lake: Lake, sound: Sound, expired: Callable[[str], None]) -> Iterator[Finding]:
    """Compare the quarantine zone with the files of quarantined records. Keys that were due to expire and are gone are
    told to `expired`."""
    objects = in_order(lake.store.objects(zones.QUARANTINE), lambda info: info.key)
    for key, found, known in side_by_side(
        objects, lambda info: info.key, lake.ledger.quarantine_by_key(), lambda file: file.key
    ):
        if _fits(found, known):
            yield from sound(known[0])
        elif not lake.ledger.is_being_published(key):
            here, told = lake.store.stat(key), lake.ledger.quarantine_of_key(key)
            if here is None and told is not None and may_be_expired(lake, told.age):
                expired(key)
            else:
                yield from _judge_quarantine(key, here, told)


def may_be_expired(lake: Lake, age: float) -> bool:
    """Whether quarantined records from so many seconds ago may have been deleted, as `lake provision` sets it up."""
    return lake.quarantine_days is not None and age >= lake.quarantine_days * DAY_SECONDS


def _fits(found: list[ObjectInfo], known: list[AuditedObject]) -> bool:
    return len(found) == len(known) == 1 and (found[0].size, found[0].etag) == (known[0].size, known[0].etag)


def _judge_curated(lake: Lake, key: str, found: ObjectInfo | None, known: AuditedObject | None) -> Iterator[Finding]:
    if known is None:
        if found is not None:
            yield _orphan(lake, key)
    elif found is None:
        text = f"{key} with {known.rows} rows is gone. {LOST_ROWS}"
        yield Finding(problem=Problem.MISSING, key=key, text=text, partitions=(PartitionKey.of_path(key),))
    elif not _fits([found], [known]):
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} was replaced or damaged: {_difference(found, known)}. {LOST_ROWS}",
            partitions=(PartitionKey.of_path(key),),
        )


def _orphan(lake: Lake, key: str) -> Finding:
    if lake.ledger.was_curated(key):
        return Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} was replaced or taken out, but readers still see it. `lake fsck --repair` removes it.",
            mend=partial(lake.store.delete, key),
        )
    return Finding(
        problem=Problem.ORPHANED,
        key=key,
        text=f"{key} was not published by this ledger, and readers see it. If it is no file of yours, remove it.",
    )


def _judge_quarantine(key: str, found: ObjectInfo | None, known: AuditedObject | None) -> Iterator[Finding]:
    if known is None:
        if found is not None:
            yield Finding(
                problem=Problem.ORPHANED,
                key=key,
                text=f"{key} was not written by this ledger. If it is no file of yours, remove it.",
            )
    elif found is None:
        yield Finding(
            problem=Problem.MISSING,
            key=key,
            text=f"{key} with {known.rows} quarantined records is gone. Their originals are kept; restore it from a "
            "backup. If a lifecycle rule of the bucket deletes such files, say after how many days: "
            "LAKE_QUARANTINE_DAYS.",
        )
    elif not _fits([found], [known]):
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} was replaced or damaged: {_difference(found, known)}. Restore it from a backup.",
        )


def _difference(found: ObjectInfo, known: AuditedObject) -> str:
    if found.size != known.size:
        return f"it has {found.size} bytes, and {known.size} were published"
    return f"it is version {found.etag}, and {known.etag} was published"
