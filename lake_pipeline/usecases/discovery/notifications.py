"""S3 notifications: register the objects in them, and only then delete the messages from the queue.

After a crash in between the messages are delivered again, and registering again is harmless.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lake_pipeline.ledger.skipped import MAX_ENTRIES
from lake_pipeline.model.skipped import SkippedEntry, SkipReason
from lake_pipeline.usecases.discovery.discover import Registered, register
from lake_pipeline.usecases.lake import Lake

if TYPE_CHECKING:
    # Loads the AWS SDK.
    from lake_pipeline.storage.s3.events import Message

log = logging.getLogger(__name__)

MAX_MESSAGES = 500
"""Messages registered together: one transaction instead of fifty."""


_SUMS = ("seen", "new", "new_bytes", "frozen", "thawed")
"""Counts of each discovery that are summed up."""


class Queue(Protocol):
    """A queue of events."""

    def receive(self, *, wait_seconds: int) -> list[Message]: ...

    def delete(self, messages: Iterable[Message]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Arrivals(Registered):
    """The counts of one pass: `messages`, of which `misunderstood` stayed in the queue, and their objects."""

    messages: int
    misunderstood: int


def register_arrivals(
    lake: Lake,
    queue: Queue,
    *,
    wait_seconds: int = 0,
    most_seconds: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Arrivals:
    """Register everything in the queue, for `most_seconds` at most; waits for the first message, not for later ones.

    Raises `StorageUnavailable` or `LedgerUnavailable`; messages that were not registered are delivered again.
    """
    began = time.monotonic()
    total: Counter[str] = Counter()
    reasons: Counter[SkipReason] = Counter()
    problems: list[SkippedEntry] = []
    examples: list[SkippedEntry] = []
    while most_seconds is None or time.monotonic() - began < most_seconds:
        received = _receive(queue, 0 if total else wait_seconds)
        if not received:
            break
        understood = [message for message in received if message.understood]
        discovery = register(lake, (info for message in understood for info in message.arrived))
        queue.delete(understood)
        total.update(messages=len(received), misunderstood=len(received) - len(understood))
        total.update({name: getattr(discovery, name) for name in _SUMS})
        reasons.update(discovery.skipped_by_reason)
        problems += discovery.problems[: MAX_ENTRIES - len(problems)]
        examples = examples or list(discovery.examples)
        if on_progress:
            on_progress(total["messages"])
    if total["misunderstood"]:
        log.warning(
            "%d messages in the event queue are not S3 notifications. They stay there until its redrive policy moves "
            "them to the dead-letter queue.",
            total["misunderstood"],
        )
    counts = {name: total[name] for name in ("messages", "misunderstood", *_SUMS)}
    return Arrivals(**counts, skipped_by_reason=dict(reasons), problems=tuple(problems), examples=tuple(examples))


def _receive(queue: Queue, wait_seconds: int) -> list[Message]:
    received: list[Message] = []
    while len(received) < MAX_MESSAGES:
        page = queue.receive(wait_seconds=0 if received else wait_seconds)
        if not page:
            break
        received += page
    return received
