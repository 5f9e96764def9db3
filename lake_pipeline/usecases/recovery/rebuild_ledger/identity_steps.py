"""The identity in a recovery: the ledger is bound to the root if its commits are those of the root, and to no other.

A new identity locks out the ledger that was lost, should it come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.errors import LakeMismatch, ObjectMissing
from lake_pipeline.model.identity import LedgerIdentity, RootIdentity
from lake_pipeline.model.states import BatchState
from lake_pipeline.storage.identity import read_identity
from lake_pipeline.usecases.identity.adopt import bind_together
from lake_pipeline.usecases.identity.evidence import check_unclaimed
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import read_commit
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step


def check_root(lake: Lake) -> None:
    """Check that this ledger may be recovered from this root.

    Raises `LakeNotThere` if the root has none of the ledger's files (an unmounted volume, a wrong bucket), and
    `LakeMismatch` if the ledger belongs to another lake.
    """
    of_ledger, of_root = lake.ledger.identity.read(), read_identity(lake.store)
    if of_root is None:
        if lake.ledger.identity.has_files():
            check_unclaimed(lake)
    elif of_ledger.lake_id not in (None, of_root.lake_id) and not _shares_commits(lake):
        raise LakeMismatch(
            f"{lake.store.uri} is the root of the lake {of_root.lake_id}, and this ledger ({lake.ledger.location}) "
            f"belongs to the lake {of_ledger.lake_id} and has other files, so nothing was changed. Check LAKE_ROOT and "
            "LAKE_LEDGER_URL, or recover into an empty database."
        )


def bind_steps(lake: Lake) -> Iterator[Step]:
    """Bind the ledger and the root to each other if they are not."""
    of_ledger, of_root = lake.ledger.identity.read(), read_identity(lake.store)
    if not _is_bound(of_ledger, of_root):
        before = f"the lake {of_root.lake_id} of another ledger" if of_root else "a lake without identity"
        yield Step(
            action=Action.BIND,
            key=lake.store.uri,
            reason=f"it is the root of {before}; this ledger takes its place, and any other one is locked out",
            run=partial(bind_together, lake),
        )


def _is_bound(of_ledger: LedgerIdentity, of_root: RootIdentity | None) -> bool:
    return of_root is not None and of_ledger.lake_id == of_root.lake_id


def _shares_commits(lake: Lake) -> bool:
    """Whether the newest finished batch of the ledger is in the store; an empty ledger fits every store."""
    finished = [batch for batch in lake.ledger.commit_log.batches() if batch.state is BatchState.PUBLISHED][-1:]
    if not finished:
        return not lake.ledger.identity.has_files()
    try:
        return read_commit(lake.store, finished[0].number).batch_id == finished[0].batch_id
    except ObjectMissing:
        return False
