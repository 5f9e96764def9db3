"""What fsck finds: one thing that is wrong, in words for the operator, and how it is mended where that is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from lake_pipeline.model.partitions import PartitionKey


class Problem(StrEnum):
    """What kind of wrong it is."""

    STUCK = "STUCK"
    """A batch whose worker is gone."""
    MISSING = "MISSING"
    """The ledger knows an object that is not there."""
    ORPHANED = "ORPHANED"
    """There is an object that the ledger does not know."""
    HALF_MOVED = "HALF_MOVED"
    """An original is on its way to the archive: at both places, or its arrival is not noted."""
    WRONG_OBJECT = "WRONG_OBJECT"
    """Under the key stands something else than what the ledger knows: another size or version, or nothing readable."""
    WRONG_ROWS = "WRONG_ROWS"
    """Rows are missing, or there are rows of a file that gave none."""
    DOUBLED = "DOUBLED"
    """A record is there twice."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. `key` names an object, or a batch where it is STUCK.

    `mend` does what is safe at once. Where rebuilding `partitions` from their originals mends it, that is done after
    the whole look, and `look_again` tells what is left. Where there is neither, `text` says what a person should do.
    `mended` tells that it was done.
    """

    problem: Problem
    key: str
    text: str
    mend: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    partitions: tuple[PartitionKey, ...] = field(default=(), repr=False, compare=False)
    look_again: Callable[[], Iterable[Finding]] = field(default=tuple, repr=False, compare=False)
    mended: bool = False

    @property
    def is_mendable(self) -> bool:
        """Whether `--repair` does something about it."""
        return self.mend is not None or bool(self.partitions)
