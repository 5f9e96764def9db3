"""The values of an inspection. They hold facts only; `lake inspect` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """One sampled file: its `size` as stored, and what its first `text_bytes` bytes of text contain.

    `layout` and `compression` are words for people (`lines`, `gzip`). `problem` says why nothing or not all of it was
    read; None if there is none.
    """

    key: str
    size: int
    compression: str = ""
    layout: str = ""
    records: int = 0
    text_bytes: int = 0
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """One column that the records would get. `share` (0 to 1) of the records have a value; `examples` are short."""

    name: str
    path: tuple[str, ...]
    type: str
    share: float
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A field that could be the date or the mode. It is usable in `records` of `of` records; `example` is a value.

    `distinct` values of a mode each become a folder per day.
    """

    path: str
    records: int
    of: int
    example: str
    distinct: int = 0


@dataclass(frozen=True, kw_only=True)
class QuarantineFacts:
    """Records that would be quarantined for the same reason, with one of them: its file, index and explanation."""

    reason: str
    records: int
    key: str
    record: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result. Counts are of the sample: `records` = `published` + `quarantined`.

    `listed_files` and `listed_bytes` are all files below the prefix, up to the limit of the listing if `is_partial`.
    `partitions` are the rows of each (day, mode). `settings` are the `LAKE_*` values that fit the sample better than
    the present ones; empty if these fit.
    """

    listed_files: int
    listed_bytes: int
    is_partial: bool
    files: tuple[FileFacts, ...]
    records: int
    published: int
    quarantined: int
    columns: tuple[ColumnFacts, ...]
    dates: tuple[Candidate, ...]
    modes: tuple[Candidate, ...]
    quarantine: tuple[QuarantineFacts, ...]
    partitions: Mapping[tuple[date, str], int]
    warnings: tuple[str, ...]
    settings: Mapping[str, str]
