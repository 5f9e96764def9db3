"""Reading an object: a stream that resumes after a broken response and never mixes two versions.

Sequential reading takes one request, whatever the size. After the first seek (readers of Parquet), a small object is
read as a whole and a large one in ranges.
"""

from __future__ import annotations

import io
import time
from typing import Any

from lake_pipeline.aws.errors import (
    BROKEN_BODY,
    BROKEN_ERROR_BODY,
    CHANGED,
    NOT_FOUND,
    OBJECT_DENIED,
    ClientError,
    error_code,
    translate_client_error,
)
from lake_pipeline.errors import ObjectArchived, ObjectChanged, ObjectMissing, ObjectUnreadable, StorageUnavailable
from lake_pipeline.storage.s3.bucket import ORIGIN_ETAG, Bucket, plain_etag

MAX_RESUMES = 6
"""Consecutive broken responses without a byte before reading fails, with pauses of 6 s in total."""

FIRST_PAUSE = 0.1

SMALL_REST = 1 << 20
"""If at most this many bytes are left at the first seek, they are read at once: faster than another request."""

MIN_RANGE = 256 << 10
"""The smallest range requested after a seek: usually the whole footer of a Parquet file."""


class ObjectStream(io.RawIOBase):
    """The bytes of one version of an object, from `start` on. The constructor raises what `ObjectStore.open` raises."""

    def __init__(self, bucket: Bucket, key: str, etag: str | None, start: int) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._etag = etag
        self._position = start
        self._size: int | None = None
        self._body: Any = None
        self._buffer = b""
        self._buffer_start = 0
        self._random_access = False
        self._open_body(None)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        target = max(base + offset, 0)
        if target != self._position:
            self._start_random_access()
            self._position = target
        return target

    @property
    def size(self) -> int:
        """Bytes of the object."""
        assert self._size is not None, "set by the first response"
        return self._size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self.size - self._position, 0)
        count = left if size is None or size < 0 else min(size, left)
        if count == 0:
            return b""
        data = self._read_range(count) if self._random_access else self._read_body(count)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._drop_body()
        super().close()

    def _start_random_access(self) -> None:
        if not self._random_access and self._body is not None and self.size - self._position <= SMALL_REST:
            begin = self._position
            self._buffer, self._buffer_start = self._read_body(self.size - begin), begin
        self._random_access = True
        self._drop_body()

    def _read_range(self, count: int) -> bytes:
        begin = self._position - self._buffer_start
        if not 0 <= begin <= begin + count <= len(self._buffer):
            stop = min(self._position + max(count, MIN_RANGE), self.size)
            self._open_body(stop)
            self._buffer, self._buffer_start, begin = self._read_body(stop - self._position), self._position, 0
            self._drop_body()
        return self._buffer[begin : begin + count]

    def _read_body(self, count: int) -> bytes:
        """Exactly `count` bytes of the response body, which is requested again if it breaks off."""
        pieces: list[bytes] = []
        pauses = _pauses()
        received = failures = 0
        while received < count:
            try:
                if self._body is None:
                    self._open_body(None, self._position + received)
                piece = self._body.read(count - received)
            except BROKEN_BODY as error:
                piece, reason = b"", error
            else:
                reason = None
            if piece:
                pieces.append(piece)
                received, failures = received + len(piece), 0
                continue
            self._drop_body()
            failures += 1
            if failures > len(pauses):
                raise StorageUnavailable(
                    f"{self._bucket.location}: {self._key}: reading failed repeatedly at byte "
                    f"{self._position + received} of {self.size} ({type(reason).__name__}); try again."
                )
            time.sleep(pauses[failures - 1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _open_body(self, stop: int | None, start: int | None = None) -> None:
        """Request the bytes from `start` (default: the position) to `stop` (default: the end) of the opened version."""
        begin = self._position if start is None else start
        arguments: dict[str, Any] = {"IfMatch": f'"{self._etag}"'} if self._etag else {}
        if begin or stop is not None:
            arguments["Range"] = f"bytes={begin}-{'' if stop is None else stop - 1}"
        try:
            with self._bucket.errors(f"read {self._key}"):
                answer = self._get(arguments)
        except _BeyondEnd as error:
            # An empty stream, not a failure of the store.
            self._size = error.size
            return
        self._etag = plain_etag(answer["ETag"])
        self._body = answer["Body"]
        self._size = _object_size(answer)

    def _get(self, arguments: dict[str, Any]) -> Any:
        try:
            return self._send_get(arguments)
        except ClientError as error:
            code = error_code(error)
            if code in NOT_FOUND:
                raise ObjectMissing(self._key) from error
            if code == "InvalidObjectState":
                raise ObjectArchived(self._key) from error
            if code in ("InvalidRange", "416"):
                raise _BeyondEnd(self._head()["ContentLength"]) from error
            if code in OBJECT_DENIED:
                refusal = translate_client_error(error, str(self._bucket.location), f"read {self._key}")
                raise ObjectUnreadable(self._key, str(refusal)) from error
            if code in CHANGED:
                return self._get({**arguments, "IfMatch": self._etag_in_archive()})
            raise

    def _send_get(self, arguments: dict[str, Any]) -> Any:
        """Retries an error answer whose body breaks off, the one failure that the SDK does not retry."""
        for pause in _pauses():
            try:
                return self._bucket.client.get_object(**self._bucket.object_arguments(self._key), **arguments)
            except BROKEN_ERROR_BODY:
                time.sleep(pause)
        return self._bucket.client.get_object(**self._bucket.object_arguments(self._key), **arguments)

    def _etag_in_archive(self) -> str:
        """The current ETag of an object that had the requested ETag before it was archived.

        Raises `ObjectChanged` for any other object.
        """
        head = self._head()
        current_etag = plain_etag(head["ETag"])
        if head.get("Metadata", {}).get(ORIGIN_ETAG) != self._etag or current_etag == self._etag:
            raise ObjectChanged(self._key, self._etag or "", current_etag)
        return str(head["ETag"])

    def _head(self) -> dict[str, Any]:
        try:
            head: dict[str, Any] = self._bucket.client.head_object(**self._bucket.object_arguments(self._key))
        except ClientError as error:
            if error_code(error) in NOT_FOUND:
                raise ObjectMissing(self._key) from error
            raise
        return head

    def _drop_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()


class _BeyondEnd(Exception):
    """The requested range begins at or beyond the end of the object, which has `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size


def _pauses() -> list[float]:
    return [FIRST_PAUSE * 2.0**number for number in range(MAX_RESUMES)]


def _object_size(answer: dict[str, Any]) -> int:
    _, _, total = answer.get("ContentRange", "").partition("/")
    return int(total) if total else int(answer["ContentLength"])
