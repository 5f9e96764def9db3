"""The check before every write: root and ledger belong to the same lake. At the first use it gives them an identity.

The first use has three steps, and each is decided by one conditional write:

    1. the ledger gets an id of its own                       INSERT … ON CONFLICT DO NOTHING
    2. the root gets `_lake.json` with a new lake id and 1.    a put that fails if the object exists
    3. the ledger is bound to the lake id in the root          UPDATE … WHERE lake_id IS NULL

The ledger's id in the object tells a first use that was interrupted before step 3 (the next call does step 3) from a
root that belongs to another ledger. If two ledgers share a root, step 2 has one winner; if two roots share a ledger,
step 3 has one. The loser gets an error, and has written nothing else.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from lake_pipeline.errors import LakeMismatch, LakeNotThere, StorageUnavailable
from lake_pipeline.model.identity import LedgerIdentity, RootIdentity
from lake_pipeline.storage.identity import create_identity, read_identity
from lake_pipeline.storage.zones import IDENTITY
from lake_pipeline.usecases.identity.evidence import check_unclaimed
from lake_pipeline.usecases.lake import Lake


def check_identity(lake: Lake) -> str:
    """The id of the lake, after a check that its root and its ledger have the same one.

    It takes one query and one small request. Raises `LakeNotThere` if the root has no identity although the ledger has
    one, `LakeMismatch` if they belong to different lakes, and `StorageUnavailable` or `LedgerUnavailable`. Nothing is
    created or moved then.
    """
    of_ledger, of_root = lake.ledger.identity.read(), read_identity(lake.store)
    if of_ledger.lake_id is None:
        return _bind(lake, of_ledger, of_root or _create(lake, of_ledger))
    if of_root is None:
        raise _not_there(lake, of_ledger.lake_id)
    if of_root.lake_id != of_ledger.lake_id:
        raise _another_root(lake, of_ledger.lake_id, of_root)
    return of_root.lake_id


def check_if_bound(lake: Lake) -> None:
    """The same, but a ledger without a lake stays without one: before anything else creates the root of a new lake."""
    if lake.ledger.identity.read().lake_id is not None:
        check_identity(lake)


def new_identity(lake: Lake, ledger_id: str) -> RootIdentity:
    """A new identity for a root that belongs to the ledger of `lake`."""
    return RootIdentity(
        lake_id=str(uuid.uuid4()),
        ledger_id=ledger_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        ledger_location=lake.ledger.location,
    )


def _create(lake: Lake, of_ledger: LedgerIdentity) -> RootIdentity:
    """Create the object, unless another process is faster; returns what the root contains."""
    check_unclaimed(lake)
    lake.store.create_root()
    create_identity(lake.store, new_identity(lake, of_ledger.ledger_id))
    created = read_identity(lake.store)
    if created is None:
        raise StorageUnavailable(f"{lake.store.uri}/{IDENTITY} was written but can't be read; try again.")
    return created


def _bind(lake: Lake, of_ledger: LedgerIdentity, of_root: RootIdentity) -> str:
    if of_root.ledger_id != of_ledger.ledger_id:
        raise _another_ledger(lake, of_root)
    lake_id = lake.ledger.identity.bind(of_root.lake_id)
    if lake_id != of_root.lake_id:
        raise _another_root(lake, lake_id, of_root)
    return lake_id


def _another_ledger(lake: Lake, of_root: RootIdentity) -> LakeMismatch:
    if of_root.ledger_location == lake.ledger.location:
        return LakeMismatch(
            f"{lake.store.uri} is the root of the lake {of_root.lake_id}, whose ledger was {of_root.ledger_location}. "
            "Another ledger is there now: the lake's own was removed, lost or replaced. Nothing was written. Restore "
            "it from a dump, or run `lake recover`, which rebuilds it from the store."
        )
    return LakeMismatch(
        f"{lake.store.uri} is the root of the lake {of_root.lake_id}, which belongs to another ledger "
        f"({of_root.ledger_location}) than this one ({lake.ledger.location}). With two ledgers every row would be "
        "published twice, so nothing was written. Use the lake's own ledger (LAKE_LEDGER_URL, or LAKE_HOME for an "
        "embedded one), or another LAKE_ROOT. If that ledger is lost or this one replaces it, run `lake recover`."
    )


def _another_root(lake: Lake, lake_id: str, of_root: RootIdentity) -> LakeMismatch:
    return LakeMismatch(
        f"{lake.store.uri} is the root of the lake {of_root.lake_id}, but this ledger ({lake.ledger.location}) belongs "
        f"to the lake {lake_id}. Nothing was written. Check LAKE_ROOT, and LAKE_LEDGER_URL or LAKE_HOME: one of them "
        "belongs to another lake. If both were copied or replaced on purpose, run `lake ledger adopt-root`."
    )


def _not_there(lake: Lake, lake_id: str) -> LakeNotThere:
    return LakeNotThere(
        f"{lake.store.uri} has no {IDENTITY}, but this ledger ({lake.ledger.location}) belongs to the lake {lake_id}. "
        "Nothing was written. Check that the volume is mounted and that LAKE_ROOT is right. If this is the root and "
        f"only {IDENTITY} was deleted, run `lake ledger adopt-root`."
    )
