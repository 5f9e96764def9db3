"""The values that pass between the stages of a conversion: segments in; rows, quarantined records and counts out.

They hold data and sums only. Reading, parsing and decisions belong to the stages.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.input.records import Records
from lake_pipeline.convert.parquet import Span
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Records of one file inside a block. `first` is the index in the file of the first of them."""

    file: RawFile
    records: Records
    first: int


@dataclass(kw_only=True)
class Counts:
    """The record counts of a file so far: `read` = `published` + `malformed` + `unpartitionable`."""

    read: int = 0
    malformed: int = 0
    unpartitionable: int = 0
    rescued: int = 0
    first_problem: str | None = None
    """The error of the first malformed record, and its position."""
    first_unpartitionable: str | None = None
    """The same for the first valid record that can't be published."""

    @property
    def published(self) -> int:
        return self.read - self.malformed - self.unpartitionable

    def add(self, other: Counts) -> None:
        self.first_problem = self.first_problem or other.first_problem
        self.first_unpartitionable = self.first_unpartitionable or other.first_unpartitionable
        self.read += other.read
        self.malformed += other.malformed
        self.unpartitionable += other.unpartitionable
        self.rescued += other.rescued


@dataclass(frozen=True, kw_only=True)
class QuarantinedRecord:
    """A record that is not published: `record` is its index in the file, `offset` its first byte in the file."""

    file: RawFile
    record: int
    offset: int
    reason: str
    detail: str
    raw: bytes

    @property
    def size(self) -> int:
        """Its memory in bytes, approximately: a block full of one-byte records takes half a kilobyte for each."""
        return len(self.raw) + 512


@dataclass(frozen=True, kw_only=True)
class PartitionRows:
    """Flat rows of one partition, in the order of their records, with provenance columns; `size` is their memory."""

    partition: PartitionKey
    span: Span
    size: int


@dataclass(kw_only=True)
class ConvertedBlock:
    """The result of a block. `counts` has an entry for each of its files, by file_id."""

    rows: list[PartitionRows] = field(default_factory=list)
    quarantined: list[QuarantinedRecord] = field(default_factory=list)
    counts: dict[int, Counts] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
