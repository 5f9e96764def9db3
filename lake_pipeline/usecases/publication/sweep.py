"""Sweep: abort pending objects of batches that will never publish them.

An unfinished `_lake.json` is swept too. Pending objects of claimed or publishing batches are never touched, nor those
of batches that this ledger does not know.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import islice

from lake_pipeline.errors import LakeError
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.model.states import BatchState
from lake_pipeline.storage import zones
from lake_pipeline.usecases.lake import Lake

log = logging.getLogger(__name__)

BATCH_IN_KEY = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
"""Curated and quarantine keys contain the id of the batch that wrote them."""

SWEEP_PAGE = 1000

ENDED = frozenset({BatchState.ABANDONED, BatchState.FAILED, BatchState.PUBLISHED})
"""States in which a batch publishes nothing any more."""


def sweep_pending(lake: Lake) -> int:
    """Abort the pending objects of ended batches; returns how many."""
    swept = 0
    for pending, state in pending_objects(lake):
        # A sweep follows a check of the identity, so an unfinished identity object is one of a process that was killed.
        if state in ENDED or pending.key == zones.IDENTITY:
            lake.store.abort(pending)
            swept += 1
    return swept


def sweep_if_possible(lake: Lake) -> None:
    """The same, but log errors: objects that remain are invisible to readers, and the next sweep removes them."""
    try:
        sweep_pending(lake)
    except LakeError as error:
        log.warning("Could not sweep pending objects of ended batches: %s", error)


def pending_objects(lake: Lake) -> Iterator[tuple[PendingObject, BatchState | None]]:
    """Every pending object with the state of its batch; None if the ledger has no such batch.

    A rewritten data file has the id of the batch that wrote it first. While any batch rewrites data files, pending
    objects of published batches are left out.
    """
    listing = lake.store.pending()
    while page := list(islice(listing, SWEEP_PAGE)):
        batch_ids = [_batch_id(pending) for pending in page]
        states = lake.ledger.publication.batch_states({batch_id for batch_id in batch_ids if batch_id})
        rewriting = BatchState.PUBLISHED in states.values() and lake.ledger.publication.rewrite_in_progress()
        for pending, batch_id in zip(page, batch_ids, strict=True):
            state = states.get(batch_id) if batch_id else None
            if not (rewriting and state is BatchState.PUBLISHED):
                yield pending, state


def _batch_id(pending: PendingObject) -> str | None:
    match = BATCH_IN_KEY.search(pending.key)
    return match.group(1) if match else None
