"""Recognize files that are no JSON by their first bytes, so that they are refused by name and with what to do.

Compressions that are read are in `decompress`. Nothing here reads more than the beginning of a file.
"""

from __future__ import annotations

import re

from lake_pipeline.convert.input.records import SPACES
from lake_pipeline.errors import BadInput

_UNPACK = "unpack it, and land the files in it"
_DECOMPRESS = "decompress it, or compress it as gzip, zstd, bzip2 or xz"
_TABLE = "it is no JSON; convert it to JSON lines, or read it with another tool"
_TEXT = "it is no JSON; convert it to JSON lines"

_MAGIC = (
    (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "an lz4 file", _DECOMPRESS),
    (rb"\xff\x06\x00\x00sNaPpY|\x82SNAPPY\0", "a Snappy file", _DECOMPRESS),
    (rb"\x89LZO\x00\r\n\x1a\n", "an lzo file", _DECOMPRESS),
    (rb"LZIP", "an lzip file", _DECOMPRESS),
    (rb"\x1f\x9d", "a file of compress(1)", _DECOMPRESS),
    (rb"PAR1", "a Parquet file", _TABLE),
    (rb"Obj\x01", "an Avro file", _TABLE),
    (rb"ORC", "an ORC file", _TABLE),
    (rb"ARROW1\0\0", "an Arrow file", _TABLE),
    (rb"SQLite format 3\0", "an SQLite database", _TABLE),
    (rb"%PDF-", "a PDF document", _TEXT),
)
_KNOWN = tuple((re.compile(magic), name, advice) for magic, name, advice in _MAGIC)

_BY_ENDING = {".br": "a brotli file", ".snappy": "a Snappy file", ".sz": "a Snappy file", ".lzo": "an lzo file"}
"""Compressions without a magic number: the ending of the key counts if the content is no text."""

_HTML = re.compile(rb"<!doctype html|<html[\s>]", re.IGNORECASE)
_XML = re.compile(rb"<\?xml|<[A-Za-z_][\w:.-]*(?:\s[^<>]*)?/?>")
_JSON_LINE = re.compile(rb"^\s*[{\[]", re.MULTILINE)
_CSV_HEADER = re.compile(rb"\"?\w[\w \"'.:/()-]*(?:[,;\t|]\"?\w[\w \"'.:/()-]*)+")
_DELIMITERS = re.compile(rb"[,;\t|]")
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1d]")

_TAR_BYTES, _TAR_SUM = 512, slice(148, 156)
_CSV_LINES = 9


def refuse_foreign(text: bytes, key: str) -> None:
    """Raise `BadInput` (`foreign_format`) if a file with this beginning is something else than JSON.

    `text` is its beginning, decompressed if it was compressed, and does not begin with a bracket.
    """
    for magic, name, advice in _KNOWN:
        if magic.match(text):
            raise _refused(name, advice)
    if _is_tar(text):
        raise _refused("a tar archive", _UNPACK)
    if _is_hadoop_snappy(text):
        raise _refused("a Hadoop Snappy file", _DECOMPRESS)
    ending = next((ending for ending in _BY_ENDING if key.lower().endswith(ending)), None)
    if ending and _is_binary(text):
        raise _refused(f"{_BY_ENDING[ending]} by its ending", _DECOMPRESS)
    _refuse_other_text(text.lstrip(SPACES))


def _refused(name: str, advice: str) -> BadInput:
    return BadInput("foreign_format", f"the file is {name}: {advice}", offset=0)


def _refuse_other_text(text: bytes) -> None:
    """The same for texts. One with a line that begins like JSON is not refused: other lines may be damaged ones."""
    if _HTML.match(text):
        raise _refused("an HTML page", _TEXT)
    if _XML.match(text) and not _JSON_LINE.search(text):
        raise _refused("an XML document", _TEXT)
    if _is_csv(text) and not _JSON_LINE.search(text):
        raise _refused("a CSV file", _TABLE)


def _is_tar(text: bytes) -> bool:
    """Whether the first 512 bytes have the check sum of a header of tar, which old ones have too."""
    header = text[:_TAR_BYTES]
    if len(header) < _TAR_BYTES or not header[0]:
        return False
    try:
        expected = int(header[_TAR_SUM].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    return expected == sum(header) - sum(header[_TAR_SUM]) + 8 * ord(" ")


def _is_hadoop_snappy(text: bytes) -> bool:
    """Blocks of a length, the length of the first chunk in it, and the chunk, which begins with its text's length."""
    if len(text) < 16 or text[0]:
        return False
    size, stored = int.from_bytes(text[:4], "big"), int.from_bytes(text[4:8], "big")
    length = shift = 0
    for byte in text[8:13]:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return 0 < length <= size and 0 < stored <= size + size // 6 + 32


def _is_binary(text: bytes) -> bool:
    if _CONTROL.search(text):
        return True
    try:
        # A character may be cut off at the end of the beginning.
        text[:-4].decode()
    except UnicodeDecodeError:
        return True
    return False


def _is_csv(text: bytes) -> bool:
    """Whether the first line names columns, and each line after it has as many delimiters at least."""
    header, *others = [line.strip(SPACES) for line in text.split(b"\n", _CSV_LINES)[:_CSV_LINES]]
    if not _CSV_HEADER.fullmatch(header):
        return False
    delimiters = len(_DELIMITERS.findall(header))
    return all(len(_DELIMITERS.findall(line)) >= delimiters for line in others[:-1] if line)
