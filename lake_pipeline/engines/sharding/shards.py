"""Shards: the pieces of a batch that workers convert, as values that can be sent as JSON.

A shard is some files, or a range of one large file. Splitting depends on bytes alone. `driver` and `worker` process
shards; the engine decides where.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from lake_pipeline.model.files import RawFile
from lake_pipeline.model.json_document import parse_document

FILE_OVERHEAD_BYTES = 256 << 10
"""Minimum weight of a file: requesting it from S3 takes about as long as converting this many bytes."""


SPLIT_FACTOR = 1.25
"""A file is split if it is larger than this many shards. Its records must be counted then, and reading it twice costs
more than a task that takes a quarter longer."""


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """The records of a file that begin in the bytes `start` to `stop` (exclusive).

    `first` is the index in the file of the first of them.
    """

    start: int
    stop: int
    first: int = 0


@dataclass(frozen=True, kw_only=True)
class Shard:
    """`files` as a whole, or the `range` of a single one. `number` is the index of the shard in its batch."""

    number: int
    files: tuple[RawFile, ...]
    range: ByteRange | None = None

    @property
    def size(self) -> int:
        """Bytes to read, as stored."""
        return self.range.stop - self.range.start if self.range else sum(file.size for file in self.files)

    @property
    def files_ended(self) -> int:
        """How many files are complete after this shard, for progress."""
        return len(self.files) if self.range is None or self.range.stop == self.files[0].size else 0

    def to_json(self) -> str:
        """A text for `from_json`, with the fields of files that a conversion needs."""
        return json.dumps(
            {
                "number": self.number,
                "files": [[file.file_id, file.key, file.etag, file.size, file.archive_key] for file in self.files],
                "range": asdict(self.range) if self.range else None,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Shard:
        """The inverse of `to_json`."""
        data = parse_document(text)
        return cls(
            number=data["number"],
            files=tuple(
                RawFile(file_id=file_id, key=key, etag=etag, size=size, archive_key=archive_key)
                for file_id, key, etag, size, archive_key in data["files"]
            ),
            range=ByteRange(**data["range"]) if data["range"] else None,
        )


def split_ranges(file: RawFile, shard_bytes: int) -> list[ByteRange]:
    """Ranges of about equal size that cover a file, none above `shard_bytes`."""
    number = -(-file.size // shard_bytes)
    edges = [file.size * index // number for index in range(number + 1)]
    return [ByteRange(start=start, stop=stop) for start, stop in pairwise(edges)]


def pack_files(files: Iterable[RawFile], shard_bytes: int) -> list[tuple[RawFile, ...]]:
    """Group files in order into groups of about `shard_bytes`; a larger file is alone."""
    groups: list[tuple[RawFile, ...]] = []
    group: list[RawFile] = []
    size = 0
    for file in files:
        weight = max(file.size, FILE_OVERHEAD_BYTES)
        if group and size + weight > shard_bytes:
            groups.append(tuple(group))
            group, size = [], 0
        group.append(file)
        size += weight
    return [*groups, tuple(group)] if group else groups


def number_shards(ranges: Sequence[tuple[RawFile, ByteRange]], groups: Iterable[tuple[RawFile, ...]]) -> list[Shard]:
    """All shards of a batch: large files first, as in a conversion without shards."""
    shards = [Shard(number=number, files=(file,), range=span) for number, (file, span) in enumerate(ranges)]
    return shards + [Shard(number=number, files=group) for number, group in enumerate(groups, start=len(shards))]
