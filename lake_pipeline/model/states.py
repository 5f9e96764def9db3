"""The state machines of a raw file, a batch and an archived original, as data.

`TRANSITIONS` is the one source: the ledger's trigger, the diagram in docs/ledger.md and the tests are
compared with it.
"""

from __future__ import annotations

from enum import StrEnum


class FileState(StrEnum):
    """Where a raw file stands on its way into curated data (`processing_status`)."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    QUARANTINED = "QUARANTINED"
    SUPERSEDED = "SUPERSEDED"


TRANSITIONS: frozenset[tuple[FileState, FileState]] = frozenset(
    {
        (FileState.PENDING, FileState.PROCESSING),  # claimed
        (FileState.FAILED, FileState.PROCESSING),  # claimed again, its retry time has come
        (FileState.PROCESSING, FileState.SUCCEEDED),  # published
        (FileState.PROCESSING, FileState.FAILED),  # a transient error; it will be tried again
        (FileState.PROCESSING, FileState.QUARANTINED),  # a permanent error, or too many attempts
        (FileState.PROCESSING, FileState.PENDING),  # reclaimed or released before anything was published
        (FileState.PENDING, FileState.QUARANTINED),  # in an archive storage class: it can't be read
        (FileState.QUARANTINED, FileState.PENDING),  # brought back by an operator, or restored
        (FileState.FAILED, FileState.PENDING),  # brought back by an operator before its retry time
        (FileState.PENDING, FileState.SUPERSEDED),  # a newer version was published, or it is forgotten
        (FileState.FAILED, FileState.SUPERSEDED),
        (FileState.QUARANTINED, FileState.SUPERSEDED),
        (FileState.PROCESSING, FileState.SUPERSEDED),  # its worker found another version of the same key
        (FileState.SUCCEEDED, FileState.SUPERSEDED),  # its rows were taken out: replaced, or forgotten
    }
)


class BatchState(StrEnum):
    """Where a batch stands. PUBLISHING is past the point of no return: it is rolled forward, never redone."""

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
    """Where the original of a raw file stands after publishing (`archive_state`)."""

    NONE = "NONE"
    WAITING = "WAITING"
    ARCHIVED = "ARCHIVED"
