"""Recover: bring a lost or old ledger to the state of the store, and the store in line with its commits.

    check → finish or take back → bind → replay → data files → originals → pending objects → rebuilds → fsck

Every step can be repeated. An interrupted recovery is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial

from lake_pipeline.errors import LakeError, PermanentError
from lake_pipeline.ledger.owner import owner_is_dead
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.rebuild_ledger.history import History, commits_of, numbers_in, token_id
from lake_pipeline.usecases.recovery.rebuild_ledger.identity_steps import bind_steps, check_root
from lake_pipeline.usecases.recovery.rebuild_ledger.ledger_steps import (
    check_idle,
    first_missing,
    own_steps,
    replay_steps,
)
from lake_pipeline.usecases.recovery.rebuild_ledger.lost_batches import lost_batches, take_back_steps, without
from lake_pipeline.usecases.recovery.rebuild_ledger.original_steps import archive_steps, landing_steps
from lake_pipeline.usecases.recovery.rebuild_ledger.published_steps import published_steps
from lake_pipeline.usecases.recovery.rebuild_ledger.snapshot_steps import snapshot_steps
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step


def recover_ledger(lake: Lake, *, apply: bool, on_progress: Callable[[int], None] | None = None) -> Iterator[Step]:
    """The steps of a recovery; with `apply` each one is done before it is returned. Those that are LEFT come last.

    `on_progress` is called with the number of commits replayed so far. Raises `PermanentError` if a worker is alive, a
    commit is missing or damaged, or the ledger belongs to another lake; `StorageUnavailable` or `LedgerUnavailable`
    if it has to be run again.
    """
    for step in _steps(lake, apply=apply, on_progress=on_progress):
        if apply:
            step.run()
        yield step


def _steps(lake: Lake, *, apply: bool, on_progress: Callable[[int], None] | None) -> Iterator[Step]:
    check_root(lake)
    check_idle(lake)
    if apply:
        lake.ledger.recovery.reclaim(owner_is_dead=owner_is_dead, max_lost=lake.max_attempts)
    yield from own_steps(lake, numbers_in(lake.store))
    yield from bind_steps(lake)
    # Again, because the steps before may have stored commits and removed pending objects.
    stored = numbers_in(lake.store)
    pending = {(item.key, token_id(item.token)) for item in lake.store.pending()}
    missing = range(first_missing(lake, stored), stored.stop)
    lost = lost_batches(lake, stored, missing, pending)
    yield from take_back_steps(lake, lost)
    commits = without(commits_of(lake.store, missing), lost)
    yield from replay_steps(lake, commits, pending, apply=apply, on_progress=on_progress)
    yield from snapshot_steps(lake, () if apply else without(commits_of(lake.store, missing), lost))
    lacking: dict[PartitionKey, str] = {}
    with History(without(commits_of(lake.store, stored), lost), pending) as history:
        # After a replay no pending object is needed any more.
        to_publish = frozenset[tuple[str, str]]() if apply else history.explained
        yield from published_steps(lake, history, to_publish, lacking.setdefault)
        adopting = bool(missing) or bool(lake.ledger.archive.pending(limit=1))
        returned, leaving = 0, set[str]()
        for step in archive_steps(lake, history, apply=apply, adopting=adopting):
            returned += not apply and step.action is Action.RETURN
            if step.action is Action.ARCHIVE:
                leaving.add(step.key)
            yield step
        yield from _pending_steps(lake, to_publish)
        yield from landing_steps(lake, history, apply=apply, returned=returned, leaving=leaving)
    yield from _rebuilds(lake, lacking)
    if apply:
        yield from _left(lake)


def _pending_steps(lake: Lake, to_publish: Collection[tuple[str, str]]) -> Iterator[Step]:
    for item in list(lake.store.pending()):
        if (item.key, token_id(item.token)) not in to_publish:
            yield _abort(lake, item)


def _abort(lake: Lake, pending: PendingObject) -> Step:
    return Step(
        action=Action.ABORT,
        key=pending.key,
        reason="no commit publishes this pending object",
        run=partial(lake.store.abort, pending),
    )


def _rebuilds(lake: Lake, lacking: dict[PartitionKey, str]) -> Iterator[Step]:
    for partition, loss in sorted(lacking.items()):
        yield Step(
            action=Action.CONVERT_AGAIN,
            key=str(partition),
            reason=f"{loss}; the partition is rebuilt from its originals",
            run=partial(_rebuild, lake, partition),
        )


def _rebuild(lake: Lake, partition: PartitionKey) -> None:
    try:
        rebuild(lake, [partition])
    except PermanentError:
        # What is left is reported by the comparison at the end, with what to do.
        return


def _left(lake: Lake) -> Iterator[Step]:
    """What `lake fsck` still finds."""
    try:
        for finding in Audit(lake=lake).findings():
            yield Step(action=Action.LEFT, key=finding.key, reason=finding.text)
    except LakeError as error:
        yield Step(action=Action.LEFT, key="lake fsck", reason=str(error))
