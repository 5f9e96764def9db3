"""What all S3 modules share: the client, keys relative to the root, errors that name the operation.

Sends no requests itself.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import AbstractContextManager
from typing import Any

from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import translate_errors
from lake_pipeline.model.skipped import MAX_KEY_BYTES
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.object_store import ObjectInfo

ORIGIN_ETAG = "lake-origin-etag"
"""Metadata of an archived object: its ETag in the landing zone. The copy of a multipart object gets another ETag, and
the ledger knows the first one."""

ARCHIVED_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes that need a restore before a read. GLACIER_IR does not."""

MAX_OBJECT_BYTES = 1 << 50
"""Far above the largest object of any service (S3: 5 TB, Ceph and others more)."""

_ETAG = re.compile(r"[!-~]{1,200}")


class Bucket:
    """The keys under one root. Safe to share between threads, and picklable: each process makes its own client."""

    def __init__(self, location: S3Location) -> None:
        self.location = location
        self.name = location.bucket
        self.prefix = location.prefix
        self._lock = threading.Lock()
        self._client: Any = None
        self._pid = 0

    def __reduce__(self) -> tuple[type[Bucket], tuple[S3Location]]:
        return type(self), (self.location,)

    @property
    def client(self) -> Any:
        """The S3 client of this process, made on first use: a fork must not share connections."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = make_client("s3", self.location.access), os.getpid()
            return self._client

    def full_key(self, key: str) -> str:
        """The key in the bucket. Raises ValueError for a key that is empty, too long or contains NUL."""
        full = self.prefix + key
        if not key or len(full.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES or "\0" in key:
            raise ValueError(f"{key!r} is not a valid key")
        return full

    def relative_key(self, full: str) -> str:
        """The key under the root."""
        return full.removeprefix(self.prefix)

    def object_arguments(self, key: str) -> dict[str, str]:
        """The arguments `Bucket` and `Key` of a call for one object."""
        return {"Bucket": self.name, "Key": self.full_key(key)}

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Raises SDK errors of the block as errors of the lake; see `translate_errors`."""
        return translate_errors(str(self.location), action)


def plain_etag(quoted: str) -> str:
    """An ETag without the quotes of HTTP, as the ledger stores it."""
    return quoted.strip('"')


def announced_object(key: str, etag: object, size: object, *, needs_restore: bool = False) -> ObjectInfo:
    """An object that an event or an inventory describes: what they say is checked before it goes to the ledger.

    Any key is accepted here. Raises ValueError for what is no ETag or size.
    """
    if not isinstance(etag, str) or not _ETAG.fullmatch(etag):
        raise ValueError(f"{etag!r:.200} is not an ETag")
    if not isinstance(size, int | str) or not 0 <= int(size) <= MAX_OBJECT_BYTES:
        raise ValueError(f"{size!r:.200} is not the size of an object")
    return ObjectInfo(key=key, etag=plain_etag(etag), size=int(size), needs_restore=needs_restore)


def info_from_head(key: str, head: dict[str, Any]) -> ObjectInfo:
    """The object that a HEAD describes. An archived object has the ETag that it had in the landing zone."""
    restored = 'ongoing-request="false"' in head.get("Restore", "")
    return ObjectInfo(
        key=key,
        etag=head.get("Metadata", {}).get(ORIGIN_ETAG) or plain_etag(head["ETag"]),
        size=head["ContentLength"],
        needs_restore=head.get("StorageClass") in ARCHIVED_CLASSES and not restored,
        modified=head["LastModified"].timestamp(),
    )
