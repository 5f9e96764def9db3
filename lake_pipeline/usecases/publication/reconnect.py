"""Calls of the ledger that are repeated while its server is away, until the lease is over.

The server may restart at any statement of minutes of work. A call that wrote nothing is repeated; after a commit
without an answer the ledger itself says whether the manifest is recorded. Waiting for a connection is up to
`ledger.connection`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from lake_pipeline.errors import LeaseLost, LedgerRefused, LedgerUnavailable, OutcomeUnknown
from lake_pipeline.ledger.connection import pauses
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.states import BatchState

log = logging.getLogger(__name__)

RECORDED = frozenset({BatchState.PUBLISHING, BatchState.PUBLISHED})
"""States of a batch past its point of no return."""

T = TypeVar("T")


def retried(call: Callable[[], T], seconds_left: Callable[[], float]) -> T:
    """The result of `call`, repeated after `LedgerUnavailable` while there are seconds left. It must be idempotent.

    A server that refuses does so again, so `LedgerRefused` is raised at once.
    """
    for pause in pauses():
        try:
            return call()
        except LedgerRefused:
            raise
        except LedgerUnavailable as error:
            if seconds_left() <= pause:
                raise
            log.warning("The ledger failed, next attempt in %.1f s: %s", pause, error)
        time.sleep(pause)
    raise AssertionError("pauses never end")


def recorded_once(ledger: Ledger, claim: Claim, record: Callable[[], int], seconds_left: Callable[[], float]) -> int:
    """Record a manifest with `record`; returns the contract version in force.

    `record` checks the fence each time. If a commit got no answer, its row lock makes the next call wait for the end
    of that commit, so the manifest is recorded once. Raises what `record` raises; `OutcomeUnknown` only if the lease
    ends before the server is back.
    """
    is_unknown = False

    def attempt() -> int:
        nonlocal is_unknown
        try:
            return record()
        except OutcomeUnknown as error:
            is_unknown = True
            raise LedgerUnavailable(str(error)) from error
        except LeaseLost:
            if is_unknown and (version := _recorded_version(ledger, claim)) is not None:
                return version
            raise

    try:
        return retried(attempt, seconds_left)
    except LedgerUnavailable as error:
        if not is_unknown:
            raise
        raise OutcomeUnknown(
            f"The connection to the ledger broke while batch {claim.batch_id} was recorded. If it is recorded, the "
            "next run publishes it; otherwise its files are claimed again when the lease runs out. There is nothing "
            "to do."
        ) from error


def _recorded_version(ledger: Ledger, claim: Claim) -> int | None:
    """The contract version, if the ledger has the manifest of this claim; else None."""
    state = ledger.publication.batch_states([claim.batch_id]).get(claim.batch_id)
    contract = ledger.contracts.latest()
    return contract.version if state in RECORDED and contract else None
