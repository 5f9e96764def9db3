"""Deciding: what becomes of a file by the account of its records.

A file is accepted or refused as a whole, wherever its records were read and by how many workers. Errors of reading
it are for `reading` to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from lake_pipeline.model.manifest import FileOutcome, Outcome

HOPELESS_RECORDS = 100_000
"""A large file of which so many records came and none had a place is not read on: it is no data, or a setting is
wrong."""


@dataclass(kw_only=True)
class Counts:
    """The account of a file so far: `read` = `published` + `broken` + `misplaced`."""

    read: int = 0
    broken: int = 0
    misplaced: int = 0
    rescued: int = 0
    first: str | None = None
    """What is wrong with the first broken record, and where it stands."""

    @property
    def published(self) -> int:
        return self.read - self.broken - self.misplaced

    def add(self, other: Counts) -> None:
        self.first = self.first or other.first
        self.read += other.read
        self.broken += other.broken
        self.misplaced += other.misplaced
        self.rescued += other.rescued


def is_refused(counts: Counts, max_bad_share: float) -> bool:
    """Whether too many of a file's records are broken for the rest to be trusted."""
    return counts.broken > counts.read * max_bad_share


def is_hopeless(counts: Counts) -> bool:
    """Whether a file of which this was read is not read on."""
    return counts.read >= HOPELESS_RECORDS and not counts.published


def decided(file_id: int, counts: Counts, max_bad_share: float) -> FileOutcome:
    """The outcome of a file that was read to its end."""
    if is_refused(counts, max_bad_share):
        return FileOutcome(
            file_id=file_id,
            outcome=Outcome.REFUSED,
            read=counts.read,
            quarantined=counts.read,
            reason="too_many_broken",
            error=f"{counts.broken} of {counts.read} records are broken, more than the tolerated share of "
            f"{max_bad_share} (LAKE_MAX_BAD_SHARE), so nothing of the file is published. The first: {counts.first}",
        )
    return FileOutcome(
        file_id=file_id,
        outcome=Outcome.CONVERTED,
        read=counts.read,
        published=counts.published,
        quarantined=counts.broken + counts.misplaced,
        rescued=counts.rescued,
    )


def given_up(file_id: int, counts: Counts) -> FileOutcome:
    """The outcome of a file that `is_hopeless`."""
    return FileOutcome(
        file_id=file_id,
        outcome=Outcome.REFUSED,
        read=counts.read,
        quarantined=counts.read,
        reason="nothing_to_publish",
        error=f"None of the first {counts.read} records is a JSON object with a valid date and mode, so the file "
        "was not read on. Look at LAKE_DATE_FIELD, LAKE_KEY_PATTERN, LAKE_FIRST_DATE and LAKE_LAST_DATE."
        + (f" The first broken one: {counts.first}" if counts.first else ""),
    )
