"""A large file while it is read: its counts, its evidence, and its rows until it is accepted or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.block_values import ConvertedBlock, Counts
from lake_pipeline.convert.kernel.file_outcome import is_abandoned
from lake_pipeline.convert.output.writer import Output
from lake_pipeline.model.files import RawFile

MAX_HELD_BYTES = 96 << 20
"""Rows of one large file held in memory until it is accepted or refused."""


@dataclass(kw_only=True)
class LargeFile:
    """A large file while it is converted: the results of its blocks so far, and the error that ended it."""

    file: RawFile
    held: HeldRows
    counts: Counts = field(default_factory=Counts)
    evidence: Evidence = field(default_factory=Evidence)
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether the outcome of the file can't change any more."""
        return self.error is not None or is_abandoned(self.counts)

    def add(self, block: ConvertedBlock) -> None:
        if self.is_over:
            return
        try:
            self.held.add(block)
        except Exception as error:
            self.fail(error)
        self.counts.add(block.counts[self.file.file_id])
        self.evidence.add(block.evidence)

    def fail(self, error: Exception) -> None:
        """Keep the first error."""
        self.error = self.error or error


class HeldRows:
    """The blocks of one large file: in memory at first, in parts of its own if they become too many."""

    def __init__(self, new_output: Callable[[], Output]) -> None:
        self._new_output = new_output
        self._blocks: list[ConvertedBlock] = []
        self._size = 0
        self._own: Output | None = None

    def add(self, block: ConvertedBlock) -> None:
        self._blocks.append(block)
        self._size += sum(rows.size for rows in block.rows) + sum(record.size for record in block.quarantined)
        if self._own is None and self._size > MAX_HELD_BYTES:
            self._own = self._new_output()
        if self._own is not None:
            self._drain(self._own)

    def release(self, common: Output) -> Output | None:
        """Hand over the rows to `common`, unless the file has parts of its own, which are returned."""
        self._drain(self._own or common)
        return self._own

    def discard(self) -> None:
        self._blocks = []
        if self._own is not None:
            self._own.discard()

    def _drain(self, output: Output) -> None:
        for block in self._blocks:
            output.add(block.rows, block.quarantined)
        self._blocks = []
