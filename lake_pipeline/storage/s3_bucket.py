"""One bucket as the other S3 modules see it: a client made when first needed, keys under the root, errors with names.

It holds what listing, reading, writing and moving share, and asks S3 for nothing itself.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import Any

from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import translated
from lake_pipeline.storage.objects import ObjectInfo
from lake_pipeline.storage.places import S3Place

ORIGIN_ETAG = "lake-origin-etag"
"""Metadata of an archived object: the ETag it had in the landing zone. A copy of an object that was uploaded in parts
gets another ETag, and the ledger knows the first one."""

FROZEN_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Not readable before a restore. GLACIER_IR is: its first letters only look alike."""

MAX_KEY_BYTES = 1024


class Bucket:
    """The keys under one root. Safe to share between threads, and to send to other processes: clients stay behind."""

    def __init__(self, place: S3Place) -> None:
        self.place = place
        self.name = place.bucket
        self.prefix = place.prefix
        self._lock = threading.Lock()
        self._client: Any = None
        self._pid = 0

    def __reduce__(self) -> tuple[type[Bucket], tuple[S3Place]]:
        return type(self), (self.place,)

    @property
    def client(self) -> Any:
        """The S3 client of this process: connections must not be shared with a fork."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = make_client("s3", self.place.access), os.getpid()
            return self._client

    def full(self, key: str) -> str:
        """The key in the bucket. Raises ValueError for what S3 has no room for, or is no key at all."""
        full = self.prefix + key
        if not key or len(full.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES or "\0" in key:
            raise ValueError(f"{key!r} is not a key")
        return full

    def short(self, full: str) -> str:
        """The key under the root."""
        return full.removeprefix(self.prefix)

    def at(self, key: str) -> dict[str, str]:
        """The arguments of a call about one object."""
        return {"Bucket": self.name, "Key": self.full(key)}

    def doing(self, what: str) -> AbstractContextManager[None]:
        """What fails in the block is an error of the lake. `what` goes on "can't …"."""
        return translated(str(self.place), what)


def plain_etag(quoted: str) -> str:
    """An ETag as the ledger keeps it: without the quotes that HTTP puts around it."""
    return quoted.strip('"')


def info_of_head(key: str, head: dict[str, Any]) -> ObjectInfo:
    """What a HEAD answered. An archived object has the ETag that it had in the landing zone."""
    restored = 'ongoing-request="false"' in head.get("Restore", "")
    return ObjectInfo(
        key=key,
        etag=head.get("Metadata", {}).get(ORIGIN_ETAG) or plain_etag(head["ETag"]),
        size=head["ContentLength"],
        frozen=head.get("StorageClass") in FROZEN_CLASSES and not restored,
    )
