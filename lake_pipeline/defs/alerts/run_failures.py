"""`alert_on_failure`: an alert for each failed run. Runs decide what counts as a failure (docs/decisions/0017)."""

import dagster as dg

from lake_pipeline.defs.alerts.sinks import MAX_CHARACTERS, Alert, Sink, send, sink_of
from lake_pipeline.defs.conversion.runs import PARTITION_TAG, RANGE_START_TAG
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.settings import Settings

INTERVAL_SECONDS = 30


def alert_on_failure(settings: Settings, sink: Sink | None = None) -> dg.SensorDefinition:
    """Sends an alert for every failed run to `sink`, by default the one of the settings."""
    sink = sink or sink_of(settings.dagster.alerts)

    @dg.run_failure_sensor(
        name="alert_on_failure",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports each failed run to LAKE_ALERTS (an SNS topic or a webhook) and in the log of this sensor.",
    )
    def report_failure(context: dg.RunFailureSensorContext) -> None:
        # Errors of the sink are not raised: Dagster would repeat a failed tick for all runs since, forever.
        send(sink, alert_of(context, settings.dagster.ui_url), context.log)

    return report_failure


def alert_of(context: dg.RunFailureSensorContext, ui_url: str | None) -> Alert:
    """The alert for a failed run: its partition, the reason, and a link."""
    run = context.dagster_run
    partition = run.tags.get(PARTITION_TAG) or run.tags.get(RANGE_START_TAG)
    subject = f"Run {run.run_id}{f' of {partition}' if partition else ''}"
    return Alert(
        subject=f"Lake: a run of {run.job_name} failed",
        text=f"{subject}\n{_reason(context)[:MAX_CHARACTERS]}",
        link=f"{ui_url}/runs/{run.run_id}" if ui_url else None,
    )


def _reason(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            # Its lines are those of the program (`conversion.op`).
            return failure.user_failure_data.description
        if failure.error:
            return one_line((failure.error.cause or failure.error).message.strip())
    return one_line(context.failure_event.message or "") or "See its log in the UI."
