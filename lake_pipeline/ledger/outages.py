"""Outages: the circuit breaker of a store and of an engine, shared by all workers of the ledger.

A failure starts a pause in which nothing is claimed. After it one worker probes and converts a batch: success closes
the outage, another failure doubles the pause. What counts as a failure is up to the use case.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.settlement import plain_text
from lake_pipeline.model.outages import OutageRecord

FIRST_PAUSE_SECONDS = 10.0
"""The pause after the first failure; each next one is twice as long."""

LONGEST_PAUSE_SECONDS = 300.0
"""After an outage of hours, work is resumed within five minutes."""

PROBE_SECONDS = 60.0
"""How long other workers wait for the one that probes: an unreachable server takes half a minute of retries."""


class Outages(Component):
    """Reads, opens and closes outages."""

    def list(self, subjects: Collection[str] | None = None) -> list[OutageRecord]:
        """The outages of `subjects`, or all, oldest first."""
        with self._database.transaction() as connection:
            return _read(connection, subjects)

    def reserve_probe(self, outage: OutageRecord, *, at_once: bool) -> bool:
        """Whether this worker is the one to probe, because the pause is over, or in any case if `at_once`."""
        values: dict[str, Any] = {
            "subjects": [outage.subject],
            "failures": outage.failures,
            "at_once": at_once,
            "probe_seconds": PROBE_SECONDS,
        }
        with self._database.transaction() as connection:
            return connection.execute(query("reserve_probe"), values).rowcount == 1

    def open(self, subject: str, reason: str, *, failures: int) -> OutageRecord:
        """Record a failure of `subject`; returns the outage as it is now.

        `failures` is the number that this worker saw when it began, 0 if there was no outage.
        """
        values: dict[str, Any] = {
            "subject": subject,
            "reason": plain_text(reason),
            "failures": failures,
            "first_pause": FIRST_PAUSE_SECONDS,
            "longest_pause": LONGEST_PAUSE_SECONDS,
        }
        with self._database.transaction() as connection:
            connection.execute(query("open_outage"), values)
            [outage] = _read(connection, [subject])
            return outage

    def close(self, subjects: Collection[str]) -> None:
        """End the outages of `subjects`."""
        with self._database.transaction() as connection:
            connection.execute(query("close_outage"), {"subjects": [*subjects]})


def _read(connection: Connection, subjects: Collection[str] | None) -> list[OutageRecord]:
    rows = connection.execute(query("outages_of"), {"subjects": None if subjects is None else [*subjects]})
    return [OutageRecord(**row._mapping) for row in rows]
