"""Archiving: move the originals of published files out of the landing zone.

It has its own state in the ledger. If it fails, the publication stays; the next batch tries again.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lake_pipeline.errors import KeyTaken, LakeError, ObjectChanged
from lake_pipeline.ledger.archive import ArchiveTask
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS
from lake_pipeline.storage.outage_watch import OutageWatch
from lake_pipeline.storage.zones import conflicting_archive_key
from lake_pipeline.usecases.lake import Lake

log = logging.getLogger(__name__)

PAGE_FILES = 500
"""Files moved between two ledger writes: after a crash at most this many moves are repeated."""


def archive_originals(lake: Lake, *, batch_id: str | None = None) -> int:
    """Move every original that waits for it, or those of one batch; returns how many were moved.

    Raises `LedgerUnavailable` only; a file that can't be moved is logged and keeps waiting. During an outage of the
    store all the others keep waiting, too.
    """
    moved = 0
    stuck: set[int] = set()
    watch = OutageWatch()
    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="archive") as pool:
        while True:
            waiting = lake.ledger.archive.pending(limit=PAGE_FILES + len(stuck), batch_id=batch_id)
            tasks = [task for task in waiting if task.file_id not in stuck]
            if not tasks:
                return moved
            results = pool.map(partial(_move, lake, watch), tasks)
            done = [task.file_id for task, is_moved in zip(tasks, results, strict=True) if is_moved]
            stuck.update({task.file_id for task in tasks}.difference(done))
            lake.ledger.archive.mark_archived(done)
            moved += len(done)
            if watch.is_over:
                log.warning("Archiving stops until the store works again; the next batch continues it.")
                return moved


def _move(lake: Lake, watch: OutageWatch, task: ArchiveTask) -> bool:
    if watch.is_over:
        return False
    try:
        move_original(lake, task)
    except ObjectChanged as error:
        log.warning("%s stays in the landing zone: %s", task.key, error)
        return False
    except LakeError as error:
        log.warning("%s could not be archived and will be retried: %s", task.key, error)
        watch.count(task.file_id, error)
        return False
    watch.succeeded()
    return True


def move_original(lake: Lake, task: ArchiveTask) -> None:
    """Move an original to the archive. If a file or folder is in the way, it gets another key, which is recorded first.

    Raises what `ObjectStore.move` raises.
    """
    try:
        lake.store.move(task.key, task.archive_key, etag=task.etag)
    except KeyTaken:
        key = conflicting_archive_key(task.archive_key)
        log.info("%s is archived as %s: a file and a folder of the archive would have the same name", task.key, key)
        lake.ledger.archive.change_key(task.file_id, key)
        lake.store.move(task.key, key, etag=task.etag)
