"""Detect from the first bytes of a file how its documents are laid out.

A wrong guess loses no record. By lines, a malformed record costs its line; by brackets, it may take its neighbors with
it into quarantine. So lines are preferred if one of the first lines is a document by itself.
"""

from __future__ import annotations

from enum import Enum, auto

import orjson

from lake_pipeline.convert.input.brackets import Scanner
from lake_pipeline.convert.input.records import BOM, RECORD_SEPARATOR, SPACES
from lake_pipeline.convert.parse.tolerant import MalformedRecord, loads

SNIFFED_LINES = 8
"""Lines inspected after the first."""

SNIFFED_SPACES = 64
"""Bytes after the first document in which a separator is looked for."""

_SEPARATORS = (b",", RECORD_SEPARATOR)
"""What stands between documents that are no lines: a comma, or the mark of a JSON text sequence (RFC 7464)."""


class Layout(Enum):
    """The layout of documents in a file: one on each line, or found by their brackets (including an array of them)."""

    LINES = auto()
    DOCUMENTS = auto()


def sniff(head: bytes) -> Layout:
    """The layout of a file that begins with `head`.

    Lines, if one of the first lines is a document by itself, unless the very first document is longer than its line;
    else documents. Documents with a separator before or after the first are never lines. A file that begins with
    neither bracket nor separator is read as lines, so that damage costs one line only.
    """
    text = head.lstrip(SPACES)
    if text[:1] != b"{":
        return Layout.DOCUMENTS if text.startswith((b"[", *_SEPARATORS)) else Layout.LINES
    end = text.find(b"\n")
    if end < 0 or not _is_object(text[:end]):
        others = text[end + 1 :].split(b"\n", SNIFFED_LINES)[:SNIFFED_LINES] if end >= 0 else []
        if not any(map(_is_object, others)) or _first_document_is_no_line(text, end):
            return Layout.DOCUMENTS
    elif text[end + 1 : end + 1 + SNIFFED_SPACES].lstrip(SPACES).startswith(_SEPARATORS):
        return Layout.DOCUMENTS
    return Layout.LINES


def _is_object(line: bytes) -> bool:
    line = line.strip(SPACES).removeprefix(BOM)
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return _is_odd_object(line)


def _is_odd_object(line: bytes) -> bool:
    """The same for what orjson refuses and `loads` accepts: NaN, numbers of any size, lone surrogates."""
    try:
        loads(line)
    except MalformedRecord:
        return False
    return True


def _first_document_is_no_line(text: bytes, line_end: int) -> bool:
    spans = Scanner().feed(text)
    if not len(spans):
        return False
    start, end = spans[0].tolist()
    is_separated = text[end : end + SNIFFED_SPACES].lstrip(SPACES).startswith(_SEPARATORS)
    return (end > line_end or is_separated) and _is_object(text[start:end])
