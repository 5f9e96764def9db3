"""The sample of an inspection: the beginnings of files, as records.

How much is read does not depend on the size of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lake_pipeline.convert.block_values import Segment
from lake_pipeline.convert.input.decompress import Decoded
from lake_pipeline.convert.input.format import Layout, sniff
from lake_pipeline.convert.input.framing import head_records
from lake_pipeline.convert.input.reader import open_text, parse_sample
from lake_pipeline.convert.input.records import SPACES
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.errors import LakeError
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.object_store import ObjectInfo, ObjectStore
from lake_pipeline.usecases.inspection.findings import FileFacts

MAX_LISTED = 100_000
"""Files that are listed at most: a minute in a bucket."""

SAMPLE_FILES = 32
SAMPLE_BYTES = 4 << 20
FILE_BYTES = 1 << 20
"""Text of all files and of one. A sample takes half a second of processor time, so that an answer comes within
three."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One file with its sampled records: as the kernel takes them, and as Python values without malformed ones."""

    facts: FileFacts
    segments: tuple[Segment, ...] = ()
    values: tuple[dict[str, Any], ...] = ()


def chosen(files: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Files spread evenly over a listing."""
    return list(files[:: max(1, -(-len(files) // SAMPLE_FILES))])


def listed(objects: Iterable[ObjectInfo]) -> tuple[list[ObjectInfo], bool]:
    """The objects in the order of their keys, and whether there may be more than are listed."""
    some = list(islice(objects, MAX_LISTED))
    return sorted(some, key=lambda info: info.key), len(some) == MAX_LISTED


def sampled(store: ObjectStore, info: ObjectInfo, number: int, options: ConversionOptions, size: int) -> Sampled:
    """The records at the beginning of one file. A file that can't be read is a fact, not an error."""
    file = RawFile(file_id=number, key=info.key, etag=info.etag, size=info.size)
    try:
        with closing(open_text(store, file, options)) as text:
            return _sampled(text, file, size)
    except LakeError as error:
        return Sampled(facts=FileFacts(key=info.key, size=info.size, problem=str(error)))


def _sampled(text: Decoded, file: RawFile, size: int) -> Sampled:
    head = text.read(size)
    segments: list[Segment] = []
    first = 0
    for records in head_records(head, text.start, size):
        segments.append(Segment(file=file, records=records, first=first))
        first += records.count
    lines = [line for segment in segments for line in segment.records.lines.split(b"\n")[: segment.records.count]]
    facts = FileFacts(
        key=file.key,
        size=file.size,
        compression=text.compression or "none",
        layout=_layout(head),
        records=first,
        text_bytes=len(head),
        problem=None if first else _why_empty(head, size),
    )
    return Sampled(facts=facts, segments=tuple(segments), values=tuple(filter(None, map(parse_sample, lines))))


def _layout(head: bytes) -> str:
    if sniff(head) is Layout.LINES:
        return "lines"
    return "an array" if head.lstrip(SPACES)[:1] == b"[" else "documents"


def _why_empty(head: bytes, size: int) -> str:
    if not head.strip(SPACES):
        return "there is no record in it"
    return f"its first record does not end within {size:,} bytes" if len(head) == size else "there is no record in it"
