"""Retry failed files after a producer or the parser was fixed, and release files held by a dead worker.

The ledger decides what is possible; this module decides the order and the messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lake_pipeline.errors import LeaseLost, PermanentError
from lake_pipeline.ledger.operations import FailureFilter, OpenBatch
from lake_pipeline.model.states import BatchState
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.sweep import sweep_pending

RELEASED = "released by an operator"


@dataclass(frozen=True, kw_only=True)
class ReleasedBatch:
    """A batch whose `files` are pending again."""

    batch_id: str
    owner: str
    files: int


def retry(lake: Lake, chosen: FailureFilter, on_progress: Callable[[int], None] | None = None) -> int:
    """Put the chosen failed and quarantined files back into the queue; returns how many.

    Their attempts start from zero. `on_progress` is called with the number so far.
    """
    done = 0
    for files in lake.ledger.operations.retry(chosen):
        done += files
        if on_progress:
            on_progress(done)
    return done


def release(lake: Lake, who: str) -> list[ReleasedBatch]:
    """Take the files of a claimed batch from its worker and put them back; `who` is a batch, an owner or a host.

    Returns the released batches. Their workers, if still alive, can't publish them any more. Raises `PermanentError`
    if there is no such batch, or all of them are past their point of no return.
    """
    open_batches = lake.ledger.operations.open_batches(who)
    claimed = [batch for batch in open_batches if batch.state is BatchState.CLAIMED]
    if not claimed:
        raise PermanentError(_nothing_to_release(who, open_batches))
    released = [result for batch in claimed if (result := _release(lake, batch))]
    sweep_pending(lake)
    return released


def _release(lake: Lake, batch: OpenBatch) -> ReleasedBatch | None:
    try:
        files = lake.ledger.claims.release_batch(batch.batch_id, batch.owner, RELEASED)
    except LeaseLost:
        return None  # meanwhile it has ended or passed its point of no return
    return ReleasedBatch(batch_id=batch.batch_id, owner=batch.owner, files=files)


def _nothing_to_release(who: str, open_batches: list[OpenBatch]) -> str:
    if not open_batches:
        return f"No unfinished batch has the id or the owner {who!r}. `lake fsck` lists unfinished batches."
    return (
        f"{len(open_batches)} batches of {who!r} are past their point of no return: they are recorded and can only be "
        "published. `lake ingest` does that once their worker is dead."
    )
