"""The circuit breaker of the store and the engine: whether files may be claimed, and what a failure or success means.

    admit → (probe, if there was an outage) → claim, convert → succeeded or failed

The ledger keeps the pauses and shares them between workers. How a batch is given back is up to the transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from lake_pipeline.convert.request import ProbedEngine
from lake_pipeline.errors import (
    LakeError,
    LakeMismatch,
    LakeNotThere,
    LakePaused,
    LedgerOutdated,
    LedgerUnavailable,
    StorageUnavailable,
    is_outage,
)
from lake_pipeline.model.outages import OutageRecord
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.location_check import check_location

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The right to claim a batch. `outages` are the failures of each subject that this batch is the trial for."""

    outages: Mapping[str, int] = field(default_factory=dict)


def outages_of(lake: Lake) -> list[OutageRecord]:
    """The outages that keep this lake from claiming files, paused or not."""
    return lake.ledger.outages.list([_store(lake), _engine(lake)])


def shown_outages(lake: Lake) -> list[OutageRecord]:
    """The outages of the store and of every engine. A mistyped root is another store, which nobody probes again."""
    return [outage for outage in lake.ledger.outages.list() if not _is_other_store(lake, outage)]


def admit(lake: Lake, *, at_once: bool = False) -> Admission:
    """Check that the store and the engine may be used; with `at_once`, without waiting for the end of a pause.

    After an outage this probes them first. Raises `LakePaused`.
    """
    outages = outages_of(lake)
    if not at_once and (paused := [outage for outage in outages if outage.is_paused]):
        raise LakePaused(str(paused[-1]))
    for outage in outages:
        if not lake.ledger.outages.reserve_probe(outage, at_once=at_once):
            raise LakePaused(str(outage))
        log.info("Probing the %s, which has failed since %s", outage.subject, outage.since)
        _probe(lake, outage)
    return Admission(outages={outage.subject: outage.failures for outage in outages})


def succeeded(lake: Lake, admission: Admission) -> None:
    """A batch was converted, or the probes succeeded and nothing waits: outages that it was the trial for are over."""
    if admission.outages:
        lake.ledger.outages.close(admission.outages)
        log.info("The outage is over: %s", ", ".join(admission.outages))


@contextmanager
def recorded(lake: Lake, admission: Admission) -> Iterator[None]:
    """Record an outage that ends the block, and raise it as `LakePaused`.

    `LakeNotThere` and `LakeMismatch` pass: an operator has to act, and their message says how.
    """
    try:
        yield
    except (LakeNotThere, LakeMismatch):
        raise
    except LakeError as error:
        outage = failed(lake, admission, error)
        if outage is None:
            raise
        raise LakePaused(str(outage)) from error


def failed(lake: Lake, admission: Admission, error: Exception) -> OutageRecord | None:
    """Record the outage that ended a batch; None if `error` is none, or none that the ledger can record."""
    if not is_outage(error) or isinstance(error, LedgerUnavailable | LedgerOutdated):
        return None
    subject = _store(lake) if isinstance(error, StorageUnavailable) else _engine(lake)
    try:
        return lake.ledger.outages.open(subject, str(error), failures=admission.outages.get(subject, 0))
    except LakeError as unrecorded:
        log.warning("The outage of the %s could not be recorded: %s", subject, unrecorded)
        return None


def _probe(lake: Lake, outage: OutageRecord) -> None:
    try:
        if outage.subject == _store(lake):
            check_location(lake)
        elif isinstance(lake.engine, ProbedEngine):
            lake.engine.probe()
    except LakeError as error:
        if not is_outage(error):
            raise
        recorded = lake.ledger.outages.open(outage.subject, str(error), failures=outage.failures)
        raise LakePaused(str(recorded)) from error


def _is_other_store(lake: Lake, outage: OutageRecord) -> bool:
    return outage.subject.startswith("store ") and outage.subject != _store(lake)


def _store(lake: Lake) -> str:
    return f"store {lake.store.uri}"


def _engine(lake: Lake) -> str:
    return f"engine {lake.engine.name}"
