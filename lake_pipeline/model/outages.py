"""Outages: what is known about a store or an engine that failed, as a value for every layer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class OutageRecord:
    """A store or an engine that failed and has not worked since.

    `subject` is "store " and its URI, or "engine " and its name. `reason` is the last error as shown to people. Each
    of `failures` came after a pause. No worker claims files before `paused_until`; `pause_left` is the rest of the
    pause in seconds by the clock of the ledger, zero or negative if a probe is due.
    """

    subject: str
    reason: str
    since: datetime
    failures: int
    paused_until: datetime
    pause_left: float

    @property
    def is_paused(self) -> bool:
        return self.pause_left > 0

    def __str__(self) -> str:
        last = self.reason.rstrip()
        last = last if last.endswith((".", "!", "?", ")")) else f"{last}."
        return (
            f"The {self.subject} has failed since {_utc(self.since)} ({self.failures} failed attempts): {last} "
            f"No file lost an attempt, all of them wait. Paused until {_utc(self.paused_until)}; the first "
            "`lake ingest` or run after that probes it. `lake ingest --now` probes it at once."
        )


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
