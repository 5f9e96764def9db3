"""The data sets: what each one is for, how large, and where it lies. Generated once and kept.

How a record looks is in `records`. A set is complete when its `about.json` is there; it is written last.
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

from bench.records import BAD_SHARE, WIDE_LEAVES, Fate, Lines, events, spoilt, wide_events

GENERATION = 2
"""Raise it with every change to what is generated: sets of an older generation are made anew."""

CHUNK = 10_000
"""Records drawn at a time."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One question to the contenders. `share` is its size as a share of `--megabytes`; `files` is None where
    files of `file_bytes` are made, however many that gives."""

    name: str
    title: str
    share: float
    lines: Lines
    files: int | None = None
    file_bytes: int = 0
    dirty: bool = False
    compressed: bool = False

    def bytes_of_file(self, total: int) -> int:
        return -(-total // self.files) if self.files else self.file_bytes


@dataclass(frozen=True, kw_only=True)
class About:
    """What was generated. `json_bytes` is the text, `stored_bytes` what lies on disk (less where compressed)."""

    name: str
    records: int
    broken: int
    misfits: int
    json_bytes: int
    stored_bytes: int
    files: int


LINES = DataSet(name="lines", title="Large NDJSON files", share=1, lines=events, files=4)
SMALL = DataSet(name="small", title="Many small files (16 KB each)", share=0.25, lines=events, file_bytes=16_000)
WIDE = DataSet(
    name="wide", title=f"Wide nested records ({WIDE_LEAVES} leaf fields)", share=0.5, lines=wide_events, files=4
)
DIRTY = DataSet(
    name="dirty",
    title=f"Large NDJSON files, {BAD_SHARE:.0%} of the records broken or misfit",
    share=1,
    lines=events,
    files=4,
    dirty=True,
)
GZIP = DataSet(name="gzip", title="Gzip-compressed NDJSON files", share=0.5, lines=events, files=8, compressed=True)

DATA_SETS = {each.name: each for each in (LINES, DIRTY, SMALL, WIDE, GZIP)}


def generated(each: DataSet, total_bytes: int, cache: Path) -> tuple[Path, About]:
    """The folder of raw files of `each`, about `total_bytes` of JSON, and what is in it."""
    folder = cache / f"{each.name}-{total_bytes}-{GENERATION}"
    about = folder / "about.json"
    if not about.exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "raw").mkdir(parents=True)
        about.write_text(json.dumps(asdict(_generate(each, total_bytes, folder / "raw"))))
    return folder / "raw", About(**json.loads(about.read_text()))


def _generate(each: DataSet, total_bytes: int, folder: Path) -> About:
    # The clean and the dirty set have one seed, so that only what was spoilt differs.
    rng, wrongs = np.random.default_rng(20260201), np.random.default_rng(20260202)
    lines: list[tuple[bytes, Fate]] = []
    fates: Counter[Fate] = Counter()
    written = stored = files = 0
    for goal in _goals(each, total_bytes):
        content = BytesIO()
        while content.tell() < goal:
            if not lines:
                texts = each.lines(rng, CHUNK)
                drawn = spoilt(wrongs, texts) if each.dirty else [Fate.GOOD] * CHUNK
                lines = [(text.encode() + b"\n", fate) for text, fate in zip(texts, drawn, strict=True)]
            line, fate = lines.pop()
            content.write(line)
            fates[fate] += 1
        written += content.tell()
        stored += _store(content.getbuffer(), folder, files, each.compressed)
        files += 1
    return About(
        name=each.name,
        records=fates.total(),
        broken=fates[Fate.BROKEN],
        misfits=fates[Fate.MISFIT],
        json_bytes=written,
        stored_bytes=stored,
        files=files,
    )


def _goals(each: DataSet, total_bytes: int) -> Iterator[int]:
    """The bytes of each file."""
    size = min(each.bytes_of_file(total_bytes), total_bytes)
    yield from [size] * max(1, round(total_bytes / size))


def _store(content: memoryview, folder: Path, number: int, compressed: bool) -> int:
    path = folder / f"part-{number:05}.json{'.gz' if compressed else ''}"
    # No time stamp in the header: the same bytes each time.
    path.write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if compressed else content)
    return path.stat().st_size
