"""Reading raw files from the store: as packs of small files, as streams of blocks, or as a sample.

Here it is decided how much of a file is in memory at once. Errors of one file are told apart here too: what is
wrong with the file, and what is wrong with the world.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from lake_pipeline.convert.decoding import Decoded
from lake_pipeline.convert.framing import blocks, head_records
from lake_pipeline.convert.records import Records
from lake_pipeline.convert.request import ConversionOptions, Truncated
from lake_pipeline.convert.tolerant import Broken, loads
from lake_pipeline.errors import BadInput, LakeError, ObjectChanged, ObjectFrozen, ObjectMissing
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import FileOutcome, Outcome
from lake_pipeline.storage.objects import ObjectStore, Readable

SMALL_BYTES = 4 << 20
"""Files up to here (as stored) are packed; a larger one has parts of its own anyway."""

PACK_BYTES = 8 << 20
PACK_FILES = 512
"""A pack is one unit of work: large enough that handing it to a thread costs nothing beside it."""

SMALL_TEXT = 32 << 20
"""A small file that decompresses to more than this is streamed like a large one, so that memory stays bounded."""

SMALL_BLOCKS = 4
"""The same for a file of so many tiny records that they fill more blocks than this."""

SAMPLE_FILES = 32
SAMPLE_BYTES = 512 << 10
"""The first contract is inferred from the beginnings of this many files, spread evenly over the batch, and from this
much text of them together: hundredths of a second, in which nothing is converted. What comes later only is added in
flight."""

SAMPLE_READERS = 8
"""Samples that are read at the same time: in a bucket each is waited for, and nothing is converted before."""

SAMPLE_OF_FILE = 256 << 10
"""The most of one file, which may be of a kind of its own."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The files of a batch by how they are read."""

    packs: tuple[tuple[RawFile, ...], ...]
    large: tuple[RawFile, ...]


def plan(files: Sequence[RawFile]) -> Plan:
    """Small files into packs, in order; large ones alone."""
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
    stream = store.open(file.place, etag=file.etag)
    try:
        return Decoded(stream, keep_truncated=options.truncated is Truncated.KEEP)
    except BaseException:
        stream.close()
        raise


def read_small(store: Readable, file: RawFile, options: ConversionOptions) -> list[Records] | None:
    """All records of a small file; None where its text is too large to be held. Raises what `open_text` raises."""
    with closing(open_text(store, file, options)) as text:
        records: list[Records] = []
        for block in blocks(text, max_record_bytes=options.max_record_bytes):
            records.append(block)
            if text.position > SMALL_TEXT or len(records) > SMALL_BLOCKS:
                return None
        return records


def read_blocks(store: ObjectStore, file: RawFile, options: ConversionOptions) -> Generator[Records]:
    """The records of a file, block by block. Raises what `open_text` raises, also on the way."""
    with closing(open_text(store, file, options)) as text:
        yield from blocks(text, max_record_bytes=options.max_record_bytes)


def sample(store: ObjectStore, files: Sequence[RawFile], options: ConversionOptions) -> Iterator[dict[str, Any]]:
    """Records from the beginnings of files spread over the batch. What can't be read is left out."""
    chosen = files[:: max(1, -(-len(files) // SAMPLE_FILES))]
    size = min(SAMPLE_OF_FILE, SAMPLE_BYTES // max(len(chosen), 1))
    with ThreadPoolExecutor(SAMPLE_READERS, thread_name_prefix="sample") as pool:
        for found in pool.map(lambda file: _head(store, file, options, size), chosen):
            for line in chain.from_iterable(records.lines.split(b"\n") for records in found):
                record = _glance(line)
                if record is not None:
                    yield record


def _head(store: ObjectStore, file: RawFile, options: ConversionOptions, size: int) -> list[Records]:
    try:
        with closing(open_text(store, file, options)) as text:
            return list(head_records(text, size))
    except LakeError:
        return []  # the conversion itself will meet it again, and account for it


def _glance(line: bytes) -> dict[str, Any] | None:
    """A record for inference: quickly where that is enough to know the kinds of its values."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return loads(line)
        except Broken:
            return None
    return record if isinstance(record, dict) else None


def outcome_of(error: Exception, file: RawFile) -> FileOutcome:
    """What becomes of a file that could not be read or converted: refused where trying again won't help."""
    match error:
        case BadInput():
            outcome, reason = Outcome.REFUSED, error.reason
        case ObjectMissing():
            outcome, reason = Outcome.REFUSED, "missing"
        case ObjectChanged():
            outcome, reason = Outcome.REFUSED, "changed"
        case ObjectFrozen():
            outcome, reason = Outcome.REFUSED, error.reason
        case LakeError():
            outcome, reason = Outcome.FAILED, "unavailable"
        case _:
            # Not foreseen: tried again, so that a passing fault heals, and quarantined after the last attempt.
            outcome, reason = Outcome.FAILED, type(error).__name__
    return FileOutcome(file_id=file.file_id, outcome=outcome, reason=reason, error=f"{file.key}: {error}")
