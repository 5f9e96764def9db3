"""From stored bytes to a stream of text bytes: compression is detected from content, a byte order mark is removed.

File names can be wrong, so the first bytes decide, not the ending of the key. Nothing here parses JSON.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from isal import igzip_lib

from lake_pipeline.convert.input.foreign import refuse_foreign
from lake_pipeline.convert.input.records import BOM
from lake_pipeline.errors import BadInput
from lake_pipeline.model.defaults import MAX_UNPACKED_RATIO, ZSTD_WINDOW

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 256 << 10
"""Stored bytes read at a time if they are compressed. Plain text is read in the sizes that the caller wants."""

HEAD_BYTES = 64 << 10
"""Size of the first read. More would be memory that the system must map again for each of many small files."""

RATIO_FROM_BYTES = 64 << 20
"""Text of a file from which its ratio to the stored bytes is limited: less of it is converted within a second."""

_JSON = (b"{", b"[")
_FOREIGN = re.compile(rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|[{\[\"]\0|\0+[{\[\"]")
"""The first bytes of UTF-16 and UTF-32: a byte order mark or a first character of JSON."""


XZ_MEMORY = 128 << 20
"""The most memory to decompress xz with: `xz -9` needs 65 MiB."""


class _Decompressor(Protocol):
    """The common interface of bz2, lzma, zstd and igzip_lib: one member of a stream, never more than `max_length` bytes
    per call.
    """

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class _Format:
    """A compression: the first bytes of each of its members, and its decompressor, given the largest zstd window."""

    name: str
    magic: re.Pattern[bytes]
    new: Callable[[int], _Decompressor]


_FORMATS = (
    _Format(
        name="gzip",
        magic=re.compile(rb"\x1f\x8b"),
        new=lambda _: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    ),
    # The second form is a frame that decompressors skip.
    _Format(
        name="zstd", magic=re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), new=lambda window: _zstd(window)
    ),
    _Format(name="bzip2", magic=re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), new=lambda _: bz2.BZ2Decompressor()),
    _Format(
        name="xz",
        magic=re.compile(rb"\xfd7zXZ\0"),
        new=lambda _: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
    ),
)
_MAGIC_BYTES = 10
_BEFORE_MARK = (b"", b"\n", b"\r", b"}", b"]")
"""The ends of a text to which another file may have been joined: a byte order mark after them is not part of a value.
"""

_NO_MARK = b"\n  "
"""Replaces a byte order mark between two members: it separates documents, and positions stay as they were."""

# The stub of isal declares its error class wrongly.
_DAMAGE = (cast("type[Exception]", igzip_lib.IsalError), zstd.ZstdError, lzma.LZMAError, OSError, ValueError, EOFError)


class Decoded:
    """A raw file as plain bytes. `read` returns at most the given size, less only before the end, nothing at the end.

    Raises `BadInput`: `truncated`, `corrupt` or `trailing_garbage` if compressed data is damaged, after all bytes
    before the damage were returned; `not_utf8` at once for UTF-16 and UTF-32, `foreign_format` for other formats (see
    `foreign`; `key` matters for formats without a magic number), and `window_too_large` for zstd data with a window
    above `zstd_window`. Compressed data in compressed data is read too, once. With `keep_truncated` a truncated file
    simply ends, and `is_cut` is then true. `start` is where the text begins (after a byte order mark) and `position`
    how many plain bytes were read. `is_plain` is true if they are stored uncompressed, else `compression` is its name.

    `unpacked_too_large` is raised if there are more than `max_ratio` bytes of text for each stored byte, but not in the
    first `RATIO_FROM_BYTES` of text.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        key: str = "",
        keep_truncated: bool = False,
        max_ratio: int = MAX_UNPACKED_RATIO,
        zstd_window: int = ZSTD_WINDOW,
    ) -> None:
        self.is_cut = False
        self._source = stream
        self._keep_truncated = keep_truncated
        self._error: BadInput | None = None
        head = read_full(stream.read, HEAD_BYTES)
        compression = _compression(head)
        self.is_plain = compression is None
        self.compression = compression.name if compression else None
        self._plain: _Plain | _Members = _Plain(stream, head)
        if compression:
            self._plain = _Members(stream, compression, head, max_ratio, zstd_window)
        text = self._take(HEAD_BYTES)
        if isinstance(self._plain, _Members) and (inner := _compression(text)):
            outer, self._error = _Outer(self._plain, self._error), None
            self._plain = _Members(outer, inner, text, max_ratio, zstd_window)
            text = self._take(HEAD_BYTES)
        if (text[:1] not in _JSON or text[1:2] == b"\0") and _FOREIGN.match(text):
            raise BadInput("not_utf8", "the file is UTF-16 or UTF-32 text; convert it to UTF-8", offset=0)
        if text[:1] not in _JSON:
            refuse_foreign(text.removeprefix(BOM), key)
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

    def whole_lines(self, size: int, tail_size: int) -> int:
        """How many of the next `size` bytes are whole lines, judging by the last `tail_size` bytes of them.

        0 if there is no line end in these, if the file is shorter, or if looking ahead costs more than a system call.
        """
        if self._head or not isinstance(self._plain, _Plain) or self._plain.has_head:
            return 0
        if not isinstance(self._source, io.BufferedReader):
            return 0
        here = self._source.tell()
        self._source.seek(here + size - tail_size)
        last = self._source.read(tail_size)
        self._source.seek(here)
        return size - tail_size + last.rfind(b"\n") + 1 if len(last) == tail_size and b"\n" in last else 0

    def close(self) -> None:
        self._source.close()

    def _take(self, size: int) -> bytes:
        """Up to `size` bytes. An error is raised only after all bytes before it were returned."""
        if self._error is None:
            pieces: list[bytes] = []
            try:
                return read_full(self._plain.read, size, pieces)
            except BadInput as error:
                self._error = error
                if pieces:
                    return b"".join(pieces)
        if self._keep_truncated and self._error.reason == "truncated":
            self.is_cut = True
            return b""
        raise self._error


