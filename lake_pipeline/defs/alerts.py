"""Alerts: a failed run is told to somebody, beside the log. Where to is a setting; another way is another `Sink`.

What counts as a failure is decided by runs (docs/decisions/0017), here it is only passed on.
"""

import json
import logging
import urllib.request
from collections.abc import Callable
from typing import TypeAlias

import dagster as dg

from lake_pipeline.errors import LakeError
from lake_pipeline.settings import Settings

Sink: TypeAlias = Callable[[str, str], None]
"""Takes a subject and a text; raises `OSError` or `LakeError` where that did not work."""

TIMEOUT_SECONDS = 10.0
"""A tick is ended by Dagster after 60, and several runs may have failed."""

MOST_TEXT = 3_000
"""Characters of a failure that are told: Slack cuts at 4,000."""


def alert_sensor(settings: Settings, sink: Sink | None = None) -> dg.SensorDefinition:
    """Tells every failed run to the sink that the settings name, or to another one."""
    tell = sink or sink_of(settings.alerts)

    @dg.run_failure_sensor(
        name="alert_on_failure",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells each failed run to LAKE_ALERTS (an SNS topic or a webhook), and to the log of this sensor.",
    )
    def alert_on_failure(context: dg.RunFailureSensorContext) -> None:
        # A tick that fails is tried again for all runs since, so a sink that is away would repeat itself for ever.
        was_told(tell, *alert_of(context, settings.ui_url), context.log)

    return alert_on_failure


def was_told(sink: Sink | None, subject: str, text: str, log: logging.Logger) -> bool:
    """Tell the log and the sink, if there is one; whether that worked. The log says why it did not."""
    log.error(f"{subject}\n{text}")
    if sink is None:
        return True
    try:
        sink(subject, text)
    except (OSError, LakeError) as error:
        log.error(f"LAKE_ALERTS could not be told: {error}")
        return False
    return True


def alert_of(context: dg.RunFailureSensorContext, ui_url: str | None) -> tuple[str, str]:
    """The subject and the text for a failed run: which one, of what, why, and where to look."""
    run = context.dagster_run
    of = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")
    lines = [f"Run {run.run_id}{f' of {of}' if of else ''}", _reason(context)[:MOST_TEXT]]
    if ui_url:
        lines.append(f"{ui_url}/runs/{run.run_id}")
    return f"Lake: a run of {run.job_name} failed", "\n".join(lines)


def _reason(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            return failure.user_failure_data.description
        if failure.error:
            return (failure.error.cause or failure.error).message.strip()
    return context.failure_event.message or "Its log in the UI says why."


def sink_of(target: str | None) -> Sink | None:
    """The sink for a value of LAKE_ALERTS; None where only the log is told."""
    if target is None:
        return None
    return _to_topic(target) if target.startswith("arn:") else _to_webhook(target)


def _to_topic(arn: str) -> Sink:
    def tell(subject: str, text: str) -> None:
        # The AWS SDK takes a third of a second to load.
        from lake_pipeline.aws.notices import publish

        publish(arn, subject=subject, text=text, timeout_seconds=TIMEOUT_SECONDS)

    return tell


def _to_webhook(url: str) -> Sink:
    def tell(subject: str, text: str) -> None:
        body = json.dumps({"text": f"*{subject}*\n{text}"}).encode()
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            answer.read()

    return tell
