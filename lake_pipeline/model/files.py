"""Raw files: one version of one object in a landing zone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from lake_pipeline.model.partitions import PartitionKey


class Lane(IntEnum):
    """Priority of a file. The lower number is claimed first: weekly drops before the history."""

    WEEKLY = 0
    HISTORY = 1


class NewVersion(StrEnum):
    """Policy for a file whose key is in the ledger with another ETag."""

    REPLACE = "replace"
    APPEND = "append"
    IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class DiscoveredFile:
    """An object version from a listing, not yet registered.

    `expected` is the partition that the key announces, if any; the records decide in the end. A file that
    `needs_restore` is in an archived storage class and can't be read until it is restored.
    """

    key: str
    etag: str
    size: int
    lane: Lane
    expected: PartitionKey | None
    needs_restore: bool = False


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A registered object version. `file_id` is its id in the ledger, `size` its bytes as stored.

    `archive_key` is the key of its bytes if they were moved to the archive.
    """

    file_id: int
    key: str
    etag: str
    size: int
    lane: Lane = Lane.WEEKLY
    attempts: int = 0
    expected: PartitionKey | None = None
    archive_key: str | None = None

    @property
    def current_key(self) -> str:
        """The key to read its bytes from."""
        return self.archive_key or self.key
