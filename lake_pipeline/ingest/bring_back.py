"""Bringing files back: after a producer or the parser was mended, or from a worker that will not come back.

The ledger decides what is possible; here it is said in which order, and what a person is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lake_pipeline.errors import LeaseLost, PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.reconcile import sweep_pending
from lake_pipeline.ledger.operating import LiveBatch, RefusedFiles
from lake_pipeline.model.states import BatchState

RELEASED = "released by an operator"


@dataclass(frozen=True, kw_only=True)
class Released:
    """A batch whose `files` wait again."""

    batch_id: str
    owner: str
    files: int


def retry(lake: Lake, chosen: RefusedFiles, on_progress: Callable[[int], None] | None = None) -> int:
    """Put the chosen failed and quarantined files back into the queue; returns how many.

    They are tried like new ones, with no attempt behind them. `on_progress` is told the number so far.
    """
    done = 0
    for files in lake.ledger.bring_back(chosen):
        done += files
        if on_progress:
            on_progress(done)
    return done


def release(lake: Lake, who: str) -> list[Released]:
    """Take the files of a claimed batch from its worker and put them back; `who` is a batch, an owner or a host.

    Returns the batches that were given back. Their workers, if they live, can publish nothing any more. Raises
    `PermanentError` where there is no such batch, or all of them are past their point of no return.
    """
    found = lake.ledger.live_batches_of(who)
    claimed = [batch for batch in found if batch.state is BatchState.CLAIMED]
    if not claimed:
        raise PermanentError(_nothing_to_release(who, found))
    released = [given_back for batch in claimed if (given_back := _release(lake, batch))]
    sweep_pending(lake)
    return released


def _release(lake: Lake, batch: LiveBatch) -> Released | None:
    try:
        files = lake.ledger.release_batch(batch.batch_id, batch.owner, RELEASED)
    except LeaseLost:
        return None  # it has come to its end, or to its point of no return, meanwhile
    return Released(batch_id=batch.batch_id, owner=batch.owner, files=files)


def _nothing_to_release(who: str, found: list[LiveBatch]) -> str:
    if not found:
        return f"No batch that is not over has the id or the owner {who!r}. `lake fsck` lists those that are left."
    return (
        f"{len(found)} batches of {who!r} are past their point of no return: their rows are recorded and can only be "
        "published. `lake ingest` does that as soon as their worker is gone."
    )
