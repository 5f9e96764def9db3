"""The ledger's part of a recovery: finish or take back what it has begun, then replay the commits that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from lake_pipeline.errors import LedgerBehind, ObjectMissing, OutcomeUnknown, PermanentError
from lake_pipeline.ledger.archive import ArchiveTask
from lake_pipeline.ledger.commit_log import NumberedBatch
from lake_pipeline.ledger.owner import owner_is_dead, this_owner
from lake_pipeline.ledger.replacement import FORGET
from lake_pipeline.model.commit import Commit
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.model.states import BatchState
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import read_commit, store_commit
from lake_pipeline.usecases.publication.retained_files import retain_replaced
from lake_pipeline.usecases.recovery.rebuild_ledger.history import has_pending
from lake_pipeline.usecases.recovery.rebuild_ledger.snapshot_steps import restore_snapshots
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step

log = logging.getLogger(__name__)


def check_idle(lake: Lake) -> None:
    """Raises `PermanentError` if a live worker holds files: it would publish meanwhile."""
    for batch in lake.ledger.audit.open_batches():
        if not batch.expired and not owner_is_dead(batch.owner):
            raise PermanentError(
                f"Batch {batch.batch_id} is held by {batch.owner}, so nothing was changed. Stop this worker, or run "
                f"`lake release {batch.batch_id}` if it is gone, then run `lake recover` again."
            )


def own_steps(lake: Lake, stored: range) -> Iterator[Step]:
    """What the ledger has begun, or has and the store lacks. `stored` are the numbers of the commits in the store."""
    last = lake.ledger.commit_log.last_number()
    for batch in list(lake.ledger.commit_log.batches()):
        in_store = batch.number in stored
        if in_store and _may_differ(batch, last) and _differs(lake, batch):
            yield _other_batch(lake, batch.number, batch.batch_id, batch.state)
        elif batch.state is BatchState.PUBLISHING:
            yield Step(
                action=Action.FINISH,
                key=batch.batch_id,
                reason="the ledger has its manifest, and its worker is gone",
                run=partial(_finish_own, lake, batch.batch_id),
            )
        elif not in_store:
            yield Step(
                action=Action.STORE,
                key=zones.commit_key(batch.number),
                reason=f"the ledger has batch {batch.batch_id} and the store has no commit of it",
                run=partial(store_commit, lake, batch.batch_id),
            )


def first_missing(lake: Lake, stored: range) -> int:
    """The first number that the ledger lacks, or has for a batch that is taken back."""
    last = lake.ledger.commit_log.last_number()
    batches = lake.ledger.commit_log.unfinished()
    taken_back = [batch.number for batch in batches if batch.number in stored and _differs(lake, batch)]
    return min([last + 1, stored.stop, *taken_back])


def _may_differ(batch: NumberedBatch, last: int) -> bool:
    """Only a batch that could not be published. The last number stands for all before: a ledger is a copy of one."""
    return batch.state is BatchState.PUBLISHING or batch.number == last


def _differs(lake: Lake, batch: NumberedBatch) -> bool:
    return read_commit(lake.store, batch.number).batch_id != batch.batch_id


def _other_batch(lake: Lake, number: int, batch_id: str, state: BatchState) -> Step:
    if state is not BatchState.PUBLISHING:
        raise PermanentError(
            f"Commit {number} of the store is not the one of this ledger, which published batch {batch_id} under that "
            "number: the ledger belongs to another lake. Recover into an empty database."
        )
    return Step(
        action=Action.TAKE_BACK,
        key=batch_id,
        reason=f"an older ledger recorded it, and commit {number} of the store is another batch; nothing of it was "
        "published, and its files are pending again",
        run=partial(lake.ledger.replay.take_back, batch_id),
    )


def _finish_own(lake: Lake, batch_id: str) -> None:
    try:
        store_commit(lake, batch_id)
    except LedgerBehind:
        lake.ledger.replay.take_back(batch_id)
        return
    _roll_forward(lake, lake.ledger.commit_log.commit(batch_id))


@dataclass(kw_only=True)
class _Totals:
    """What the replayed commits contain."""

    first: int = 0
    last: int = 0
    commits: int = 0
    files: int = 0
    rows: int = 0
    forgotten: int = 0
    unfinished: int = 0

    def add(self, commit: Commit, unfinished: bool) -> None:
        self.first = self.first or commit.number
        self.last = commit.number
        self.commits += 1
        self.files += len(commit.manifest.files)
        self.rows += sum(part.rows for part in commit.manifest.curated)
        self.forgotten += len(commit.manifest.superseded) if commit.kind == FORGET else 0
        self.unfinished += unfinished

    def __str__(self) -> str:
        return (
            f"{self.commits:,} commits of the store are not in the ledger: {self.files:,} files, {self.rows:,} rows, "
            f"{self.forgotten:,} forgotten files, {self.unfinished:,} half published batches that are rolled forward"
        )


def replay_steps(
    lake: Lake,
    commits: Iterable[Commit],
    pending: Collection[tuple[str, str]],
    *,
    apply: bool,
    on_progress: Callable[[int], None] | None,
) -> Iterator[Step]:
    """One step for all `commits`, which the ledger lacks; with `apply` they are replayed."""
    totals = _Totals()
    for commit in commits:
        unfinished = has_pending(commit.manifest, pending)
        if apply:
            _replay(lake, commit, unfinished)
        totals.add(commit, unfinished)
        if on_progress:
            on_progress(totals.commits)
    if totals.commits:
        yield Step(action=Action.REPLAY, key=f"commits {totals.first} to {totals.last}", reason=str(totals))


def _replay(lake: Lake, commit: Commit, unfinished: bool) -> None:
    _mark_archived(lake, commit.manifest.superseded)
    lake.ledger.replay.apply(
        commit,
        owner=this_owner(),
        lease_seconds=lake.lease_seconds,
        max_attempts=lake.max_attempts,
        finish=not unfinished,
    )
    if unfinished:
        restore_snapshots(lake)
        _roll_forward(lake, commit)


def _mark_archived(lake: Lake, file_ids: Collection[int]) -> None:
    """Files that are superseded now had been archived before, if their original is still there.

    An original back in the landing zone is moved to the archive again later.
    """
    waiting = lake.ledger.replay.awaiting_archive(file_ids)
    lake.ledger.archive.mark_archived([task.file_id for task in waiting if _has_original(lake, task)])


def _has_original(lake: Lake, task: ArchiveTask) -> bool:
    if lake.store.stat(task.archive_key) is not None:
        return True
    conflicting = zones.conflicting_archive_key(task.archive_key)
    if lake.store.stat(conflicting) is not None:
        lake.ledger.archive.change_key(task.file_id, conflicting)
        return True
    landed = lake.store.stat(task.key)
    return landed is not None and landed.etag == task.etag


def _roll_forward(lake: Lake, commit: Commit) -> None:
    """Publish what is pending and finish the batch; what is gone is found and rebuilt afterwards."""
    retain_replaced(lake, commit.manifest)
    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="publish") as pool:
        list(pool.map(lake.store.delete, commit.manifest.deleted))
        list(pool.map(partial(_publish, lake), commit.manifest.objects))
    lake.ledger.replay.finish(commit, max_attempts=lake.max_attempts)


def _publish(lake: Lake, pending: PendingObject) -> None:
    try:
        lake.store.publish(pending)
    except (OutcomeUnknown, ObjectMissing) as error:
        log.warning("%s is neither pending nor published: %s", pending.key, error)
