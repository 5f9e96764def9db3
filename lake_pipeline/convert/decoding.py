"""From stored bytes to a stream of text bytes: compression told by content, byte order mark removed.

Names lie, so the first bytes decide and not the ending of the key. Nothing here looks at JSON.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

from lake_pipeline.errors import BadInput

GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
HEAD = 3
_BUFFER = 1 << 18


class Decoded:
    """A raw file as plain bytes. `read` returns at most that many bytes, and none at the end.

    Raises `BadInput` (`truncated`, `corrupt`) where the compressed data is damaged; `position` then tells how
    many plain bytes came before.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._source = stream
        buffered = io.BufferedReader(cast("io.RawIOBase", stream), _BUFFER)
        compressed = buffered.peek(HEAD)[: len(GZIP)] == GZIP
        self._stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=buffered) if compressed else buffered
        self.position = 0
        self._head = self._without_mark()

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._take(size)

    def close(self) -> None:
        self._source.close()

    def _without_mark(self) -> bytes:
        head = self._take(HEAD)
        return head.removeprefix(BOM)

    def _take(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except EOFError as error:
            raise BadInput("truncated", f"the compressed data ends after {self.position} bytes of text") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(
                "corrupt", f"the compressed data is damaged after {self.position} bytes of text: {error}"
            ) from error
        self.position += len(data)
        return data
