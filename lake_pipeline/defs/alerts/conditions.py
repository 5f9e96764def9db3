"""`alert_on_trouble`: alert conditions other than failed runs. Each is reported once, and again if it comes back.

A failed check of severity ERROR is not here, because it fails its run.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_pipeline.defs.alerts.sinks import MAX_CHARACTERS, Alert, Sink, send, sink_of
from lake_pipeline.defs.conversion.runs import BACKFILL_TAG
from lake_pipeline.defs.instance.monitoring import FailedBackfill, failed_backfills, failing_instigators
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.errors import LakeError
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.settings import Settings

INTERVAL_SECONDS = 60

FAILING_TICKS = 3
"""Failed ticks in a row that raise an alert. A single one may be a restarted server."""

NAMED_ENTRIES = 10
"""Entries that can't be read and are named in an alert."""

BACKFILL_PERIOD = timedelta(days=7)
"""How old a backfill may be: longer than any takes."""


@dataclass(frozen=True, kw_only=True)
class AlertCondition:
    """Something that must be reported. As long as `key` is the same it is the same condition."""

    key: str
    alert: Alert


@dataclass(frozen=True, kw_only=True)
class SensorState:
    """The state between ticks: when the sensor started (seconds since 1970) and the keys of reported conditions."""

    since: float
    reported: frozenset[str] = frozenset()

    @staticmethod
    def of(cursor: str | None) -> "SensorState":
        """From a sensor's cursor. What ended before the first tick is not reported."""
        if cursor is None:
            return SensorState(since=datetime.now(UTC).timestamp())
        values = json.loads(cursor)
        return SensorState(since=values["since"], reported=frozenset(values["told"]))

    def cursor(self) -> str:
        """As a sensor's cursor."""
        return json.dumps({"since": self.since, "told": sorted(self.reported)})


def alert_on_trouble(settings: Settings, sink: Sink | None = None) -> dg.SensorDefinition:
    """Reports alert conditions to `sink`, by default the one of the settings."""
    sink = sink or sink_of(settings.dagster.alerts)

    @dg.sensor(
        name="alert_on_trouble",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports to LAKE_ALERTS, and in the log of this sensor: failed backfills, sensors and schedules "
        f"that failed {FAILING_TICKS} times in a row, an unreachable ledger, files that wait for longer than "
        "LAKE_FRESH_HOURS, and what can't be read in the landing zones. Each is reported once, until it is over.",
    )
    def report_conditions(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]) -> dg.SensorResult:
        state = SensorState.of(context.cursor)
        conditions = list(alert_conditions(context.instance, lake, settings, since=state.since))
        # A condition that could not be sent is not in the state, so the next tick sends it again.
        reported = {
            condition.key
            for condition in conditions
            if condition.key in state.reported or send(sink, condition.alert, context.log)
        }
        return dg.SensorResult(
            skip_reason="\n".join(one_line(condition.alert.subject) for condition in conditions)
            or "No alert conditions.",
            cursor=SensorState(since=state.since, reported=frozenset(reported)).cursor(),
        )

    return report_conditions


def alert_conditions(
    instance: dg.DagsterInstance, lake: LakeResource, settings: Settings, *, since: float
) -> Iterator[AlertCondition]:
    """The conditions now; backfills and ticks count only if they ended after `since`."""
    for backfill in failed_backfills(instance, created_after=datetime.now(UTC) - BACKFILL_PERIOD, ended_after=since):
        yield _failed_backfill(instance, backfill, settings.dagster.ui_url)
    for instigator in failing_instigators(instance, failures=FAILING_TICKS, ended_after=since):
        text = f"Its last {FAILING_TICKS} ticks failed, so it requests nothing.\n"
        text += one_line(instigator.error or "See its ticks in the UI for the reason.")
        yield AlertCondition(
            key=f"ticks of {instigator.name}",
            alert=Alert(subject=f"Lake: {instigator.name} fails repeatedly", text=text[:MAX_CHARACTERS]),
        )
    yield from _backlog(lake, settings)


def _failed_backfill(instance: dg.DagsterInstance, backfill: FailedBackfill, ui_url: str | None) -> AlertCondition:
    tags = {BACKFILL_TAG: backfill.backfill_id}
    runs = instance.get_runs_count(dg.RunsFilter(tags=tags))
    failed = instance.get_runs_count(dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.FAILURE]))
    lines = [
        f"{failed} of its {runs} runs failed; what they published is kept. Re-execute it from failure for the rest.",
        *([one_line(backfill.error)] if backfill.error else []),
    ]
    alert = Alert(
        subject=f"Lake: backfill {backfill.backfill_id} failed",
        text="\n".join(lines)[:MAX_CHARACTERS],
        link=f"{ui_url}/runs/b/{backfill.backfill_id}" if ui_url else None,
    )
    return AlertCondition(key=f"backfill {backfill.backfill_id}", alert=alert)


def _backlog(lake: LakeResource, settings: Settings) -> Iterator[AlertCondition]:
    try:
        waiting_hours = lake.open_for_reading().ledger.views.throughput().waiting_seconds / 3600
    except LakeError as error:
        text = one_line(error)[:MAX_CHARACTERS]
        yield AlertCondition(key="ledger", alert=Alert(subject="Lake: the ledger is unreachable", text=text))
        return
    if waiting_hours > settings.checks.fresh_hours:
        alert = Alert(
            subject=f"Lake: files wait for longer than {settings.checks.fresh_hours:g} hours",
            text=f"The oldest pending file has waited for {waiting_hours:.1f} hours (LAKE_FRESH_HOURS: "
            f"{settings.checks.fresh_hours:g}). Check that pending_files_sensor is on, that its runs succeed, and that "
            f"LAKE_MAX_RUNS ({settings.dagster.max_runs}) is high enough. `lake status` and the asset lake_backlog "
            "show what is pending.",
        )
        yield AlertCondition(key="backlog", alert=alert)
    yield from _unreadable(lake)


def _unreadable(lake: LakeResource) -> Iterator[AlertCondition]:
    """Entries of the landing zones that the last listing could not read. Others that come later are reported again."""
    entries, count = lake.open().ledger.skipped.entries(limit=NAMED_ENTRIES)
    if count:
        newest = max(entry.first_seen for entry in entries)
        lines = [one_line(f"- {entry.skipped.text}") for entry in entries]
        lines += [f"- and {count - len(entries)} more"] if count > len(entries) else []
        alert = Alert(
            subject=f"Lake: {count} entries of the landing zones can't be read",
            text="\n".join(["Everything else was read. `lake status` lists them:", *lines])[:MAX_CHARACTERS],
        )
        yield AlertCondition(key=f"unreadable {count} {newest.isoformat()}", alert=alert)
