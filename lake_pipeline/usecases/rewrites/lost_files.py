"""Lost files: published objects that are gone or replaced although no batch replaces them.

Only the ledger can distinguish them from files that another batch is replacing at this moment. Nothing is repaired
here; `lake fsck` and `lake rebuild` do that.
"""

from __future__ import annotations

from lake_pipeline.errors import DataFileLost, FilesMoved, ObjectChanged, ObjectMissing
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.identity.check import check_if_bound
from lake_pipeline.usecases.lake import Lake

Version = tuple[str, str]
"""Key and ETag of a published file."""


def replaced_or_lost(lake: Lake, version: Version, error: ObjectMissing | ObjectChanged) -> FilesMoved | DataFileLost:
    """The error of work that needs this published file, which the store refused with `error`.

    A batch reserves a file before it touches it, so a file that is not reserved now was not being replaced then.
    Raises `LakeNotThere` or `LakeMismatch` if it is the root that is gone.
    """
    check_if_bound(lake)
    key, etag = version
    if not lake.ledger.curated.is_settled(key, etag):
        return FilesMoved(f"{key} is being replaced by another batch. ({error})")
    return lost(key, "is gone" if isinstance(error, ObjectMissing) else "was replaced or changed from outside")


def lost(key: str, problem: str) -> DataFileLost:
    """The error for a published file with this `problem`."""
    try:
        partition: str | None = str(PartitionKey.of_path(key))
    except ValueError:
        partition = None
    return DataFileLost(key, partition, problem)
