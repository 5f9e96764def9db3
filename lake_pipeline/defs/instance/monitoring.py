"""Failed backfills, sensors and schedules of a Dagster instance, as plain values. Dagster's filters are private."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus


@dataclass(frozen=True, kw_only=True)
class FailedBackfill:
    """A backfill that has ended in failure. `error` is None if only its runs failed."""

    backfill_id: str
    error: str | None


@dataclass(frozen=True, kw_only=True)
class FailingInstigator:
    """A sensor or schedule whose last ticks failed. `error` is the last error, if the tick has one."""

    name: str
    error: str | None


def failed_backfills(
    instance: dg.DagsterInstance, *, created_after: datetime, ended_after: float
) -> Iterator[FailedBackfill]:
    """Backfills that failed; `ended_after` is in seconds since 1970."""
    filters = BulkActionsFilter(
        statuses=[BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED], created_after=created_after
    )
    for backfill in instance.get_backfills(filters=filters):
        if (backfill.backfill_end_timestamp or backfill.backfill_timestamp) >= ended_after:
            error = backfill.error.message.strip() if backfill.error else None
            yield FailedBackfill(backfill_id=backfill.backfill_id, error=error)


def failing_instigators(
    instance: dg.DagsterInstance, *, failures: int, ended_after: float
) -> Iterator[FailingInstigator]:
    """Sensors and schedules that are on and whose last `failures` ticks all failed, after `ended_after`."""
    ended = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
    for state in instance.all_instigator_state():
        if state.status is InstigatorStatus.STOPPED:
            continue
        ticks = list(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=failures, statuses=ended))
        if len(ticks) == failures and all(tick.is_failure and tick.timestamp >= ended_after for tick in ticks):
            error = ticks[0].error
            yield FailingInstigator(name=state.instigator_name, error=error.message.strip() if error else None)
