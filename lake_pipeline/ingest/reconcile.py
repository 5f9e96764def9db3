"""Reconciling: finish or give back what other workers left behind.

A batch before its point of no return is given back; one past it is rolled forward; pending objects that no
batch will ever publish are swept. Live work of others is never touched.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice

from lake_pipeline.convert.request import RemoteEngine
from lake_pipeline.errors import LakeError, TransientError
from lake_pipeline.ingest.archive import archive_originals
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.publish import roll_forward
from lake_pipeline.ledger.owner import owner_is_dead, this_owner
from lake_pipeline.ledger.recovery import Adopted, LostBatch, Unknown
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.model.states import BatchState

log = logging.getLogger(__name__)

BATCH_IN_KEY = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
"""Curated and quarantine keys carry the id of the batch that wrote them."""

SWEEP_PAGE = 1000

OVER = frozenset({BatchState.ABANDONED, BatchState.FAILED, BatchState.PUBLISHED})
"""States in which a batch publishes nothing any more."""


def recover(lake: Lake) -> None:
    """Bring the lake to where only live work is unfinished. Cheap when there is nothing to do."""
    reclaimed = lake.ledger.reclaim(
        owner_is_dead=owner_is_dead, max_lost=lake.max_attempts, live_run=partial(live_run, lake)
    )
    finished = finish_publications(lake)
    if reclaimed.batches or finished:
        log.info("Gave back %d files and finished %d batches of workers that are gone", reclaimed.files, finished)
        sweep_if_possible(lake)
    archive_originals(lake)
    lake.ledger.fold_backlog()


def finish_publications(lake: Lake) -> int:
    """Roll forward what workers that are gone left half published; returns how many batches that were.

    Who waits for such a batch does this, because nobody else may be there.
    """
    adopted = lake.ledger.adopt_publications(owner=this_owner(), owner_is_dead=owner_is_dead)
    for batch_id, manifest in adopted:
        log.info("Batch %s was left half published: rolling it forward", batch_id)
        try:
            roll_forward(lake, batch_id, manifest)
        except LakeError as error:
            # It stays PUBLISHING and is adopted again when its lease runs out; other work goes on meanwhile.
            log.error("Batch %s could not be rolled forward: %s", batch_id, error)
    return len(adopted)


def adopt_run(lake: Lake, kind: str) -> Adopted | None:
    """A claim of that kind of a worker that is gone, whose engine run goes on without it."""
    adopted = lake.ledger.adopt_run(
        kind, owner=this_owner(), owner_is_dead=owner_is_dead, live_run=partial(live_run, lake)
    )
    if adopted:
        log.info("Batch %s is taken over: run %s of it goes on", adopted.claim.batch_id, adopted.run_id)
        # The worker may have died before it could.
        lake.ledger.record_engine_run(adopted.claim, adopted.run_id)
    return adopted


def live_run(lake: Lake, batch: LostBatch) -> str | Unknown | None:
    """The run of a batch of this lake's engine that is worth waiting for; so is one that can't be asked about now."""
    engine = lake.engine
    if not isinstance(engine, RemoteEngine) or engine.name != batch.engine:
        return None
    run_id = batch.run_id
    try:
        run_id = engine.find(batch.batch_id) if run_id is None else run_id
        return run_id if run_id and engine.is_alive(run_id) else None
    except TransientError as error:
        log.warning("The run of batch %s can't be asked about, it is left alone: %s", batch.batch_id, error)
        return run_id or Unknown.UNKNOWN


def sweep_pending(lake: Lake) -> int:
    """Abort the pending objects of batches that will never publish them; returns how many.

    An object whose batch the ledger does not know, or that is still claimed or being published, stays.
    """
    swept = 0
    for pending, state in pending_objects(lake):
        if state in OVER:
            lake.store.abort(pending)
            swept += 1
    return swept


def sweep_if_possible(lake: Lake) -> None:
    """Sweep beside other work: what can't be swept now is litter that the next one takes away, not a loss."""
    try:
        sweep_pending(lake)
    except LakeError as error:
        log.warning("Pending objects of batches that are over could not be swept: %s", error)


def pending_objects(lake: Lake) -> Iterator[tuple[PendingObject, BatchState | None]]:
    """Every pending object with the state of its batch; None where the ledger knows none.

    What may belong to a batch that rewrites published files, which have the id of the batch that wrote them first,
    is left out.
    """
    pending = lake.store.pending()
    while page := list(islice(pending, SWEEP_PAGE)):
        states = lake.ledger.batch_states({found.group(1) for each in page if (found := BATCH_IN_KEY.search(each.key))})
        rewriting = BatchState.PUBLISHED in states.values() and lake.ledger.someone_rewrites()
        for each in page:
            found = BATCH_IN_KEY.search(each.key)
            state = states.get(found.group(1)) if found else None
            if not (rewriting and state is BatchState.PUBLISHED):
                yield each, state
