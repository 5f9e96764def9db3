"""Check that a conversion accounts for each record of some files in the same way as the plain reference."""

from __future__ import annotations

import bz2
import gzip
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lake_pipeline.convert.input.format import Layout, sniff
from lake_pipeline.model.manifest import NOTHING_TO_PUBLISH, FileOutcome, Outcome
from lake_pipeline_tests.cases import zstd
from lake_pipeline_tests.support.factories import Converted, LakeOnDisk
from lake_pipeline_tests.support.reference import (
    SPACES,
    alike,
    has_repeated_keys,
    rebuilt,
    records_of_lines,
    reference,
    walk,
)

BROKEN = {"invalid_json", "not_an_object", "invalid_utf8", "too_deep", "truncated"}
BOM = b"\xef\xbb\xbf"


def problems(files: Mapping[str, bytes]) -> list[str]:
    """Convert `files` together; return one sentence for each error in the result, none if all records are
    accounted for.
    """
    with tempfile.TemporaryDirectory() as folder:
        converted = LakeOnDisk(Path(folder)).convert(files, max_bad_share=1.0)
        rows, quarantined = converted.rows(), converted.quarantined()
        sentences: list[str] = []
        for file in converted.files:
            mine = [row for row in rows if row["_file_id"] == file.file_id]
            aside = [row for row in quarantined if row["_file_id"] == file.file_id]
            sentences += [f"{file.key}: {text}" for text in _file(files[file.key], file.key, mine, aside, converted)]
        return sentences


def _file(
    content: bytes, key: str, rows: list[dict[str, Any]], aside: list[dict[str, Any]], converted: Converted
) -> Iterator[str]:
    outcome = converted.outcome(key)
    text = plain(content)
    if outcome.outcome is Outcome.FAILED:
        yield f"FAILED, {outcome.error}"
    elif outcome.outcome is Outcome.REFUSED:
        if rows or aside:
            yield "refused, and yet something of it was written"
        if outcome.reason == NOTHING_TO_PUBLISH and text is not None:
            yield from _unpublishable(list(expected_records(text)), outcome)
        elif text is not None and outcome.reason != "not_utf8":
            yield f"refused ({outcome.reason}), though its text can be read"
    elif text is None:
        yield "converted, though it is damaged"
    elif (len(rows), len(aside)) != (outcome.published, outcome.quarantined):
        yield f"{len(rows)} rows and {len(aside)} quarantined records, unlike its account: {outcome}"
    else:
        yield from _records(list(expected_records(text)), rows, aside, converted)


def _unpublishable(expected: list[bytes], outcome: FileOutcome) -> Iterator[str]:
    """The keys of the files name a date and a mode, so only a record with values of its own there can lack one."""
    if outcome.read != len(expected):
        yield f"{len(expected)} records expected, but {outcome.read} were read"
    for raw in expected:
        record = reference(raw.removeprefix(BOM))
        if record is not None and not {"event_time", "mode"} & record.keys():
            yield f"the record {raw!r:.300} can be published, but nothing of the file is"


def _records(
    expected: list[bytes], rows: list[dict[str, Any]], aside: list[dict[str, Any]], converted: Converted
) -> Iterator[str]:
    numbers = sorted([*(row["_record"] for row in rows), *(row["record"] for row in aside)])
    if numbers != list(range(len(expected))):
        yield f"{len(expected)} records expected, but there are {numbers}"
        return
    for row in aside:
        raw = expected[row["record"]]
        if row["raw"].strip(SPACES) != raw:
            yield f"record {row['record']} is {raw!r}, quarantined is {row['raw']!r}"
        if (row["reason"] in BROKEN) == (reference(raw.removeprefix(BOM)) is not None):
            yield f"record {row['record']} {raw!r:.300} is quarantined as {row['reason']}: {row['detail']}"
    for row in rows:
        raw = expected[row["_record"]]
        record = reference(raw.removeprefix(BOM))
        if record is None:
            yield f"record {row['_record']} {raw!r:.300} is published, although it is malformed"
        elif not has_repeated_keys(raw) and not alike(rebuilt(row, converted), record):
            yield f"record {row['_record']} {raw!r:.300} became {rebuilt(row, converted)!r:.300}"


def plain(content: bytes) -> bytes | None:
    """The text of a file; None if its compression is damaged."""
    for magic, decompress in _DECOMPRESS.items():
        if re.match(magic, content):
            try:
                return decompress(content)
            except (OSError, EOFError, ValueError, zlib.error, zstd.ZstdError):
                return None
    return content


def _strictly(new: Callable[[], Any]) -> Callable[[bytes], bytes]:
    """Like `bz2.decompress` and `zstd.decompress`, which accept any data after a stream as padding: only NULs may
    follow.
    """

    def decompress(content: bytes) -> bytes:
        text = b""
        while content:
            stream = new()
            text += stream.decompress(content)
            if not stream.eof:
                raise EOFError
            content = stream.unused_data.lstrip(b"\0")
        return text

    return decompress


_DECOMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    rb"\x1f\x8b": gzip.decompress,
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)": _strictly(bz2.BZ2Decompressor),
    rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18": _strictly(zstd.ZstdDecompressor),
}


def expected_records(text: bytes) -> Iterator[bytes]:
    """The records of a text in order, found byte by byte. Only the layout is taken from the kernel."""
    text = text.removeprefix(BOM)
    if sniff(text) is Layout.LINES:
        yield from records_of_lines(text)
        return
    scan = walk(text.decode("latin-1"))
    done = 0
    for start, end in scan.documents:
        yield from _gap(text[done:start])
        yield text[start:end]
        done = end
    open_start = len(text) if scan.open_start is None else scan.open_start
    yield from _gap(text[done:open_start])
    if scan.open_start is not None or scan.in_array:
        yield text[open_start:].strip(SPACES)


def _gap(text: bytes) -> Iterator[bytes]:
    for piece in text.split(b","):
        if kept := piece.strip(SPACES + b"[]"):
            yield kept
