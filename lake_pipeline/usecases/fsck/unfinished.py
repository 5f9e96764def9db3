"""Unfinished work: batches whose worker is dead, and pending objects that no batch will publish.

The work of a live worker is not a finding, nor is an engine run that outlives its worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.ledger.owner import owner_is_dead
from lake_pipeline.model.states import BatchState
from lake_pipeline.storage import zones
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.sweep import ENDED, pending_objects
from lake_pipeline.usecases.recovery.reconcile import live_run, recover


def stuck_batches(lake: Lake) -> Iterator[Finding]:
    """Batches that the next worker will release or roll forward, except those whose engine run is alive."""
    lost = lake.ledger.recovery.lost_batches(owner_is_dead)
    running = {batch.batch_id for batch in lost if live_run(lake, batch) is not None}
    for batch in lake.ledger.audit.open_batches():
        dead = owner_is_dead(batch.owner)
        if not (dead or batch.expired) or batch.batch_id in running:
            continue
        why = "its worker is dead" if dead else "its lease ran out"
        end = "release its files" if batch.state is BatchState.CLAIMED else "finish publishing it"
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
        if pending.key == zones.IDENTITY:
            yield Finding(
                problem=Problem.ORPHANED,
                key=pending.key,
                text=f"{text}is left of an interrupted write; `lake fsck --repair` removes it.",
                mend=partial(lake.store.abort, pending),
            )
        elif state is None:
            yield Finding(
                problem=Problem.ORPHANED,
                key=pending.key,
                text=f"{text}belongs to no batch of this ledger. If no other ledger works on this lake, remove it "
                f"by hand (its token is {pending.token}).",
            )
        elif state in ENDED:
            yield Finding(
                problem=Problem.ORPHANED,
                key=pending.key,
                text=f"{text}belongs to a batch that is {state}; `lake fsck --repair` removes it.",
                mend=partial(lake.store.abort, pending),
            )
