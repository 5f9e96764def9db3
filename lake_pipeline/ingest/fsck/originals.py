"""Originals: every file of the landing zones and of the archive, and where the ledger says that it is.

An original is never deleted here, whatever is wrong: it is the only copy of what a producer sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from lake_pipeline.ingest.discover import landing_objects
from lake_pipeline.ingest.fsck.findings import Finding, Problem
from lake_pipeline.ingest.fsck.ordering import in_order, side_by_side
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.auditing import AuditedFile
from lake_pipeline.model.states import ArchiveState, FileState
from lake_pipeline.storage import zones
from lake_pipeline.storage.objects import ObjectInfo

UNCONVERTED = frozenset({FileState.PENDING, FileState.PROCESSING, FileState.FAILED})
"""States in which an original must stand in the landing zone. One that was refused may be deleted by its owner."""


def landing_zones(lake: Lake) -> Iterator[Finding]:
    """Compare the landing zones with all versions of all files. A file that is not registered yet is no finding."""
    objects = in_order(landing_objects(lake.store), _key)
    files = lake.ledger.files_by_key()
    for key, found, versions in side_by_side(objects, _key, files, lambda file: file.key):
        if any(_judge_landed(lake, next(iter(found), None), versions)):
            yield from _judge_landed(lake, lake.store.stat(key), lake.ledger.versions_of_key(key))


def archive(lake: Lake) -> Iterator[Finding]:
    """Compare the archive with the files that have a place in it."""
    objects = in_order(lake.store.objects(zones.ARCHIVE), _key)
    files = lake.ledger.files_by_archive_key()
    for key, found, known in side_by_side(objects, _key, files, lambda file: file.archive_key):
        if any(_judge_archived(lake, key, next(iter(found), None), next(iter(known), None))):
            yield from _judge_archived(lake, key, lake.store.stat(key), lake.ledger.file_of_archive_key(key))


def _judge_landed(lake: Lake, found: ObjectInfo | None, versions: Sequence[AuditedFile]) -> Iterator[Finding]:
    newest = max((file.file_id for file in versions), default=0)
    for file in versions:
        # An earlier version stands there again: content that returned, and the next listing registers it anew.
        here = found is not None and found.etag == file.etag and file.file_id == newest
        if found is None and file.state in UNCONVERTED:
            yield Finding(
                problem=Problem.MISSING,
                key=file.key,
                text=f"{file.key} is {file.state} and is gone from the landing zone, so it can't be converted. "
                "Upload it again and run `lake discover`.",
            )
        elif found is not None and here and found.size != file.size:
            yield Finding(
                problem=Problem.WRONG_OBJECT,
                key=file.key,
                text=f"{file.key} has {found.size} bytes, the ledger says {file.size}. Upload it again and run "
                "`lake discover`.",
            )
        elif here and file.archive_state is ArchiveState.ARCHIVED:
            yield Finding(
                problem=Problem.HALF_MOVED,
                key=file.key,
                text=f"{file.key} is archived and stands in the landing zone again, or still, with the same content. "
                "`lake fsck --repair` moves it again.",
                mend=partial(_move, lake, file),
            )


def _judge_archived(lake: Lake, key: str, found: ObjectInfo | None, file: AuditedFile | None) -> Iterator[Finding]:
    if file is None:
        yield Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} is in the archive, and no file of the ledger was archived there. It is kept; if it belongs "
            "to another lake, move it there.",
        )
    elif file.archive_state is ArchiveState.WAITING:
        yield from _judge_waiting(lake, key, found, file)
    elif found is None:
        yield from _judge_vanished(lake, key, file)
    elif found.size != file.size:
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} has {found.size} bytes, the original had {file.size}. Its rows stay published, but they "
            "can't be rebuilt: restore it from a backup or from its producer.",
        )


def _judge_waiting(lake: Lake, key: str, found: ObjectInfo | None, file: AuditedFile) -> Iterator[Finding]:
    """A file on its way. Somebody may be moving it at this moment, so it gets the time of a lease."""
    landed = _landed(lake, file)
    if found is None and not landed:
        yield _lost(key, file)
    elif file.age > lake.lease_seconds:
        where = "in both places" if landed and found else "still in the landing zone" if landed else "in the archive"
        yield Finding(
            problem=Problem.HALF_MOVED,
            key=file.key,
            text=f"{file.key} is published and waits to be archived; it is {where}. The next `lake ingest`, or "
            "`lake fsck --repair`, moves it.",
            mend=partial(_move, lake, file),
        )


def _judge_vanished(lake: Lake, key: str, file: AuditedFile) -> Iterator[Finding]:
    # Where it stands in the landing zone again, the look at that zone tells, and mends it.
    if not _landed(lake, file):
        yield _lost(key, file)


def _lost(key: str, file: AuditedFile) -> Finding:
    return Finding(
        problem=Problem.MISSING,
        key=key,
        text=f"The original of {file.key} is gone: it should be at {key}. Its rows stay published, but they can't be "
        "rebuilt: restore it from a backup or from its producer.",
    )


def _landed(lake: Lake, file: AuditedFile) -> bool:
    found = lake.store.stat(file.key)
    return found is not None and found.etag == file.etag


def _move(lake: Lake, file: AuditedFile) -> None:
    assert file.archive_key is not None, "a file that is archived has a place for it"
    lake.store.move(file.key, file.archive_key, etag=file.etag)
    lake.ledger.archived([file.file_id])


def _key(info: ObjectInfo) -> str:
    return info.key
