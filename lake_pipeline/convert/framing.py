"""Framing: cut a stream of text bytes into blocks of whole records, whatever the layout of the file.

The layout is told by the content of the first bytes. Memory is bounded by the block and the longest record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum, auto

from lake_pipeline.convert.decoding import Decoded
from lake_pipeline.convert.records import Records, frame_documents, frame_lines
from lake_pipeline.convert.scanning import scan_documents
from lake_pipeline.errors import BadInput

BLOCK_BYTES = 8 << 20
"""Text bytes of a block: large enough that per-block work vanishes, small enough to stay in a few cache sizes."""

MAX_RECORD_BYTES = 256 << 20
"""A record longer than this is taken for a broken file: nothing that large was ever one document on purpose."""

_SNIFF_LINES = 8


class Layout(Enum):
    """How documents stand in a file."""

    LINES = auto()
    DOCUMENTS = auto()
    ARRAY = auto()


def blocks(text: Decoded, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Records]:
    """The records of a file, block by block, in order.

    Raises `BadInput` for damaged compression and for a record above `MAX_RECORD_BYTES`.
    """
    head = _read_full(text, block_bytes)
    layout = sniff(head)
    if layout is Layout.LINES:
        yield from _line_blocks(text, head, block_bytes)
    else:
        yield from _document_blocks(text, head, layout, block_bytes)


def sniff(head: bytes) -> Layout:
    """The layout of a file that begins with `head`.

    An array, where a bracket comes first; lines, where one of the first lines is a document by itself, unless
    the very first document is longer than its line; else documents.
    """
    text = head.lstrip()
    if text[:1] == b"[":
        return Layout.ARRAY
    lines = text.split(b"\n", _SNIFF_LINES)
    if text[:1] != b"{" or _is_object(lines[0]):
        return Layout.LINES
    first = _first_document(text)
    if first is None:
        whole_lines = lines[1:-1]
        return Layout.LINES if not whole_lines or any(map(_is_object, whole_lines)) else Layout.DOCUMENTS
    is_longer = len(first) > len(lines[0])
    return Layout.DOCUMENTS if is_longer or not any(map(_is_object, lines[1:])) else Layout.LINES


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _first_document(text: bytes) -> bytes | None:
    """The first document by its brackets, if it is whole and an object."""
    spans, _ = scan_documents(text, in_array=False, final=False)
    if not len(spans):
        return None
    first = text[spans[0][0] : spans[0][1]]
    return first if _is_object(first) else None


def _line_blocks(text: Decoded, head: bytes, block_bytes: int) -> Iterator[Records]:
    base, rest, chunk = 0, b"", head
    while chunk:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield frame_lines(rest + chunk[:cut], base)
            base += len(rest) + cut
            rest = chunk[cut:]
        else:
            rest += chunk
            _bound(rest, base)
        chunk = text.read(block_bytes)
    if rest:
        yield frame_lines(rest, base)


def _document_blocks(text: Decoded, head: bytes, layout: Layout, block_bytes: int) -> Iterator[Records]:
    in_array = layout is Layout.ARRAY
    base = head.index(b"[") + 1 if in_array else 0
    rest = head[base:]
    while True:
        chunk = text.read(block_bytes)
        spans, done = scan_documents(rest, in_array=in_array, final=not chunk)
        if len(spans):
            yield frame_documents(rest, base, spans)
        if not chunk:
            return
        base += done
        rest = rest[done:] + chunk
        _bound(rest, base)


def _bound(rest: bytes, base: int) -> None:
    if len(rest) > MAX_RECORD_BYTES:
        raise BadInput(
            "record_too_large",
            f"the record at byte {base} is longer than {MAX_RECORD_BYTES >> 20} MB, or its brackets never close",
            offset=base,
        )


def _read_full(text: Decoded, size: int) -> bytes:
    """Up to `size` bytes; fewer only at the end, so that small reads don't hide the layout."""
    parts = []
    while size > 0 and (part := text.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def head_records(text: Decoded, size: int) -> Records:
    """The whole records among the first `size` bytes; a record cut off there is left out."""
    head = _read_full(text, size)
    at_end = len(head) < size
    layout = sniff(head)
    if layout is Layout.LINES:
        return frame_lines(head if at_end else head[: head.rfind(b"\n") + 1], 0)
    begin = head.index(b"[") + 1 if layout is Layout.ARRAY else 0
    spans, _ = scan_documents(head[begin:], in_array=layout is Layout.ARRAY, final=False)
    return frame_documents(head[begin:], begin, spans)
