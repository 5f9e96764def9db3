"""Troubles beside failed runs: what lasts without a run that fails. Each is told once, and again after it was over.

What is looked at comes from Dagster and from the ledger; where it is told to is for `alerts`. Checks that fail with
severity ERROR are not here, because they fail their run.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus
from dagster._core.storage.tags import BACKFILL_ID_TAG

from lake_pipeline.defs.alerts import MOST_TEXT, Sink, sink_of, was_told
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.errors import LakeError
from lake_pipeline.settings import Settings

WATCH_SECONDS = 60

FAILING_TICKS = 3
"""Failed ticks in a row that are a trouble. A single one is a server that was started anew."""

BACKFILLS_OF = timedelta(days=7)
"""How far back backfills are looked at: longer than one takes."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that a person must hear of. While `key` stays the same it is the same trouble."""

    key: str
    subject: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What the last tick knew: when watching began (seconds since 1970) and the keys of troubles that were told."""

    since: float
    told: frozenset[str] = frozenset()

    @staticmethod
    def of(cursor: str | None) -> "Watch":
        """From a sensor's cursor. What had ended before the first tick is no news."""
        if cursor is None:
            return Watch(since=datetime.now(UTC).timestamp())
        known = json.loads(cursor)
        return Watch(since=known["since"], told=frozenset(known["told"]))

    def cursor(self) -> str:
        """As a sensor's cursor."""
        return json.dumps({"since": self.since, "told": sorted(self.told)})


def watch_sensor(settings: Settings, sink: Sink | None = None) -> dg.SensorDefinition:
    """Tells troubles to the sink that the settings name, or to another one."""
    tell = sink or sink_of(settings.alerts)

    @dg.sensor(
        name="alert_on_trouble",
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells LAKE_ALERTS, and the log of this sensor, of backfills that failed, of sensors and schedules "
        f"that fail {FAILING_TICKS} times in a row, of a ledger that is away, and of files that wait for longer than "
        "LAKE_FRESH_HOURS. Each is told once, until it is over.",
    )
    def watch(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]) -> dg.SensorResult:
        before = Watch.of(context.cursor)
        found = list(troubles(context.instance, lake, settings, since=before.since))
        # One that the sink did not take is told by the next tick.
        told = {
            trouble.key
            for trouble in found
            if trouble.key in before.told or was_told(tell, trouble.subject, trouble.text, context.log)
        }
        return dg.SensorResult(
            skip_reason="\n".join(trouble.subject for trouble in found) or "All is well.",
            cursor=Watch(since=before.since, told=frozenset(told)).cursor(),
        )

    return watch


def troubles(
    instance: dg.DagsterInstance, lake: LakeResource, settings: Settings, *, since: float
) -> Iterator[Trouble]:
    """What is wrong now; of backfills and ticks those that ended after `since`."""
    yield from _failed_backfills(instance, settings.ui_url, since)
    yield from _failing_ticks(instance, since)
    yield from _backlog(lake, settings)


def _failed_backfills(instance: dg.DagsterInstance, ui_url: str | None, since: float) -> Iterator[Trouble]:
    failed = BulkActionsFilter(
        statuses=[BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED],
        created_after=datetime.now(UTC) - BACKFILLS_OF,
    )
    for backfill in instance.get_backfills(filters=failed):
        if (backfill.backfill_end_timestamp or backfill.backfill_timestamp) >= since:
            yield _failed_backfill(instance, backfill, ui_url)


def _failed_backfill(instance: dg.DagsterInstance, backfill: PartitionBackfill, ui_url: str | None) -> Trouble:
    tags = {BACKFILL_ID_TAG: backfill.backfill_id}
    runs = instance.get_runs_count(dg.RunsFilter(tags=tags))
    failed = instance.get_runs_count(dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.FAILURE]))
    told = f"{failed} of its {runs} runs failed; what they published is there. Re-execute it from failure for the rest."
    lines = [
        told,
        *([backfill.error.message.strip()] if backfill.error else []),
        *([f"{ui_url}/runs/b/{backfill.backfill_id}"] if ui_url else []),
    ]
    return Trouble(
        key=f"backfill {backfill.backfill_id}",
        subject=f"Lake: backfill {backfill.backfill_id} failed",
        text="\n".join(lines)[:MOST_TEXT],
    )


def _failing_ticks(instance: dg.DagsterInstance, since: float) -> Iterator[Trouble]:
    for each in instance.all_instigator_state():
        if each.status is InstigatorStatus.STOPPED:
            continue
        ended = _last_ticks(instance, each)
        if len(ended) == FAILING_TICKS and all(tick.is_failure and tick.timestamp >= since for tick in ended):
            why = ended[0].error.message.strip() if ended[0].error else "Its ticks in the UI say why."
            yield Trouble(
                key=f"ticks of {each.instigator_name}",
                subject=f"Lake: {each.instigator_name} fails again and again",
                text=f"Its last {FAILING_TICKS} ticks failed, so what it looks for is not asked for.\n{why}"[
                    :MOST_TEXT
                ],
            )


def _last_ticks(instance: dg.DagsterInstance, of: InstigatorState) -> list[InstigatorTick]:
    ended = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
    found = instance.get_ticks(of.instigator_origin_id, of.selector_id, limit=FAILING_TICKS, statuses=ended)
    return list(found)


def _backlog(lake: LakeResource, settings: Settings) -> Iterator[Trouble]:
    try:
        waiting = lake.open().ledger.pulse().waiting_seconds / 3600
    except LakeError as error:
        yield Trouble(key="ledger", subject="Lake: the ledger can't be asked", text=str(error)[:MOST_TEXT])
        return
    if waiting > settings.fresh_hours:
        yield Trouble(
            key="backlog",
            subject=f"Lake: files wait for longer than {settings.fresh_hours:g} hours",
            text=f"The first file of the queue waits for {waiting:.1f} hours (LAKE_FRESH_HOURS: "
            f"{settings.fresh_hours:g}). Is pending_files_sensor on, do its runs succeed, and are LAKE_MAX_RUNS "
            f"({settings.max_runs}) enough? `lake status` and the asset lake_backlog show what waits.",
        )
