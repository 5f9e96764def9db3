"""What the lake asks of an object store.

Two stores keep these promises: a directory and S3. Readers of a plain path never see an object before it
is published, publishing twice is harmless, and a listing never holds more than a page in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from re import Pattern
from typing import BinaryIO, Protocol

from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.places import Place


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """An object as a listing shows it. `etag` changes whenever the content does; `size` is in bytes.

    A `frozen` object stands in an archive storage class and can't be read before somebody restores it.
    """

    key: str
    etag: str
    size: int
    frozen: bool = False


class PendingWriter(Protocol):
    """A file-like sink for one pending object. `finish` makes it durable and complete, `discard` forgets it."""

    def write(self, data: bytes | memoryview, /) -> int: ...

    def finish(self) -> PendingObject: ...

    def discard(self) -> None: ...


class Readable(Protocol):
    """Where objects can be read; see `ObjectStore.open`."""

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO: ...


class ObjectStore(Protocol):
    """Objects under one root. Keys are relative to it, with `/` between parts and none in front.

    Every method raises `StorageUnavailable` when trying again may help.
    """

    @property
    def place(self) -> Place:
        """Where it is: all that another process needs to open the same store with `open_store`."""
        ...

    @property
    def uri(self) -> str:
        """The root as people write it: a path or `s3://bucket/prefix`."""
        ...

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below `prefix` (a folder, ending in `/`; empty for all), page by page, in no promised order."""
        ...

    def folders(self, pattern: Pattern[str]) -> list[str]:
        """The top folders (`2026/`) that match `pattern` whole, sorted."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """The object at `key`, or None."""
        ...

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO:
        """A stream over the bytes at `key` from byte `start` on; none where that is the end or behind it.

        Raises `ObjectMissing`, `ObjectFrozen`, and `ObjectChanged` when `etag` is given and another version stands
        there. The stream can seek, as readers of Parquet do.
        """
        ...

    def put_pending(self, key: str) -> PendingWriter:
        """Begin an object that stays invisible until `publish`."""
        ...

    def publish(self, pending: PendingObject) -> None:
        """Make it visible under its key, whole and at once. Publishing again is harmless.

        Raises `OutcomeUnknown` when neither the pending nor the published object can be found.
        """
        ...

    def abort(self, pending: PendingObject) -> None:
        """Forget a pending object. Harmless when it is gone; never touches a published one."""
        ...

    def pending(self) -> Iterator[PendingObject]:
        """Every pending object of the lake, for sweeping what crashed workers left.

        Size and ETag are told where the store knows them without asking for each (a directory does); else 0 and "".
        """
        ...

    def move(self, source: str, target: str, *, etag: str) -> None:
        """Move the version `etag` of `source` to `target`. Moving again is harmless.

        Raises `ObjectChanged` when another version stands at `source`, and `ObjectMissing` when the object
        is at neither place.
        """
        ...

    def copy(self, source: str, target: str, *, etag: str) -> None:
        """Have the version `etag` of `source` at `target` too, whole or not at all. Copying again is harmless.

        Raises `ObjectChanged` when another version stands at `source`, and `ObjectMissing` when none does, unless the
        copy was made before.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object at `key`. Harmless when it is gone."""
        ...
