"""Originals: the archive and the landing zones compared with the commits.

An original is never deleted here, whatever is wrong: it is the only copy of what a producer sent.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from functools import partial

from lake_pipeline.ledger.archive import ArchiveTask
from lake_pipeline.ledger.audit import AuditedFile
from lake_pipeline.model.commit import CommittedFile
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.usecases.discovery.discover import discover, landing_objects
from lake_pipeline.usecases.discovery.skips import Skips
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import move_original
from lake_pipeline.usecases.recovery.rebuild_ledger.history import History, Original
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step

PAGE_FILES = 500
"""Files marked as archived in one transaction."""

RETURNED = f"{zones.HISTORY}recovered/"
"""The folder in a landing zone for originals whose key can't be told from their name in the archive."""


def archive_steps(lake: Lake, history: History, *, apply: bool, adopting: bool) -> Iterator[Step]:
    """Originals in the archive are returned if no commit explains them; with `adopting`, the others are registered."""
    objects = external_sorted(lake.store.objects(zones.ARCHIVE), _planned_key)
    adopted: list[int] = []
    total = 0
    for key, infos, originals in merge_by_key(
        objects, _planned_key, history.originals(), lambda original: original.archive_key
    ):
        moved = _landed_under_archive_name(lake, key, originals[-1]) if originals else None
        if moved is not None:
            yield _archive_again(lake, originals[-1], moved)
        if not originals:
            yield _return(lake, infos[0])
        elif infos and adopting:
            total += 1
            adopted.append(originals[-1].file_id)
            if apply and infos[0].key != key:
                lake.ledger.archive.change_key(originals[-1].file_id, infos[0].key)
        if apply and len(adopted) >= PAGE_FILES:
            lake.ledger.archive.mark_archived(adopted)
            adopted.clear()
    if apply:
        lake.ledger.archive.mark_archived(adopted)
    if total:
        yield Step(action=Action.ADOPT, key=zones.ARCHIVE, reason=f"{total:,} originals are in the archive")


def landing_steps(
    lake: Lake, history: History, *, apply: bool, returned: int, leaving: Collection[str]
) -> Iterator[Step]:
    """Converted originals in the landing zones are archived again; the other files there are registered.

    `returned` counts originals that a plan would move there, `leaving` are keys that it would move away.
    """
    objects = external_sorted(landing_objects(lake.store, Skips().report), lambda info: info.key)
    files: Iterator[CommittedFile | AuditedFile] = heapq.merge(
        history.raw_files(), lake.ledger.audit.files_by_key(), key=lambda file: file.key
    )
    unregistered = returned
    for key, infos, versions in merge_by_key(objects, lambda info: info.key, files, lambda file: file.key):
        if infos and key not in leaving:
            same = [file for file in versions if file.etag == infos[0].etag]
            is_raw = zones.lane_of(key) is not None and lake.key_filter.skip_reason(key) is None
            unregistered += not same and is_raw
            committed = [file for file in versions if isinstance(file, CommittedFile)]
            original = _converted([file for file in committed if file.etag == infos[0].etag])
            if original is not None and _belongs_in_archive(lake, original, committed):
                yield _archive_again(lake, original, key)
            elif original is not None:
                unregistered += max(versions, key=lambda file: file.file_id).etag != original.etag
    registered = discover(lake).new if apply else unregistered
    if registered:
        yield Step(
            action=Action.REGISTER,
            key="landing zones",
            reason=f"{registered:,} files are not in the ledger; the next `lake ingest` converts them",
        )


def _converted(versions: Sequence[CommittedFile]) -> Original | None:
    """The newest of some registrations of the same content, if it was converted.

    A commit that only supersedes or rebuilds a file does not have its archive key.
    """
    newest = max((file.times_back for file in versions), default=0)
    for file in versions:
        if file.times_back == newest and file.archive_key is not None:
            return Original(
                file_id=file.file_id, key=file.key, etag=file.etag, size=file.size, archive_key=file.archive_key
            )
    return None


def _belongs_in_archive(lake: Lake, original: Original, files: Sequence[CommittedFile]) -> bool:
    """Whether the landed object is the original itself, and not earlier content that a producer uploaded again."""
    is_newest = original.file_id == max(file.file_id for file in files)
    return is_newest or lake.store.stat(original.archive_key) is None


def _return(lake: Lake, info: ObjectInfo) -> Step:
    target = _landing_key(_planned_key(info))
    return Step(
        action=Action.RETURN,
        key=info.key,
        reason=f"no commit has its rows; it is moved to {target} and converted by the next `lake ingest`",
        run=partial(lake.store.move, info.key, target, etag=info.etag),
    )


def _planned_key(info: ObjectInfo) -> str:
    """The key of an archived original in its commit: a name conflict may have given it another one."""
    return zones.planned_archive_key(info.key)


def _landing_key(archive_key: str) -> str:
    key = archive_key.removeprefix(zones.ARCHIVE)
    is_plain = zones.lane_of(key) is not None and zones.archive_key(key) == archive_key and "~" not in key
    return key if is_plain else f"{RETURNED}{key}"


def _landed_under_archive_name(lake: Lake, archive_key: str, original: Original) -> str | None:
    """The key in a landing zone if the original was moved or copied there under its name in the archive."""
    key = archive_key.removeprefix(zones.ARCHIVE)
    if key == original.key or zones.lane_of(key) is None:
        return None
    info = lake.store.stat(key)
    return key if info is not None and (info.etag, info.size) == (original.etag, original.size) else None


def _archive_again(lake: Lake, original: Original, landed: str) -> Step:
    return Step(
        action=Action.ARCHIVE,
        key=landed,
        reason=f"it was converted already; it is moved to {original.archive_key}",
        run=partial(_archive, lake, original, landed),
    )


def _archive(lake: Lake, original: Original, landed: str) -> None:
    move_original(
        lake,
        ArchiveTask(file_id=original.file_id, key=landed, etag=original.etag, archive_key=original.archive_key),
    )
    lake.ledger.archive.mark_archived([original.file_id])
