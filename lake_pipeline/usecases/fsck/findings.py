"""Findings of fsck: one inconsistency each, with a text for the operator and a repair if that is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from lake_pipeline.model.partitions import PartitionKey


class Problem(StrEnum):
    """The kind of an inconsistency."""

    STUCK = "STUCK"
    """A batch whose worker is dead."""
    MISSING = "MISSING"
    """An object of the ledger does not exist."""
    ORPHANED = "ORPHANED"
    """An object is not in the ledger."""
    HALF_MOVED = "HALF_MOVED"
    """An original is being archived: it is in both zones, or the ledger does not have its new key yet."""
    WRONG_OBJECT = "WRONG_OBJECT"
    """The object differs from what the ledger says: another size or version, or it is not readable."""
    WRONG_ROWS = "WRONG_ROWS"
    """Rows are missing, or there are rows of a file that gave none."""
    DOUBLED = "DOUBLED"
    """A record is there twice."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One inconsistency. `key` is the key of an object, or the id of a batch if it is STUCK.

    `mend` repairs what is safe at once. If rebuilding `partitions` from their originals repairs it, that is done after
    all steps, and `recheck` returns the remaining findings. If there is neither, `text` says what a person should
    do. `mended` is set once it is repaired.
    """

    problem: Problem
    key: str
    text: str
    mend: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    partitions: tuple[PartitionKey, ...] = field(default=(), repr=False, compare=False)
    recheck: Callable[[], Iterable[Finding]] = field(default=tuple, repr=False, compare=False)
    mended: bool = False

    @property
    def is_mendable(self) -> bool:
        """Whether `--repair` repairs it."""
        return self.mend is not None or bool(self.partitions)
