"""Reading an object: a stream that goes on where a broken answer ended, and never mixes two versions.

Read from front to back it is one request, whatever the size. Once somebody seeks, as readers of Parquet do, a small
object is fetched whole and of a large one only the bytes that are asked for.
"""

from __future__ import annotations

import io
import time
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError
from urllib3.exceptions import HTTPError

from lake_pipeline.aws.errors import CHANGED, NOT_FOUND, code_of
from lake_pipeline.errors import ObjectChanged, ObjectFrozen, ObjectMissing, StorageUnavailable
from lake_pipeline.storage.s3_bucket import ORIGIN_ETAG, Bucket, plain_etag

RESUMES = 6
"""Broken answers in a row, without a byte between them, before reading is given up: pauses of 6 s together."""

FIRST_PAUSE = 0.1

SMALL = 1 << 20
"""An object of which so much is left is read to its end when somebody seeks: less work than another request."""

READ_AHEAD = 256 << 10
"""The least that is asked for behind a seek: the footer of a Parquet file as a rule."""

# What a body breaks with: the SDK's own names for it, urllib3's, and those of the socket.
_BROKEN = (HTTPClientError, ResponseStreamingError, HTTPError, OSError)


class ObjectStream(io.RawIOBase):
    """The bytes of one version of an object, from `start` on. Raises what `ObjectStore.open` raises, when made."""

    def __init__(self, bucket: Bucket, key: str, etag: str | None, start: int) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._etag = etag
        self._position = start
        self._size: int | None = None
        self._body: Any = None
        self._ahead = b""
        self._ahead_at = 0
        self._sought = False
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
            self._settle()
            self._position = target
        return target

    @property
    def size(self) -> int:
        """Bytes of the object."""
        assert self._size is not None, "known from the first answer on"
        return self._size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self.size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted == 0:
            return b""
        data = self._read_there(wanted) if self._sought else self._read_on(wanted)
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

    def _settle(self) -> None:
        """From here on reads may come from anywhere."""
        if not self._sought and self._body is not None and self.size - self._position <= SMALL:
            begin = self._position
            self._ahead, self._ahead_at = self._read_on(self.size - begin), begin
        self._sought = True
        self._drop_body()

    def _read_there(self, wanted: int) -> bytes:
        begin = self._position - self._ahead_at
        if not 0 <= begin <= begin + wanted <= len(self._ahead):
            stop = min(self._position + max(wanted, READ_AHEAD), self.size)
            self._open_body(stop)
            self._ahead, self._ahead_at, begin = self._read_on(stop - self._position), self._position, 0
            self._drop_body()
        return self._ahead[begin : begin + wanted]

    def _read_on(self, wanted: int) -> bytes:
        """Exactly `wanted` bytes from the open answer, which is opened again where it broke."""
        pieces: list[bytes] = []
        pauses = _pauses()
        have = broken = 0
        while have < wanted:
            try:
                if self._body is None:
                    self._open_body(None, self._position + have)
                piece = self._body.read(wanted - have)
            except _BROKEN as error:
                piece, reason = b"", error
            else:
                reason = None
            if piece:
                pieces.append(piece)
                have, broken = have + len(piece), 0
                continue
            self._drop_body()
            broken += 1
            if broken > len(pauses):
                raise StorageUnavailable(
                    f"{self._bucket.place}: {self._key} breaks off at byte {self._position + have} of {self.size} "
                    f"again and again ({type(reason).__name__}); try again."
                )
            time.sleep(pauses[broken - 1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _open_body(self, stop: int | None, start: int | None = None) -> None:
        """Ask for the bytes from `start` (the position) up to `stop` (the end), of the version that was opened."""
        begin = self._position if start is None else start
        arguments: dict[str, Any] = {"IfMatch": f'"{self._etag}"'} if self._etag else {}
        if begin or stop is not None:
            arguments["Range"] = f"bytes={begin}-{'' if stop is None else stop - 1}"
        try:
            with self._bucket.doing(f"read {self._key}"):
                answer = self._get(arguments)
        except _BeyondTheEnd as error:
            # Nothing stands there; that is no failure of the store.
            self._size = error.size
            return
        self._etag = plain_etag(answer["ETag"])
        self._body = answer["Body"]
        self._size = _whole_size(answer)

    def _get(self, arguments: dict[str, Any]) -> Any:
        try:
            return self._answer(arguments)
        except ClientError as error:
            code = code_of(error)
            if code in NOT_FOUND:
                raise ObjectMissing(self._key) from error
            if code == "InvalidObjectState":
                raise ObjectFrozen(self._key) from error
            if code in ("InvalidRange", "416"):
                raise _BeyondTheEnd(self._head()["ContentLength"]) from error
            if code in CHANGED:
                return self._get({**arguments, "IfMatch": self._etag_in_archive()})
            raise

    def _answer(self, arguments: dict[str, Any]) -> Any:
        """The SDK tries everything again by itself but a refusal that breaks off in the middle of its text."""
        for pause in _pauses():
            try:
                return self._bucket.client.get_object(**self._bucket.at(self._key), **arguments)
            except HTTPError:
                time.sleep(pause)
        return self._bucket.client.get_object(**self._bucket.at(self._key), **arguments)

    def _etag_in_archive(self) -> str:
        """The present ETag of an object that was archived with the ETag wanted. Raises `ObjectChanged`."""
        head = self._head()
        found = plain_etag(head["ETag"])
        if head.get("Metadata", {}).get(ORIGIN_ETAG) != self._etag or found == self._etag:
            raise ObjectChanged(self._key, self._etag or "", found)
        return str(head["ETag"])

    def _head(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._bucket.client.head_object(**self._bucket.at(self._key))
        except ClientError as error:
            if code_of(error) in NOT_FOUND:
                raise ObjectMissing(self._key) from error
            raise
        return found

    def _drop_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()


class _BeyondTheEnd(Exception):
    """The range begins at or behind the end of the object, which has `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size


def _pauses() -> list[float]:
    return [FIRST_PAUSE * 2.0**number for number in range(RESUMES)]


def _whole_size(answer: dict[str, Any]) -> int:
    _, _, total = answer.get("ContentRange", "").partition("/")
    return int(total) if total else int(answer["ContentLength"])
