"""Reconcile: finish or release the batches of dead workers.

A batch before its point of no return is released, or adopted if its engine run is alive; one past it is rolled
forward. Batches of live workers are never touched.
"""

from __future__ import annotations

import logging
from functools import partial

from lake_pipeline.convert.request import RemoteEngine
from lake_pipeline.errors import LakeError, TransientError
from lake_pipeline.ledger.owner import owner_is_dead, this_owner
from lake_pipeline.ledger.recovery import AdoptedRun, LostBatch, Unknown
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import archive_originals
from lake_pipeline.usecases.publication.commit_objects import check_newest
from lake_pipeline.usecases.publication.publish import roll_forward
from lake_pipeline.usecases.publication.sweep import sweep_if_possible

log = logging.getLogger(__name__)


def recover(lake: Lake) -> None:
    """Finish or release everything that no live worker holds. Cheap if there is nothing to do.

    Every batch begins with it, so it first checks identity and newest commit: raises `LakeNotThere`,
    `LakeMismatch`, or `LedgerBehind` if the store has commits that the ledger does not have.
    """
    check_identity(lake)
    check_newest(lake)
    reclaimed = lake.ledger.recovery.reclaim(
        owner_is_dead=owner_is_dead, max_lost=lake.max_attempts, live_run=partial(live_run, lake)
    )
    finished = finish_publications(lake)
    if returned := lake.ledger.claims.return_files_of_outages():
        log.info("%d files are pending again that an older version quarantined because of an outage", returned)
    if reclaimed.batches or finished:
        log.info("Released %d files and finished %d batches of dead workers", reclaimed.files, finished)
        sweep_if_possible(lake)
    archive_originals(lake)
    lake.ledger.upkeep.fold_backlog()


def finish_publications(lake: Lake) -> int:
    """Roll forward the half published batches of dead workers; returns how many.

    A worker that waits for such a batch calls this, because no other worker may be running.
    """
    adopted = lake.ledger.recovery.adopt_publications(owner=this_owner(), owner_is_dead=owner_is_dead)
    for batch_id, manifest in adopted:
        log.info("Batch %s is half published: rolling it forward", batch_id)
        try:
            roll_forward(lake, batch_id, manifest)
        except LakeError as error:
            # It stays PUBLISHING and is adopted again when its lease runs out; other work continues.
            log.error("Batch %s could not be rolled forward: %s", batch_id, error)
    return len(adopted)


def adopt_run(lake: Lake, kind: str) -> AdoptedRun | None:
    """Take over a claim of that kind whose worker is dead and whose engine run is alive."""
    adopted = lake.ledger.recovery.adopt_run(
        kind, owner=this_owner(), owner_is_dead=owner_is_dead, live_run=partial(live_run, lake)
    )
    if adopted:
        log.info("Batch %s is taken over: its run %s continues", adopted.claim.batch_id, adopted.run_id)
        # Its worker may have died before it stored the id.
        lake.ledger.claims.record_engine_run(adopted.claim, adopted.run_id)
    return adopted


def live_run(lake: Lake, batch: LostBatch) -> str | Unknown | None:
    """The id of the batch's run if it is worth waiting for; a run whose state is unknown now counts as alive."""
    engine = lake.engine
    if not isinstance(engine, RemoteEngine) or engine.name != batch.engine:
        return None
    run_id = batch.run_id
    try:
        run_id = engine.find(batch.batch_id) if run_id is None else run_id
        return run_id if run_id and engine.is_alive(run_id) else None
    except TransientError as error:
        log.warning("The state of the run of batch %s is unknown, so it is left alone: %s", batch.batch_id, error)
        return run_id or Unknown.UNKNOWN
