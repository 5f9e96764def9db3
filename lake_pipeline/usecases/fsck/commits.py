"""Commit objects: every manifest of the ledger is in the store, and the store has no commit that the ledger lacks.

Replaying them is the task of `lake recover`; here a missing or damaged object is written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.errors import LakeError
from lake_pipeline.ledger.commit_log import NumberedBatch
from lake_pipeline.model.states import BatchState
from lake_pipeline.storage import zones
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import read_commit, store_commit

RECOVER = "Stop all workers and run `lake recover`."


def commits(lake: Lake, *, deep: bool) -> Iterator[Finding]:
    """Compare the commit objects with the manifests of the ledger; with `deep`, read each of them."""
    keys = external_sorted((info.key for info in lake.store.objects(zones.COMMITS)), _itself)
    for key, stored, batches in merge_by_key(keys, _itself, lake.ledger.commit_log.batches(), _key):
        batch = batches[0] if batches else None
        if batch is None:
            yield from _judge_unknown(lake, key)
        elif not stored:
            yield from _judge_missing(lake, key, batch)
        elif deep:
            yield from _judge_content(lake, key, batch)


def _judge_unknown(lake: Lake, key: str) -> Iterator[Finding]:
    number = zones.number_of_commit(key)
    if number is None:
        text = f"{key} is not a commit of this lake. If it is not your file, remove it."
    elif number > lake.ledger.commit_log.last_number():
        text = f"{key} is a commit that this ledger does not have: the ledger is older than the lake. {RECOVER}"
    else:
        # Recorded since the ledger was read.
        return
    yield Finding(problem=Problem.ORPHANED, key=key, text=text)


def _judge_missing(lake: Lake, key: str, batch: NumberedBatch) -> Iterator[Finding]:
    # A worker records its manifest first. One that is dead is found as a stuck batch.
    if batch.state is BatchState.PUBLISHED and lake.store.stat(key) is None:
        yield Finding(
            problem=Problem.MISSING,
            key=key,
            text=f"{key}, the commit of batch {batch.batch_id}, is gone: the ledger could not be recovered without it. "
            "`lake fsck --repair` writes it again.",
            mend=partial(store_commit, lake, batch.batch_id),
        )


def _judge_content(lake: Lake, key: str, batch: NumberedBatch) -> Iterator[Finding]:
    try:
        stored = read_commit(lake.store, batch.number)
    except LakeError as error:
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{error} Or `lake fsck --repair` writes it again.",
            mend=partial(_write_again, lake, key, batch.batch_id),
        )
        return
    if stored.batch_id != batch.batch_id:
        yield Finding(
            problem=Problem.WRONG_OBJECT,
            key=key,
            text=f"{key} is the commit of batch {stored.batch_id}, and in this ledger that is batch {batch.batch_id}: "
            f"the ledger is older than the lake. {RECOVER}",
        )


def _write_again(lake: Lake, key: str, batch_id: str) -> None:
    lake.store.delete(key)
    store_commit(lake, batch_id)


def _key(batch: NumberedBatch) -> str:
    return zones.commit_key(batch.number)


def _itself(key: str) -> str:
    return key
