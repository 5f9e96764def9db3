"""Commit objects: the manifest of each batch in the store, one object under `_commits/` for each number.

They are the log that `lake recover` replays. An object is created once and never changed.
"""

from __future__ import annotations

from lake_pipeline.errors import LedgerBehind, ObjectMissing, PermanentError
from lake_pipeline.model.commit import Commit
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import commit_key
from lake_pipeline.usecases.lake import Lake


def store_commit(lake: Lake, batch_id: str) -> None:
    """Create the object of a batch past its point of no return. Idempotent.

    Raises `LedgerBehind` if another batch has the number: another ledger works on this store.
    """
    commit = lake.ledger.commit_log.commit(batch_id)
    if lake.store.create(commit_key(commit.number), commit.to_bytes()):
        return
    if read_commit(lake.store, commit.number).batch_id != batch_id:
        raise LedgerBehind(commit.number)


def check_newest(lake: Lake) -> None:
    """Raises `LedgerBehind` if the store has a commit that the ledger lacks, or another one under the same number.

    One request, and one for each batch that is being published. The ledger records a manifest before the store gets it,
    so a ledger of this lake is never behind.
    """
    number = lake.ledger.commit_log.last_number() + 1
    if lake.store.stat(commit_key(number)) is not None and lake.ledger.commit_log.last_number() < number:
        raise LedgerBehind(number)
    for batch in lake.ledger.commit_log.unfinished():
        try:
            stored = read_commit(lake.store, batch.number)
        except ObjectMissing:
            continue
        if stored.batch_id != batch.batch_id:
            raise LedgerBehind(batch.number)


def read_commit(store: ObjectStore, number: int) -> Commit:
    """The commit with a number. Raises `ObjectMissing`, and `PermanentError` if the object is damaged."""
    key = commit_key(number)
    with store.open(key) as stream:
        content = stream.read()
    try:
        commit = Commit.from_bytes(content)
    except ValueError as error:
        raise PermanentError(
            f"{key} can't be read: {error}. Restore this object, for example from an older version in the bucket."
        ) from error
    if commit.number != number:
        raise PermanentError(f"{key} has the commit with number {commit.number}. Restore the right object.")
    return commit
