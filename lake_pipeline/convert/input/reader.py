"""Read raw files from the store: as packs of small files, as streams of blocks, or as a sample.

This module limits how much of a file is in memory at once. It also maps an error to the outcome of a file: an error of
the file itself, or of the store.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from lake_pipeline.convert.input.decompress import Decoded
from lake_pipeline.convert.input.framing import blocks, leading_records
from lake_pipeline.convert.input.records import Records
from lake_pipeline.convert.parse.decode import Decoder
from lake_pipeline.convert.parse.tolerant import MalformedRecord, loads
from lake_pipeline.convert.request import ConversionOptions, Truncated
from lake_pipeline.errors import (
    BadInput,
    LakeError,
    ObjectArchived,
    ObjectChanged,
    ObjectMissing,
    ObjectUnreadable,
    Outage,
)
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import MISSING, UNAVAILABLE, UNREADABLE, FileOutcome, Outcome
from lake_pipeline.storage.file_errors import reading_error
from lake_pipeline.storage.object_store import ObjectStore, Readable
from lake_pipeline.storage.outage_watch import OutageWatch

SMALL_BYTES = 4 << 20
"""Files up to this size (as stored) are packed; a larger one has its own parts anyway."""

PACK_BYTES = 8 << 20
PACK_FILES = 512
"""A pack is one unit of work, large enough that handing it to a thread costs nothing in comparison."""

SMALL_TEXT = 32 << 20
"""A small file that decompresses to more than this is streamed like a large one, so that memory stays bounded."""

SMALL_BLOCKS = 4
"""The same for a file of so many tiny records that they fill more blocks than this."""

SAMPLE_FILES = 32
SAMPLE_BYTES = 512 << 10
"""The first contract is inferred from the beginnings of this many files, spread evenly over the batch, and from this
much text in total. It takes hundredths of a second in which nothing is converted. Columns that appear later are added
during the conversion."""

SAMPLE_READERS = 8
"""Samples read at the same time: in a bucket each has its own latency, and conversion waits for them."""

SAMPLE_OF_FILE = 256 << 10
"""The maximum from one file, which may be of an unusual kind."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The files of a batch by how they are read."""

    packs: tuple[tuple[RawFile, ...], ...]
    large: tuple[RawFile, ...]


def plan(files: Sequence[RawFile]) -> Plan:
    """Put small files into packs, in order; large ones stay alone."""
    packs: list[tuple[RawFile, ...]] = []
    pack: list[RawFile] = []
    size = 0
    for file in files:
        if file.size > SMALL_BYTES:
            continue
        if pack and (size + file.size > PACK_BYTES or len(pack) == PACK_FILES):
            packs.append(tuple(pack))
            pack, size = [], 0
        pack.append(file)
        size += file.size
    if pack:
        packs.append(tuple(pack))
    return Plan(packs=tuple(packs), large=tuple(file for file in files if file.size > SMALL_BYTES))


def open_text(store: Readable, file: RawFile, options: ConversionOptions) -> Decoded:
    """The plain text of a raw file. Raises `ObjectMissing`, `ObjectChanged`, `StorageUnavailable`, `BadInput`."""
    stream = store.open(file.current_key, etag=file.etag)
    try:
        return Decoded(
            stream,
            key=file.key,
            keep_truncated=options.truncated is Truncated.KEEP,
            max_ratio=options.max_unpacked_ratio,
            zstd_window=options.zstd_window,
        )
    except BaseException:
        stream.close()
        raise


def read_small(store: Readable, file: RawFile, options: ConversionOptions) -> list[Records] | None:
    """All records of a small file; None if its text is too large for memory. Raises what `open_text` raises."""
    with closing(open_text(store, file, options)) as text:
        records: list[Records] = []
        for block in blocks(text, max_record_bytes=options.max_record_bytes, max_blank_bytes=options.max_blank_bytes):
            records.append(block)
            if text.position > SMALL_TEXT or len(records) > SMALL_BLOCKS:
                return None
        return records


def read_blocks(store: ObjectStore, file: RawFile, options: ConversionOptions) -> Generator[Records]:
    """The records of a file, block by block. Raises what `open_text` raises, also after the first block."""
    with closing(open_text(store, file, options)) as text:
        yield from blocks(text, max_record_bytes=options.max_record_bytes, max_blank_bytes=options.max_blank_bytes)


def sample(
    store: ObjectStore, files: Sequence[RawFile], options: ConversionOptions, watch: OutageWatch
) -> Iterator[tuple[RawFile, list[dict[str, Any]]]]:
    """Records from the beginnings of files spread over the batch, by file. Unreadable ones are left out.

    Raises the `Outage` that `watch` ends the conversion with.
    """
    chosen = files[:: max(1, -(-len(files) // SAMPLE_FILES))]
    decoder = Decoder(options.rules) if options.rules.decodes else None
    size = min(SAMPLE_OF_FILE, SAMPLE_BYTES // max(len(chosen), 1))
    with ThreadPoolExecutor(SAMPLE_READERS, thread_name_prefix="sample") as pool:
        heads = pool.map(lambda file: _head(store, file, options, size, watch), chosen)
        for file, head in zip(chosen, heads, strict=True):
            lines = chain.from_iterable(records.lines.split(b"\n") for records in head)
            texts = map(decoder.line, lines) if decoder else lines
            yield file, [record for line in texts if (record := parse_sample(line)) is not None]


def _head(
    store: ObjectStore, file: RawFile, options: ConversionOptions, size: int, watch: OutageWatch
) -> list[Records]:
    watch.check()
    try:
        with closing(open_text(store, file, options)) as text:
            records = list(leading_records(text, size))
    except LakeError as error:
        watch.failed(file, error)
        return []  # the conversion itself meets the error again and records it
    watch.succeeded()
    return records


def parse_sample(line: bytes) -> dict[str, Any] | None:
    """A record for inference: the fast decoder is enough to know the kinds of its values."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return loads(line)
        except MalformedRecord:
            return None
    return record if isinstance(record, dict) else None


def error_outcome(error: Exception, file: RawFile) -> FileOutcome:
    """The outcome of a file that could not be read or converted: refused if a retry can't help."""
    match error:
        case BadInput():
            outcome, reason = Outcome.REFUSED, error.reason
        case ObjectMissing():
            outcome, reason = Outcome.REFUSED, MISSING
        case ObjectChanged():
            outcome, reason = Outcome.REFUSED, "changed"
        case ObjectArchived():
            outcome, reason = Outcome.REFUSED, error.reason
        case ObjectUnreadable():
            outcome, reason = Outcome.FAILED, UNREADABLE
        case Outage():
            outcome, reason = Outcome.FAILED, UNAVAILABLE
        case OSError():
            return error_outcome(reading_error(file.key, error), file)
        case _:
            # Unforeseen: retried, so that a transient fault heals, and quarantined after the last attempt.
            outcome, reason = Outcome.FAILED, type(error).__name__
    return FileOutcome(file_id=file.file_id, outcome=outcome, reason=reason, error=f"{file.key}: {error}")
