"""The store protocol: what the lake requires of an object store.

Both implementations, a directory and S3, guarantee: an object is invisible under its key until it is published,
publishing twice is harmless, and listing holds a bounded number of pages in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from re import Pattern
from typing import BinaryIO, Protocol

from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.model.skipped import SkippedEntry, SkipReason, is_hidden, skipped_entry
from lake_pipeline.storage.location import Location

CONCURRENT_REQUESTS = 16
"""Objects that are read, published or archived at the same time. A request to S3 takes 20 to 100 ms, nearly all of it
latency, so this is 160 to 800 requests a second; S3 takes 3,500 writes a second below one prefix."""


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """An object as listed. `etag` changes if the content changes; `size` is in bytes.

    `needs_restore`: the object is in an archived storage class (Glacier, Deep Archive) and unreadable until restored.
    `modified` is the time of its last change in seconds since 1970, None if the source does not say. `origin` is the
    key of the link that led to it, with the rest of its key; None if no link did.
    """

    key: str
    etag: str
    size: int
    needs_restore: bool = False
    modified: float | None = field(default=None, compare=False)
    origin: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class ListingReport:
    """What the listings of one discovery leave out: `on_skip` gets each skipped entry.

    `followed` has the paths of the targets of links that were listed, so that each is listed once.
    """

    on_skip: Callable[[SkippedEntry], None]
    followed: set[str] = field(default_factory=set)

    def skip(self, key: str, reason: SkipReason, detail: str = "") -> None:
        """Report one entry. Nothing hidden is read, so whatever else is wrong with it does not matter."""
        if is_hidden(key):
            reason, detail = SkipReason.HIDDEN, ""
        self.on_skip(skipped_entry(key, reason, detail))


class PendingWriter(Protocol):
    """A file-like sink for one pending object. `finish` makes it complete and durable, `discard` removes it."""

    def write(self, data: bytes | memoryview, /) -> int: ...

    def finish(self) -> PendingObject: ...

    def discard(self) -> None: ...


class Readable(Protocol):
    """A source of objects; see `ObjectStore.open`."""

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO: ...


class ObjectStore(Protocol):
    """Objects under one root. Keys are relative to it, separated by `/` and without a leading one.

    Every method raises `StorageUnavailable` if a retry may succeed.
    """

    @property
    def location(self) -> Location:
        """All that another process needs to open the same store with `open_store`."""
        ...

    @property
    def uri(self) -> str:
        """The root as users write it: a path or `s3://bucket/prefix`."""
        ...

    def probe(self) -> None:
        """Check with one request that the root is there and can be read. Raises `StorageUnavailable`."""
        ...

    def objects(self, prefix: str, report: ListingReport | None = None) -> Iterator[ObjectInfo]:
        """Every object below `prefix` (a folder ending in `/`, or empty for all), page by page, in any order.

        With a `report`, an entry that is no object (a link, a pipe) or a folder that can't be listed is reported and
        the listing goes on. Without one, entries that are no objects are left out silently.
        """
        ...

    def folders(self, pattern: Pattern[str]) -> list[str]:
        """The top-level folders (`2026/`) that fully match `pattern`, sorted."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """The object at `key`, or None."""
        ...

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO:
        """A seekable stream over the bytes at `key`, from byte `start` on; empty if `start` is at or beyond the end.

        Raises `ObjectMissing`, `ObjectArchived`, `ObjectUnreadable`, and `ObjectChanged` if `etag` is given and the
        object has another.
        """
        ...

    def put_pending(self, key: str) -> PendingWriter:
        """Begin an object that stays invisible until `publish`."""
        ...

    def publish(self, pending: PendingObject) -> None:
        """Make the complete object visible under its key, atomically. Idempotent.

        Raises `OutcomeUnknown` if neither the pending nor the published object exists.
        """
        ...

    def abort(self, pending: PendingObject) -> None:
        """Remove a pending object. Idempotent, and never removes a published object."""
        ...

    def pending(self) -> Iterator[PendingObject]:
        """Every pending object of the lake, to sweep what crashed workers left.

        Size and ETag are 0 and "" if the store would need a request for each; a directory knows them.
        """
        ...

    def move(self, source: str, target: str, *, etag: str) -> None:
        """Move the version `etag` of `source` to `target`. Idempotent.

        Raises `ObjectChanged` if `source` has another version, `ObjectMissing` if neither key has the object, and
        `KeyTaken` if no object can have the key `target`, because a file has the name of a folder or vice versa. Raises
        `ObjectUnreadable` while a program is still writing to the source.
        """
        ...

    def copy(self, source: str, target: str, *, etag: str) -> None:
        """Copy the version `etag` of `source` to `target`, atomically. Idempotent.

        Unless the copy exists already, raises `ObjectChanged` if `source` has another version, and `ObjectMissing` if
        it has none.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object at `key`. Idempotent."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Create a small object; False if there is one already. Of several callers at once, one creates it."""
        ...

    def create_root(self) -> None:
        """Create the root if it is a directory that is missing. Nothing else creates it. A bucket is never created.

        Raises `SettingsError` if it can't be used.
        """
        ...
