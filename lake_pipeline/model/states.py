"""The state machines of a raw file, a batch and an original, as data.

`TRANSITIONS` is the single source: tests compare the ledger's trigger and the diagram in docs/ledger.md with it.
"""

from __future__ import annotations

from enum import StrEnum


class FileState(StrEnum):
    """State of a raw file (`processing_status`)."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    QUARANTINED = "QUARANTINED"
    SUPERSEDED = "SUPERSEDED"


TRANSITIONS: frozenset[tuple[FileState, FileState]] = frozenset(
    {
        (FileState.PENDING, FileState.PROCESSING),  # claimed
        (FileState.FAILED, FileState.PROCESSING),  # claimed again after its backoff
        (FileState.PROCESSING, FileState.SUCCEEDED),  # published
        (FileState.PROCESSING, FileState.FAILED),  # a transient error; it will be retried
        (FileState.PROCESSING, FileState.QUARANTINED),  # a permanent error, or too many attempts
        (FileState.PROCESSING, FileState.PENDING),  # reclaimed or released before anything was published
        (FileState.PENDING, FileState.QUARANTINED),  # in an archived storage class: it can't be read
        (FileState.QUARANTINED, FileState.PENDING),  # retried by an operator, or restored
        (FileState.FAILED, FileState.PENDING),  # retried by an operator before the end of its backoff
        (FileState.PENDING, FileState.SUPERSEDED),  # a newer version was published, or `lake forget`
        (FileState.FAILED, FileState.SUPERSEDED),
        (FileState.QUARANTINED, FileState.SUPERSEDED),
        (FileState.PROCESSING, FileState.SUPERSEDED),  # another version of its key takes priority
        (FileState.SUCCEEDED, FileState.SUPERSEDED),  # its rows were removed: replaced or forgotten
    }
)


class BatchState(StrEnum):
    """State of a batch. PUBLISHING is past the point of no return: the batch is rolled forward, never repeated."""

    CLAIMED = "CLAIMED"
    PUBLISHING = "PUBLISHING"
    PUBLISHED = "PUBLISHED"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"


BATCH_TRANSITIONS: frozenset[tuple[BatchState, BatchState]] = frozenset(
    {
        (BatchState.CLAIMED, BatchState.PUBLISHING),  # the manifest is in the ledger
        (BatchState.PUBLISHING, BatchState.PUBLISHED),  # every part is visible
        (BatchState.CLAIMED, BatchState.FAILED),
        (BatchState.CLAIMED, BatchState.ABANDONED),  # reclaimed or released
    }
)


class ArchiveState(StrEnum):
    """State of the original of a raw file after publication (`archive_state`)."""

    NONE = "NONE"
    WAITING = "WAITING"
    ARCHIVED = "ARCHIVED"