def _compression(head: bytes) -> _Format | None:
    return None if head[:1] in _JSON else next((one for one in _FORMATS if one.magic.match(head)), None)


def _zstd(window: int) -> _Decompressor:
    """Frames with a window of up to `window` bytes. Only what a frame fills of its window takes memory."""
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: (window - 1).bit_length()})


class _Outer:
    """The text of compressed data that is compressed data itself. `error` is what ends it after its first bytes."""

    def __init__(self, members: _Members, error: BadInput | None) -> None:
        self._members = members
        self._error = error

    @property
    def bytes_in(self) -> int:
        return self._members.bytes_in

    def read(self, size: int) -> bytes:
        if self._error:
            raise self._error
        return self._members.read(size)


class _Plain:
    """Text that is not compressed."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream = stream
        self._head = head

    @property
    def has_head(self) -> bool:
        """Whether bytes of the first read are still to be returned."""
        return bool(self._head)

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._stream.read(size)


class _Members:
    """The members (gzip, bzip2) or frames (zstd) of a compressed file, one after the other."""

    def __init__(
        self, stream: BinaryIO | _Outer, compression: _Format, head: bytes, max_ratio: int, zstd_window: int
    ) -> None:
        self._stream = stream
        self._zstd_window = zstd_window
        self._format = compression
        self._input = head
        self._member = compression.new(zstd_window)
        self._max_ratio = max_ratio
        self._bytes_read = len(head)
        self._bytes_out = 0
        self._begun = b""
        self._last = b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes of text, none at the end. Raises `BadInput`."""
        while True:
            if self._begun:
                return self._returned(self._begun[:size], self._begun[size:])
            if self._member.eof:
                if not self._next_member():
                    return b""
                continue
            if self._member.needs_input and not self._input:
                self._input = self._next_piece()
                if not self._input:
                    raise BadInput(
                        "truncated", f"the {self._format.name} data ends after {self._bytes_out} bytes of text"
                    )
            data = self._decompress(size)
            if data:
                return self._returned(data, b"")

    def _returned(self, data: bytes, begun: bytes) -> bytes:
        self._begun = begun
        self._last = data[-1:]
        self._bytes_out += len(data)
        self._check_ratio()
        return data

    def _next_piece(self) -> bytes:
        piece = self._stream.read(PIECE_BYTES)
        self._bytes_read += len(piece)
        return piece

    @property
    def bytes_in(self) -> int:
        """The stored bytes that were read, before any decompression."""
        return self._stream.bytes_in if isinstance(self._stream, _Outer) else self._bytes_read

    def _check_ratio(self) -> None:
        if self._bytes_out > RATIO_FROM_BYTES and self._bytes_out > self._max_ratio * self.bytes_in:
            raise BadInput(
                "unpacked_too_large",
                f"{self.bytes_in:,} bytes of {self._format.name} data contain more than {self._bytes_out:,} bytes of "
                f"text, which is more than {self._max_ratio:,} times as much (LAKE_MAX_UNPACKED_RATIO)",
            )

    def _decompress(self, size: int) -> bytes:
        piece, self._input = self._input, b""
        try:
            return self._member.decompress(piece, size)
        except _DAMAGE as error:
            if _needs_memory(error):
                raise _window_too_large(self._format.name, self._zstd_window) from error
            raise BadInput(
                "corrupt", f"the {self._format.name} data is damaged after {self._bytes_out} bytes of text: {error}"
            ) from error

    def _next_member(self) -> bool:
        """Begin the next member; False at the end. NULs after the last one are padding, as in gzip(1)."""
        rest = self._member.unused_data.lstrip(b"\0")
        while len(rest) < _MAGIC_BYTES and (more := self._next_piece()):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return False
        if not self._format.magic.match(rest):
            raise BadInput(
                "trailing_garbage",
                f"other data follows the {self._format.name} data, after {self._bytes_out} bytes of text",
            )
        self._member, self._input = self._format.new(self._zstd_window), rest
        self._begin_member()
        return True

    def _begin_member(self) -> None:
        """Read the first bytes of a member, and replace a byte order mark of a file that was joined here."""
        while len(self._begun) < len(BOM) and BOM.startswith(self._begun) and not self._member.eof:
            if self._member.needs_input and not self._input:
                self._input = self._next_piece()
                if not self._input:
                    return
            self._begun += self._decompress(len(BOM) - len(self._begun))
        if self._begun == BOM and self._last in _BEFORE_MARK:
            self._begun = _NO_MARK


def _needs_memory(error: Exception) -> bool:
    """Whether sound data was refused because its window is above the limit: both libraries only say so in words."""
    return isinstance(error, zstd.ZstdError | lzma.LZMAError) and any(
        words in str(error) for words in ("too much memory", "usage limit")
    )


def _window_too_large(name: str, window: int) -> BadInput:
    if name == "zstd":
        advice = f"above LAKE_ZSTD_WINDOW ({window:,} bytes): set it to up to 2 GiB, which each worker may then take"
    else:
        advice = f"that takes more than {XZ_MEMORY:,} bytes of memory: compress it with a smaller one (xz -9 or below)"
    return BadInput("window_too_large", f"the {name} data has a window {advice}")


def read_full(read: Callable[[int], bytes], size: int, pieces: list[bytes] | None = None) -> bytes:
    """Up to `size` bytes, fewer only at the end, so that small reads do not make small blocks. `pieces` collects each
    read.
    """
    pieces = [] if pieces is None else pieces
    while size > 0 and (piece := read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
