"""Shares: what one of many workers does of a batch, as values that travel as JSON.

A share is some files, or a range of one that is large. How a batch is cut depends on bytes alone; what is done with a
share is for `sharing`, and where, for the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from lake_pipeline.model.files import RawFile

OPENING_BYTES = 256 << 10
"""A file counts as so many bytes at least: asking S3 for it takes about as long as converting these."""


SPLIT_ABOVE = 1.25
"""Shares that a file may have the size of before it is split: its records must be counted then, and reading it twice
costs more than a task that takes a quarter longer."""


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """The records of a file that begin at the bytes `start` to `stop` (not included).

    `first` is the index in the file of the first of them.
    """

    start: int
    stop: int
    first: int = 0


@dataclass(frozen=True, kw_only=True)
class Share:
    """`files` as a whole, or the `range` of the only one. `number` is the place of a share among those of a batch."""

    number: int
    files: tuple[RawFile, ...]
    range: ByteRange | None = None

    @property
    def size(self) -> int:
        """Bytes to read, as stored."""
        return self.range.stop - self.range.start if self.range else sum(file.size for file in self.files)

    @property
    def files_ended(self) -> int:
        """How many files are done with when it is, for progress."""
        return len(self.files) if self.range is None or self.range.stop == self.files[0].size else 0

    def to_json(self) -> str:
        """A text that `from_json` reads back. Of the files, only what converting needs travels."""
        return json.dumps(
            {
                "number": self.number,
                "files": [[file.file_id, file.key, file.etag, file.size, file.archived_at] for file in self.files],
                "range": asdict(self.range) if self.range else None,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Share:
        """The inverse of `to_json`."""
        data = json.loads(text)
        return cls(
            number=data["number"],
            files=tuple(
                RawFile(file_id=file_id, key=key, etag=etag, size=size, archived_at=archived_at)
                for file_id, key, etag, size, archived_at in data["files"]
            ),
            range=ByteRange(**data["range"]) if data["range"] else None,
        )


def ranges_of(file: RawFile, share_bytes: int) -> list[ByteRange]:
    """Ranges of about equal size that cover a file, none above `share_bytes`."""
    number = -(-file.size // share_bytes)
    edges = [file.size * each // number for each in range(number + 1)]
    return [ByteRange(start=start, stop=stop) for start, stop in pairwise(edges)]


def packed(files: Iterable[RawFile], share_bytes: int) -> list[tuple[RawFile, ...]]:
    """The files in groups of about `share_bytes`, in order; a larger one alone."""
    groups: list[tuple[RawFile, ...]] = []
    group: list[RawFile] = []
    size = 0
    for file in files:
        weight = max(file.size, OPENING_BYTES)
        if group and size + weight > share_bytes:
            groups.append(tuple(group))
            group, size = [], 0
        group.append(file)
        size += weight
    return [*groups, tuple(group)] if group else groups


def numbered(ranges: Sequence[tuple[RawFile, ByteRange]], groups: Iterable[tuple[RawFile, ...]]) -> list[Share]:
    """All shares of a batch: large files first, as in a conversion that is not shared."""
    shares = [Share(number=number, files=(file,), range=each) for number, (file, each) in enumerate(ranges)]
    return shares + [Share(number=number, files=group) for number, group in enumerate(groups, start=len(shares))]
