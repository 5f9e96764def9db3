"""From stored bytes to a stream of text bytes: compression told by content, byte order mark removed.

Names lie, so the first bytes decide and not the ending of the key. Nothing here looks at JSON.
"""

from __future__ import annotations

import bz2
import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from isal import igzip_lib

from lake_pipeline.errors import BadInput

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BOM = b"\xef\xbb\xbf"

PIECE_BYTES = 256 << 10
"""Stored bytes taken at a time where they are compressed. Plain text is taken as it is asked for."""

HEAD_BYTES = 64 << 10
"""Read at first. More would be memory that the system must map anew for each of many small files."""

_JSON = (b"{", b"[")
_FOREIGN = re.compile(rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|[{\[\"]\0|\0+[{\[\"]")
"""How UTF-16 and UTF-32 begin, with a byte order mark or with a first character of JSON."""


class _Decompressor(Protocol):
    """What bz2, zstd and igzip_lib agree on: one member of a stream, never more than `max_length` bytes at a time."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class _Format:
    """A compression: how each member of it begins, and what reads one."""

    name: str
    magic: re.Pattern[bytes]
    new: Callable[[], _Decompressor]


_FORMATS = (
    _Format(
        name="gzip",
        magic=re.compile(rb"\x1f\x8b"),
        new=lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    ),
    # The second form is a frame that decompressors skip.
    _Format(name="zstd", magic=re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), new=zstd.ZstdDecompressor),
    _Format(name="bzip2", magic=re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), new=bz2.BZ2Decompressor),
)
_MAGIC_BYTES = 10
# The stub of isal takes its error class for an error.
_DAMAGE = (cast("type[Exception]", igzip_lib.IsalError), zstd.ZstdError, OSError, ValueError, EOFError)


class Decoded:
    """A raw file as plain bytes. `read` returns at most that many bytes, fewer only before the end, none at it.

    Raises `BadInput`: `truncated`, `corrupt` or `trailing_garbage` where compressed data is damaged, after all
    bytes before the damage were given; `not_utf8` at once for UTF-16 and UTF-32. With `keep_truncated` a
    truncated file simply ends, and `is_cut` is true then. `start` is where the text begins (behind a byte order
    mark), `position` how many plain bytes were read, `is_plain` whether they stand in the store as they are.
    """

    def __init__(self, stream: BinaryIO, *, keep_truncated: bool = False) -> None:
        self.is_cut = False
        self._source = stream
        self._keep_truncated = keep_truncated
        self._problem: BadInput | None = None
        head = read_full(stream.read, HEAD_BYTES)
        found = None if head[:1] in _JSON else next((known for known in _FORMATS if known.magic.match(head)), None)
        self.is_plain = found is None
        self._plain = _Plain(stream, head) if found is None else _Members(stream, found, head)
        text = self._take(HEAD_BYTES)
        if (text[:1] not in _JSON or text[1:2] == b"\0") and _FOREIGN.match(text):
            raise BadInput("not_utf8", "the file is UTF-16 or UTF-32 text; convert it to UTF-8", offset=0)
        self.start = len(BOM) if text.startswith(BOM) else 0
        self.position = len(text)
        self._head = text[self.start :]

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        if len(head) == size:
            return head
        data = self._take(size - len(head))
        self.position += len(data)
        return head + data if head else data

    def whole_lines(self, size: int, look: int) -> int:
        """How many of the next `size` bytes are whole lines, as far as the last `look` of them tell.

        0 where they don't, where so many do not follow, and where to look ahead costs more than a system call.
        """
        if self._head or not isinstance(self._plain, _Plain) or self._plain.has_head:
            return 0
        if not isinstance(self._source, io.BufferedReader):
            return 0
        here = self._source.tell()
        self._source.seek(here + size - look)
        last = self._source.read(look)
        self._source.seek(here)
        return size - look + last.rfind(b"\n") + 1 if len(last) == look and b"\n" in last else 0

    def close(self) -> None:
        self._source.close()

    def _take(self, size: int) -> bytes:
        """Up to `size` bytes. A problem waits until what came before it is given away."""
        if self._problem is None:
            pieces: list[bytes] = []
            try:
                return read_full(self._plain.read, size, pieces)
            except BadInput as problem:
                self._problem = problem
                if pieces:
                    return b"".join(pieces)
        if self._keep_truncated and self._problem.reason == "truncated":
            self.is_cut = True
            return b""
        raise self._problem


class _Plain:
    """Text that is not compressed."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream = stream
        self._head = head

    @property
    def has_head(self) -> bool:
        """Whether it is ahead of what was read of it."""
        return bool(self._head)

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._stream.read(size)


class _Members:
    """The members (gzip, bzip2) or frames (zstd) of a compressed file, one after the other."""

    def __init__(self, stream: BinaryIO, found: _Format, head: bytes) -> None:
        self._stream = stream
        self._format = found
        self._input = head
        self._member = found.new()
        self._given = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes of text, none at the end. Raises `BadInput`."""
        while True:
            if self._member.eof and not self._next_member():
                return b""
            if self._member.needs_input and not self._input:
                self._input = self._stream.read(PIECE_BYTES)
                if not self._input:
                    raise BadInput("truncated", f"the {self._format.name} data ends after {self._given} bytes of text")
            data = self._decompress(size)
            if data:
                self._given += len(data)
                return data

    def _decompress(self, size: int) -> bytes:
        piece, self._input = self._input, b""
        try:
            return self._member.decompress(piece, size)
        except _DAMAGE as error:
            raise BadInput(
                "corrupt", f"the {self._format.name} data is damaged after {self._given} bytes of text: {error}"
            ) from error

    def _next_member(self) -> bool:
        """Begin the next member; False at the end. NULs after the last one are padding, as gzip(1) has it."""
        rest = self._member.unused_data.lstrip(b"\0")
        while len(rest) < _MAGIC_BYTES and (more := self._stream.read(PIECE_BYTES)):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return False
        if not self._format.magic.match(rest):
            raise BadInput(
                "trailing_garbage",
                f"behind the {self._format.name} data stands something else, after {self._given} bytes of text",
            )
        self._member, self._input = self._format.new(), rest
        return True


def read_full(read: Callable[[int], bytes], size: int, pieces: list[bytes] | None = None) -> bytes:
    """Up to `size` bytes, fewer only at the end: small reads must not make small blocks. `pieces` see each read."""
    pieces = [] if pieces is None else pieces
    while size > 0 and (piece := read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
