"""Archiving: move the originals of published files out of the landing zone.

It has a state of its own in the ledger. Its failure never undoes a publish; what was left behind is tried
again by the next batch.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lake_pipeline.errors import LakeError, ObjectChanged
from lake_pipeline.ingest.lake import REQUESTS_AT_ONCE, Lake
from lake_pipeline.ledger.publishing import ArchiveTask

log = logging.getLogger(__name__)

PAGE = 500
"""Files moved between two ledger writes: after a crash at most this many moves are found done already."""


def archive_originals(lake: Lake, *, batch_id: str | None = None) -> int:
    """Move every original that waits for it (of one batch, if named); returns how many are archived now.

    Raises `LedgerUnavailable` only; a file that can't be moved is logged and stays waiting.
    """
    moved = 0
    stuck: set[int] = set()
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="archive") as pool:
        while True:
            waiting = lake.ledger.awaiting_archive(limit=PAGE + len(stuck), batch_id=batch_id)
            tasks = [task for task in waiting if task.file_id not in stuck]
            if not tasks:
                return moved
            went = pool.map(partial(_move, lake), tasks)
            done = [task.file_id for task, is_moved in zip(tasks, went, strict=True) if is_moved]
            stuck.update({task.file_id for task in tasks}.difference(done))
            lake.ledger.archived(done)
            moved += len(done)


def _move(lake: Lake, task: ArchiveTask) -> bool:
    try:
        lake.store.move(task.key, task.archive_key, etag=task.etag)
    except ObjectChanged as error:
        log.warning("%s stays in the landing zone: %s", task.key, error)
        return False
    except LakeError as error:
        log.warning("%s could not be archived, it will be tried again: %s", task.key, error)
        return False
    return True
