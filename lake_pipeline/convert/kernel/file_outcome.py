"""The outcome of a file, given its record counts.

A file is accepted or refused as a whole, wherever its records were read and by how many workers. `input.reader` maps
errors of reading to outcomes.
"""

from __future__ import annotations

from lake_pipeline.convert.block_values import Counts
from lake_pipeline.model.manifest import NOTHING_TO_PUBLISH, FileOutcome, Outcome

ABANDON_RECORDS = 100_000
"""A large file is abandoned if none of this many records has a partition: it is not data, or a setting is wrong."""


def is_refused(counts: Counts, max_bad_share: float) -> bool:
    """Whether too many of a file's records are malformed for the rest to be trusted."""
    return counts.malformed > counts.read * max_bad_share


def is_abandoned(counts: Counts) -> bool:
    """Whether reading of the file stops after these records."""
    return counts.read >= ABANDON_RECORDS and not counts.published


def completed_outcome(file_id: int, counts: Counts, max_bad_share: float) -> FileOutcome:
    """The outcome of a file that was read to its end."""
    if is_refused(counts, max_bad_share):
        return FileOutcome(
            file_id=file_id,
            outcome=Outcome.REFUSED,
            read=counts.read,
            quarantined=counts.read,
            reason="too_many_broken",
            error=f"{counts.malformed} of {counts.read} records are malformed, more than the tolerated share of "
            f"{max_bad_share} (LAKE_MAX_BAD_SHARE), so nothing of the file is published. "
            f"The first: {counts.first_problem}",
        )
    if counts.read and not counts.published:
        return _nothing_to_publish(file_id, counts, f"None of its {counts.read} records")
    return FileOutcome(
        file_id=file_id,
        outcome=Outcome.CONVERTED,
        read=counts.read,
        published=counts.published,
        quarantined=counts.malformed + counts.unpartitionable,
        rescued=counts.rescued,
    )


def abandoned_outcome(file_id: int, counts: Counts) -> FileOutcome:
    """The outcome of a file that `is_abandoned`."""
    return _nothing_to_publish(file_id, counts, f"Reading stopped: none of the first {counts.read} records")


def _nothing_to_publish(file_id: int, counts: Counts, none_of_them: str) -> FileOutcome:
    problem = counts.first_problem or counts.first_unpartitionable
    return FileOutcome(
        file_id=file_id,
        outcome=Outcome.REFUSED,
        read=counts.read,
        quarantined=counts.read,
        reason=NOTHING_TO_PUBLISH,
        error=f"{none_of_them} can be published, so the file stays in its landing zone. The first problem: {problem}. "
        "Look at LAKE_DATE_FIELD, LAKE_MODE_FIELD, LAKE_KEY_PATTERN, LAKE_FIRST_DATE and LAKE_LAST_DATE; then "
        f"`lake retry --reason {NOTHING_TO_PUBLISH}`.",
    )
