"""Arrivals: register what S3 tells has landed, and only then take the messages out of the queue.

A crash in between brings the messages again, and registering again is harmless.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

from lake_pipeline.ingest.discover import register
from lake_pipeline.ingest.lake import Lake

if TYPE_CHECKING:
    # Loads the AWS SDK.
    from lake_pipeline.storage.s3_events import Message

log = logging.getLogger(__name__)

AT_ONCE = 500
"""Messages registered together: one transaction instead of fifty."""


class Queue(Protocol):
    """What is asked of a queue of events."""

    def receive(self, *, wait_seconds: int) -> list[Message]: ...

    def delete(self, messages: Iterable[Message]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """What the queue brought: `messages` of which `misunderstood` stayed in it, and what came of their objects, as in
    `Discovery`."""

    messages: int
    misunderstood: int
    seen: int
    new: int
    new_bytes: int
    frozen: int
    thawed: int


def register_arrivals(
    lake: Lake,
    queue: Queue,
    *,
    wait_seconds: int = 0,
    most_seconds: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Arrivals:
    """Empty the queue into the ledger, for `most_seconds` at most; waits for a first message, not for later ones.

    Raises `StorageUnavailable` or `LedgerUnavailable`; messages that were not registered then come again.
    """
    began = time.monotonic()
    total: Counter[str] = Counter()
    while most_seconds is None or time.monotonic() - began < most_seconds:
        received = _receive(queue, 0 if total else wait_seconds)
        if not received:
            break
        understood = [message for message in received if message.understood]
        found = register(lake, (info for message in understood for info in message.arrived))
        queue.delete(understood)
        total.update(messages=len(received), misunderstood=len(received) - len(understood))
        total.update({name: getattr(found, name) for name in ("seen", "new", "new_bytes", "frozen", "thawed")})
        if on_progress:
            on_progress(total["messages"])
    if total["misunderstood"]:
        log.warning(
            "%d messages in the event queue are no notifications of S3. They stay there until its redrive policy moves "
            "them aside.",
            total["misunderstood"],
        )
    return Arrivals(**{each.name: total[each.name] for each in fields(Arrivals)})


def _receive(queue: Queue, wait_seconds: int) -> list[Message]:
    received: list[Message] = []
    while len(received) < AT_ONCE:
        page = queue.receive(wait_seconds=0 if received else wait_seconds)
        if not page:
            break
        received += page
    return received
