"""Unfinished work: batches whose worker is gone, and pending objects that nobody will publish.

The work of a live worker is no finding, nor is an engine run that outlived its worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.ingest.fsck.findings import Finding, Problem
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.reconcile import OVER, live_run, pending_objects, recover
from lake_pipeline.ledger.owner import owner_is_dead
from lake_pipeline.model.states import BatchState


def stuck_batches(lake: Lake) -> Iterator[Finding]:
    """Batches that whoever comes next will give back or roll forward; not those whose engine run goes on."""
    lost = lake.ledger.lost_batches(owner_is_dead)
    running = {batch.batch_id for batch in lost if live_run(lake, batch) is not None}
    for batch in lake.ledger.batches_left():
        dead = owner_is_dead(batch.owner)
        if not (dead or batch.expired) or batch.batch_id in running:
            continue
        why = "its worker is dead" if dead else "its lease ran out"
        end = "give its files back" if batch.state is BatchState.CLAIMED else "finish publishing it"
        yield Finding(
            problem=Problem.STUCK,
            key=batch.batch_id,
            text=f"Batch {batch.batch_id} of {batch.files} files is {batch.state} and {why}. The next `lake ingest`, "
            f"or `lake fsck --repair`, will {end}.",
            mend=partial(recover, lake),
        )


def orphaned_pending(lake: Lake) -> Iterator[Finding]:
    """Pending objects that no batch will publish. Readers never see them; they take space."""
    for pending, state in pending_objects(lake):
        text = f"A pending object of {pending.size} bytes, meant to become {pending.key}, "
        if state is None:
            yield Finding(
                problem=Problem.ORPHANED,
                key=pending.key,
                text=f"{text}belongs to no batch of this ledger. If no other ledger works on this lake, remove it "
                f"by hand (its token is {pending.token}).",
            )
        elif state in OVER:
            yield Finding(
                problem=Problem.ORPHANED,
                key=pending.key,
                text=f"{text}was left behind by a batch that is {state}; `lake fsck --repair` removes it.",
                mend=partial(lake.store.abort, pending),
            )
