"""Originals: every file in the landing zones and in the archive, compared with its location in the ledger.

An original is never deleted here, whatever is wrong: it is the only copy of what a producer sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from lake_pipeline.ledger.archive import ArchiveTask
from lake_pipeline.ledger.audit import AuditedFile
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.states import ArchiveState, FileState
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.usecases.discovery.discover import landing_objects, register
from lake_pipeline.usecases.discovery.skips import Skips
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import move_original

UNCONVERTED = frozenset({FileState.PENDING, FileState.PROCESSING, FileState.FAILED})
"""States in which an original must be in the landing zone. Its owner may delete one that was refused."""


def landing_zones(lake: Lake) -> Iterator[Finding]:
    """Compare the landing zones with all versions of all files. A file that is not registered yet is not a finding."""
    # What can't be read is not a file of the ledger; `lake discover` reports it.
    objects = external_sorted(landing_objects(lake.store, Skips().report), _key)
    files = lake.ledger.audit.files_by_key()
    for key, infos, versions in merge_by_key(objects, _key, files, lambda file: file.key):
        if any(_judge_landed(lake, next(iter(infos), None), versions)):
            yield from _judge_landed(lake, lake.store.stat(key), lake.ledger.audit.versions_of_key(key))


def archive(lake: Lake) -> Iterator[Finding]:
    """Compare the archive with the files that have a key in it."""
    objects = external_sorted(lake.store.objects(zones.ARCHIVE), _key)
    files = lake.ledger.audit.files_by_archive_key()
    for key, infos, archived in merge_by_key(objects, _key, files, lambda file: file.archive_key):
        if any(_judge_archived(lake, key, next(iter(infos), None), next(iter(archived), None))):
            yield from _judge_archived(lake, key, lake.store.stat(key), lake.ledger.audit.file_of_archive_key(key))


def _judge_landed(lake: Lake, info: ObjectInfo | None, versions: Sequence[AuditedFile]) -> Iterator[Finding]:
    newest = max((file.file_id for file in versions), default=0)
    for file in versions:
        # If an earlier version is there again, the content has returned, and the next listing registers it again.
        is_newest = info is not None and info.etag == file.etag and file.file_id == newest
        if info is None and file.state in UNCONVERTED:
            yield Finding(
                problem=Problem.MISSING,
                key=file.key,
                text=f"{file.key} is {file.state} and is gone from the landing zone, so it can't be converted. "
                "Upload it again and run `lake discover`.",
            )
        elif info is not None and is_newest and info.size != file.size:
            yield Finding(
                problem=Problem.WRONG_OBJECT,
                key=file.key,
                text=f"{file.key} has {info.size} bytes, the ledger says {file.size}. Upload it again and run "
                "`lake discover`.",
            )
        elif is_newest and file.archive_state is ArchiveState.ARCHIVED:
            yield Finding(
                problem=Problem.HALF_MOVED,
                key=file.key,
                text=f"{file.key} is archived and is still, or again, in the landing zone with the same content. "
                "`lake fsck --repair` moves it again.",
                mend=partial(_move, lake, file),
            )


def _judge_archived(lake: Lake, key: str, info: ObjectInfo | None, file: AuditedFile | None) -> Iterator[Finding]:
    if file is None:
        yield Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} is in the archive, and no file of the ledger was archived there. It is kept; if it belongs "
            "to another lake, move it there.",
        )
    elif file.archive_state is ArchiveState.WAITING:
        yield from _judge_waiting(lake, key, info, file)
    elif info is None:
        yield from _judge_vanished(lake, key, file)
    elif info.size > file.size and _may_return(lake, file, None):
        yield _grown(lake, file, info)
    elif info.size != file.size:
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} has {info.size} bytes, the original had {file.size}. Its rows stay published, but they "
            "can't be rebuilt: restore it from a backup or from its producer.",
        )


def _judge_waiting(lake: Lake, key: str, info: ObjectInfo | None, file: AuditedFile) -> Iterator[Finding]:
    """A file that waits to be archived. A worker may be moving it right now, so it gets the time of a lease."""
    landed = _landed(lake, file)
    if info is None and not landed:
        yield _lost(key, file)
    elif file.age > lake.lease_seconds:
        where = "in both zones" if landed and info else "still in the landing zone" if landed else "in the archive"
        yield Finding(
            problem=Problem.HALF_MOVED,
            key=file.key,
            text=f"{file.key} is published and waits to be archived; it is {where}. The next `lake ingest`, or "
            "`lake fsck --repair`, moves it.",
            mend=partial(_move, lake, file),
        )


def _judge_vanished(lake: Lake, key: str, file: AuditedFile) -> Iterator[Finding]:
    # If it is in the landing zone again, the check of that zone reports and repairs it.
    landed = lake.store.stat(file.key)
    if landed is not None and landed.size > file.size and _may_return(lake, file, landed):
        yield _grown(lake, file, landed)  # a repair was interrupted
    elif landed is None or landed.etag != file.etag:
        yield _lost(key, file)


def _may_return(lake: Lake, file: AuditedFile, landed: ObjectInfo | None) -> bool:
    """Whether a grown original may become the newest version of its key: that place is free, or `landed` has it."""
    if lake.new_version is not NewVersion.REPLACE or lake.store.stat(file.key) != landed:
        return False
    return all(version.file_id <= file.file_id for version in lake.ledger.audit.versions_of_key(file.key))


def _grown(lake: Lake, file: AuditedFile, info: ObjectInfo) -> Finding:
    return Finding(
        problem=Problem.WRONG_OBJECT,
        key=info.key,
        text=f"{info.key} has {info.size} bytes, of which {file.size} were converted: {file.key} was still being "
        "written when it was archived. `lake fsck --repair` returns it to the landing zone as a new version; then run "
        "`lake ingest`, which replaces its rows.",
        mend=partial(_return, lake, file, info),
    )


def _return(lake: Lake, file: AuditedFile, info: ObjectInfo) -> None:
    """Move a grown original back and register it. After a crash in between, the next repair goes on."""
    if info.key != file.key:
        lake.store.move(info.key, file.key, etag=info.etag)
    lake.ledger.archive.mark_returned(file.file_id)
    register(lake, [replace(info, key=file.key)])


def _lost(key: str, file: AuditedFile) -> Finding:
    return Finding(
        problem=Problem.MISSING,
        key=key,
        text=f"The original of {file.key} is gone: it should be at {key}. Its rows stay published, but they can't be "
        "rebuilt: restore it from a backup or from its producer.",
    )


def _landed(lake: Lake, file: AuditedFile) -> bool:
    info = lake.store.stat(file.key)
    return info is not None and info.etag == file.etag


def _move(lake: Lake, file: AuditedFile) -> None:
    assert file.archive_key is not None, "an archived file has an archive key"
    move_original(lake, ArchiveTask(file_id=file.file_id, key=file.key, etag=file.etag, archive_key=file.archive_key))
    lake.ledger.archive.mark_archived([file.file_id])


def _key(info: ObjectInfo) -> str:
    return info.key
