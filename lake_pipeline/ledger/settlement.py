"""Settlement: the state of each file when its batch ends, and when a failed file is retried.

Retries are decided here and nowhere else, for published and for failed batches.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from lake_pipeline import __version__
from lake_pipeline.errors import LeaseLost
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.manifest import UNAVAILABLE, FileOutcome, Outcome
from lake_pipeline.model.states import FileState
from lake_pipeline.storage import zones

FIRST_RETRY_SECONDS = 30
"""The first backoff, at most; each next one is twice as long. Each is shortened at random by up to half."""

MAX_RETRY_SECONDS = 6 * 3600
"""After an outage at night, all files have been retried by the next morning."""

UNAVAILABLE_ATTEMPTS = 16
"""Attempts of a file that is unavailable although its store works: with the backoffs, more than a day."""

UNAVAILABLE_ALONE = "unavailable_alone"
"""The reason of a file that was quarantined because it was never available while its store worked."""

LOST_FILE_RETRY_SECONDS = 600
"""How long files wait that replace rows of a lost data file: an operator has to restore it first."""

LOST_FILE = "data_file_lost"
"""The reason of files that wait for the repair of a lost data file."""

_VERSION_SUFFIX = re.compile(r"~\d+\Z")


@dataclass(frozen=True, kw_only=True)
class LockedFile:
    """A locked file of a claim. `versioned`: an earlier version of its key was registered."""

    file_id: int
    key: str
    attempts: int
    versioned: bool

    @property
    def archive_key(self) -> str:
        """The key of its original in the archive. Unique: a key that ends like a version gets a suffix, too."""
        is_ambiguous = self.versioned or _VERSION_SUFFIX.search(self.key)
        return zones.archive_key(self.key, f"~{self.file_id}" if is_ambiguous else "")


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """The row of a file after its batch, with the column names of the query `settle_files`.

    `attempts_returned` is 1 if the attempt does not count, because no raw file is at fault.
    """

    file_id: int
    state: FileState
    retry_seconds: float | None = None
    error_class: str | None = None
    error_reason: str | None = None
    error_message: str | None = None
    rows_read: int | None = None
    rows_published: int | None = None
    rows_quarantined: int | None = None
    rows_rescued: int | None = None
    archive_key: str | None = None
    attempts_returned: int = 0


def retry_seconds(attempts: int) -> float:
    """Backoff after the `attempts`-th attempt: exponential, with jitter that spreads the retries of many files."""
    longest = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 30))
    return longest * random.uniform(0.5, 1.0)


def lock_files(connection: Connection, batch_id: str) -> list[LockedFile]:
    """Lock the files that the claim holds until the transaction ends."""
    rows = connection.execute(query("lock_files_of_claim"), {"batch_id": batch_id})
    return [
        LockedFile(file_id=row.file_id, key=row.s3_key, attempts=row.attempts, versioned=row.versioned) for row in rows
    ]


def settle(connection: Connection, batch_id: str, settlements: Sequence[Settlement]) -> None:
    """Write the state of every file and end the claim on it; the next batch may be larger.

    Raises `LeaseLost` if the claim lost one of them.
    """
    outcomes = json.dumps([asdict(settlement) for settlement in settlements])
    settled = connection.execute(
        query("settle_files"), {"batch_id": batch_id, "outcomes": outcomes, "parser_version": __version__}
    )
    if settled.rowcount != len(settlements):
        raise LeaseLost(batch_id)
    if settlements:
        connection.execute(query("grow_claims"))


def lose(
    connection: Connection, batch_id: str, *, max_lost: int, error_class: str, message: str
) -> Sequence[FileState]:
    """The states of the files of a claim after it lost its worker; their next batches start small again.

    A file that was alone, and lost `max_lost` workers, is quarantined with `error_class` and `message`. The others are
    pending.
    """
    connection.execute(query("shrink_claims"))
    values = {"batch_id": batch_id, "max_lost": max_lost, "error_class": error_class, "message": plain_text(message)}
    return [FileState(state) for state in connection.scalars(query("lose_files"), values)]


def after_publish(file: LockedFile, outcome: FileOutcome, *, max_attempts: int) -> Settlement:
    """The settlement of a file of a published batch."""
    if outcome.outcome is Outcome.FAILED:
        error = outcome.error or "The conversion failed without a message."
        if outcome.reason == UNAVAILABLE:
            return _after_unavailable(file, error, max_attempts)
        return _after_failure(file, "TransientError", error, reason=outcome.reason, max_attempts=max_attempts)
    converted = outcome.outcome is Outcome.CONVERTED
    message = outcome.error or (None if converted else "The file was refused without a message.")
    return Settlement(
        file_id=file.file_id,
        state=FileState.SUCCEEDED if converted else FileState.QUARANTINED,
        error_class=None if converted else "PermanentError",
        error_reason=plain_text(outcome.reason),
        error_message=plain_text(message),
        rows_read=outcome.read,
        rows_published=outcome.published,
        rows_quarantined=outcome.quarantined,
        rows_rescued=outcome.rescued,
        archive_key=file.archive_key if converted else None,
    )


def after_error(file: LockedFile, error: Exception, *, permanent: bool, max_attempts: int) -> Settlement:
    """The settlement of a file whose batch failed with `error`."""
    message = str(error) or type(error).__name__
    reason = getattr(error, "reason", None)
    return _after_failure(
        file,
        type(error).__name__,
        message,
        reason=reason if isinstance(reason, str) else None,
        max_attempts=0 if permanent else max_attempts,
    )


def after_lost_file(files: Sequence[LockedFile], error: Exception) -> list[Settlement]:
    """The settlements of a batch that needs a lost data file: no attempt counts.

    Only a later version of a file replaces published rows. Such files wait for the repair, the others are pending.
    """
    versioned = [file for file in files if file.versioned] or files
    return [_waits_for_repair(file, error) if file in versioned else _pending(file) for file in files]


def attempts_of(reason: str | None, max_attempts: int) -> int:
    """The attempts of a file that failed with `reason` in a published batch, before it is quarantined.

    Such a batch has seen that its store works, so a file that is never available has a problem of its own.
    """
    return max(max_attempts, UNAVAILABLE_ATTEMPTS) if reason == UNAVAILABLE else max_attempts


def _pending(file: LockedFile) -> Settlement:
    return Settlement(file_id=file.file_id, state=FileState.PENDING, retry_seconds=0, attempts_returned=1)


def _waits_for_repair(file: LockedFile, error: Exception) -> Settlement:
    return Settlement(
        file_id=file.file_id,
        state=FileState.FAILED,
        retry_seconds=LOST_FILE_RETRY_SECONDS,
        error_class=type(error).__name__,
        error_reason=LOST_FILE,
        error_message=plain_text(str(error)),
        attempts_returned=1,
    )


def _after_unavailable(file: LockedFile, error: str, max_attempts: int) -> Settlement:
    attempts = attempts_of(UNAVAILABLE, max_attempts)
    if file.attempts < attempts:
        return _after_failure(file, "StorageUnavailable", error, reason=UNAVAILABLE, max_attempts=attempts)
    message = (
        f"{file.attempts} attempts failed although the store works, the last one with: {error} "
        f"If the file can be read again: `lake retry --reason {UNAVAILABLE_ALONE}`."
    )
    # Not with the class of an outage: files of these are retried by themselves.
    return _after_failure(file, "TransientError", message, reason=UNAVAILABLE_ALONE, max_attempts=0)


def _after_failure(
    file: LockedFile, error_class: str, message: str, *, reason: str | None, max_attempts: int
) -> Settlement:
    retry = file.attempts < max_attempts
    return Settlement(
        file_id=file.file_id,
        state=FileState.FAILED if retry else FileState.QUARANTINED,
        retry_seconds=retry_seconds(file.attempts) if retry else None,
        error_class=error_class,
        error_reason=plain_text(reason),
        error_message=plain_text(message),
    )


def plain_text(text: str | None) -> str | None:
    """`text` without what a text column can't store: NUL and lone surrogates, which come from malformed input."""
    return text and text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
