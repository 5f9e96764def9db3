"""Settling: what becomes of the files of a batch that is over, and when a failed one is tried again.

The one place where retries are decided. Both ends of a batch come through here: published and failed.
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
from lake_pipeline.model.manifest import FileOutcome, Outcome
from lake_pipeline.model.states import FileState
from lake_pipeline.storage import zones

FIRST_RETRY_SECONDS = 30
"""The first pause, at most; the second is twice as long, and so on. Each is shortened by up to half of it."""

LONGEST_RETRY_SECONDS = 6 * 3600
"""An outage of a night is over by the next morning without anybody's doing."""

_ENDS_LIKE_A_VERSION = re.compile(r"~\d+\Z")


@dataclass(frozen=True, kw_only=True)
class HeldFile:
    """A file of a claim, locked. `versioned` means that an earlier version came under the same key."""

    file_id: int
    key: str
    attempts: int
    versioned: bool

    @property
    def archive_key(self) -> str:
        """Where its original goes. No two files share one: a key that ends like a version gets its own, too."""
        plain = zones.archive_key(self.key)
        return f"{plain}~{self.file_id}" if self.versioned or _ENDS_LIKE_A_VERSION.search(self.key) else plain


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """The row of a file after its batch. The names are those of the query `settle_files`."""

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


def retry_seconds(attempts: int) -> float:
    """How long a file waits after its `attempts`-th attempt: doubling, with jitter so that a crowd spreads out."""
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 30))
    return longest * random.uniform(0.5, 1.0)


def lock_files(connection: Connection, batch_id: str) -> list[HeldFile]:
    """The files that the claim holds, locked until the transaction ends."""
    rows = connection.execute(query("lock_files_of_claim"), {"batch_id": batch_id})
    return [
        HeldFile(file_id=row.file_id, key=row.s3_key, attempts=row.attempts, versioned=row.versioned) for row in rows
    ]


def settle(connection: Connection, batch_id: str, settlements: Sequence[Settlement]) -> None:
    """End the claim on every file as told. Raises `LeaseLost` when one of them is no longer held by it."""
    outcomes = json.dumps([asdict(settlement) for settlement in settlements])
    settled = connection.execute(
        query("settle_files"), {"batch_id": batch_id, "outcomes": outcomes, "parser_version": __version__}
    )
    if settled.rowcount != len(settlements):
        raise LeaseLost(batch_id)


def after_publish(file: HeldFile, outcome: FileOutcome, *, max_attempts: int) -> Settlement:
    """What becomes of a file of a published batch."""
    if outcome.outcome is Outcome.FAILED:
        error = outcome.error or "The conversion failed without saying why."
        return _after_failure(file, "TransientError", error, reason=outcome.reason, max_attempts=max_attempts)
    converted = outcome.outcome is Outcome.CONVERTED
    message = outcome.error or (None if converted else "The file was refused without saying why.")
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


def after_error(file: HeldFile, error: Exception, *, permanent: bool, max_attempts: int) -> Settlement:
    """What becomes of a file whose whole batch failed with `error`."""
    message = str(error) or type(error).__name__
    reason = getattr(error, "reason", None)
    return _after_failure(
        file,
        type(error).__name__,
        message,
        reason=reason if isinstance(reason, str) else None,
        max_attempts=0 if permanent else max_attempts,
    )


def _after_failure(
    file: HeldFile, error_class: str, message: str, *, reason: str | None, max_attempts: int
) -> Settlement:
    again = file.attempts < max_attempts
    return Settlement(
        file_id=file.file_id,
        state=FileState.FAILED if again else FileState.QUARANTINED,
        retry_seconds=retry_seconds(file.attempts) if again else None,
        error_class=error_class,
        error_reason=plain_text(reason),
        error_message=plain_text(message),
    )


def plain_text(text: str | None) -> str | None:
    """`text` without what a text column can't hold: NUL and lone surrogates, as broken input brings them."""
    return text and text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
