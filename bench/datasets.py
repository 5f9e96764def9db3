"""The data sets: their purpose, size and folder. Generated once and cached.

The form of a record is in `records`. A set is complete if its `about.json` exists; it is written last.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from bench.records import (
    BAD_RATIO,
    EVENT_TYPES,
    SPARSE_LEAVES,
    WIDE_LEAVES,
    Fate,
    Lines,
    damage,
    epoch_events,
    events,
    sparse_events,
    utc_events,
    wide_events,
)

GENERATION = 3
"""Increase it with every change of the generator: sets of an older generation are generated again."""

CHUNK_RECORDS = 10_000
"""Records generated at a time."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """`ratio` is its size relative to `--megabytes`. If `files` is None, files of `file_bytes` each are generated.

    Peers read the date by its position in the text, so they convert it only if `has_iso_dates`.
    """

    name: str
    title: str
    ratio: float
    lines: Lines
    files: int | None = None
    file_bytes: int = 0
    dirty: bool = False
    compressed: bool = False
    has_iso_dates: bool = True

    def bytes_of_file(self, total: int) -> int:
        return -(-total // self.files) if self.files else self.file_bytes


@dataclass(frozen=True, kw_only=True)
class About:
    """What was generated. `json_bytes` is the size of the text, `stored_bytes` the size on disk."""

    name: str
    records: int
    malformed: int
    misfits: int
    json_bytes: int
    stored_bytes: int
    files: int


LINES = DataSet(name="lines", title="Large NDJSON files", ratio=1, lines=events, files=4)
SMALL = DataSet(name="small", title="Many small files (16 KB each)", ratio=0.25, lines=events, file_bytes=16_000)
WIDE = DataSet(
    name="wide", title=f"Wide nested records ({WIDE_LEAVES} leaf fields)", ratio=0.5, lines=wide_events, files=4
)
DIRTY = DataSet(
    name="dirty",
    title=f"Large NDJSON files, {BAD_RATIO:.0%} of the records malformed or misfit",
    ratio=1,
    lines=events,
    files=4,
    dirty=True,
)
GZIP = DataSet(name="gzip", title="Gzip-compressed NDJSON files", ratio=0.5, lines=events, files=8, compressed=True)

SPARSE = DataSet(
    name="sparse",
    title=f"Sparse records: {EVENT_TYPES} event types, {SPARSE_LEAVES:,} columns",
    ratio=0.05,
    lines=sparse_events,
    files=2,
)

UTC = DataSet(
    name="utc", title="NDJSON files with dates like 2024-01-02 03:04:05 UTC", ratio=0.5, lines=utc_events, files=4
)
EPOCH = DataSet(
    name="epoch",
    title="NDJSON files with dates as epoch text",
    ratio=0.5,
    lines=epoch_events,
    files=4,
    has_iso_dates=False,
)

DATA_SETS = {dataset.name: dataset for dataset in (LINES, DIRTY, SMALL, WIDE, SPARSE, GZIP, UTC, EPOCH)}


def generated(dataset: DataSet, total_bytes: int, cache: Path) -> tuple[Path, About]:
    """The folder of the raw files, about `total_bytes` of JSON, and its description."""
    folder = cache / f"{dataset.name}-{total_bytes}-{GENERATION}"
    about = folder / "about.json"
    if not about.exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "raw").mkdir(parents=True)
        about.write_text(json.dumps(asdict(_generate(dataset, total_bytes, folder / "raw"))))
    return folder / "raw", About(**json.loads(about.read_text()))


def _generate(dataset: DataSet, total_bytes: int, folder: Path) -> About:
    # The clean and the dirty set share a seed, so that only the damaged records differ.
    rng, damage_rng = np.random.default_rng(20260201), np.random.default_rng(20260202)
    lines: list[tuple[bytes, Fate]] = []
    fates: Counter[Fate] = Counter()
    written = stored = files = 0
    for file_size in _file_sizes(dataset, total_bytes):
        content = BytesIO()
        while content.tell() < file_size:
            if not lines:
                texts = dataset.lines(rng, CHUNK_RECORDS)
                chunk_fates = damage(damage_rng, texts) if dataset.dirty else [Fate.GOOD] * CHUNK_RECORDS
                lines = [(text.encode() + b"\n", fate) for text, fate in zip(texts, chunk_fates, strict=True)]
            line, fate = lines.pop()
            content.write(line)
            fates[fate] += 1
        written += content.tell()
        stored += _store(content.getbuffer(), folder, files, dataset.compressed)
        files += 1
    return About(
        name=dataset.name,
        records=fates.total(),
        malformed=fates[Fate.MALFORMED],
        misfits=fates[Fate.MISFIT],
        json_bytes=written,
        stored_bytes=stored,
        files=files,
    )


def _file_sizes(dataset: DataSet, total_bytes: int) -> Iterator[int]:
    size = min(dataset.bytes_of_file(total_bytes), total_bytes)
    yield from [size] * max(1, round(total_bytes / size))


def _store(content: memoryview, folder: Path, number: int, compressed: bool) -> int:
    path = folder / f"part-{number:05}.json{'.gz' if compressed else ''}"
    # No time stamp in the header, so that the bytes are the same each time.
    path.write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if compressed else content)
    return path.stat().st_size
