"""Raw files as the lake knows them: one version of one object in a landing zone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from lake_pipeline.model.partitions import PartitionKey


class Lane(IntEnum):
    """The queue a file waits in. The lower number is claimed first: weekly drops go ahead of the history."""

    WEEKLY = 0
    HISTORY = 1


class NewVersion(StrEnum):
    """What becomes of a file whose key the ledger knows with another ETag."""

    REPLACE = "replace"
    APPEND = "append"
    IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class DiscoveredFile:
    """An object version seen by a listing, not yet registered.

    `expected` is the partition that the key promises, if it promises one; the records decide in the end. A `frozen`
    file stands in an archive storage class and can't be read before somebody restores it.
    """

    key: str
    etag: str
    size: int
    lane: Lane
    expected: PartitionKey | None
    frozen: bool = False


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A registered object version. `file_id` is the ledger's number for it, `size` its bytes as stored.

    `archived_at` is the key under which its bytes stand by now, where that is not `key`.
    """

    file_id: int
    key: str
    etag: str
    size: int
    lane: Lane = Lane.WEEKLY
    attempts: int = 0
    expected: PartitionKey | None = None
    archived_at: str | None = None

    @property
    def place(self) -> str:
        """The key to read its bytes from."""
        return self.archived_at or self.key
