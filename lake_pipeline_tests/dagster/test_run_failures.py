"""Alerts of failed runs: which run, of which partition, and why."""

from __future__ import annotations

import json

import dagster as dg
import pyarrow.parquet as pq
import pytest

from lake_pipeline.defs.alerts.run_failures import alert_on_failure
from lake_pipeline.defs.alerts.sinks import Alert, Sink, sink_of
from lake_pipeline.defs.pending.pending_files_sensor import ADD_ONLY
from lake_pipeline.settings import load_settings
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.dagster.webhooks import webhook
from lake_pipeline_tests.support.settings import changed_settings
from local_aws.server import AwsServer


def _failure(platform: Platform) -> dg.RunFailureSensorContext:
    """The context of a failed rebuild whose original is missing."""
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    platform.run_batch()
    next((platform.settings.storage.directory / "raw-json-data-processed").rglob("a.json")).unlink()
    return _context(platform, platform.materialize("2026-02-03|live"))


def _context(platform: Platform, result: dg.ExecuteInProcessResult) -> dg.RunFailureSensorContext:
    assert not result.success
    return dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=next(event for event in result.all_events if event.is_run_failure),
        dagster_instance=platform.instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()


def _send_alert(platform: Platform, context: dg.RunFailureSensorContext, sink: Sink | None = None) -> None:
    settings = changed_settings(platform.settings, ui_url="https://dagster.example.org")
    alert_on_failure(settings, sink)(context)


def test_the_alert_of_a_failed_run_has_its_partition_the_reason_and_a_link(platform: Platform) -> None:
    alerts: list[Alert] = []
    context = _failure(platform)
    _send_alert(platform, context, alerts.append)
    [alert] = alerts
    assert alert.subject == "Lake: a run of json_parsed_parquet_job failed"
    assert "of 2026-02-03|live" in alert.text
    assert "The rebuild failed" in alert.text
    assert alert.lines.endswith(f"https://dagster.example.org/runs/{context.dagster_run.run_id}")


def test_the_alert_of_a_failed_guard_has_its_check_and_its_partition(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    platform.run_batch()
    [curated] = (platform.settings.storage.directory / "json_parsed_parquet").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(curated).read().slice(0, 2), curated)
    alerts: list[Alert] = []
    _send_alert(
        platform,
        _context(platform, platform.materialize("2026-02-03|live", ADD_ONLY)),
        alerts.append,
    )
    text = alerts[0].text
    assert "Partition 2026-02-03|live: check row_count failed: " in text
    assert "2 rows, the ledger says 3" in text


def test_a_webhook_receives_the_format_of_slack(platform: Platform) -> None:
    with webhook() as (url, texts):
        _send_alert(platform, _failure(platform), sink_of(url))
    assert [text.splitlines()[0] for text in texts] == ["*Lake: a run of json_parsed_parquet_job failed*"]


def test_an_error_of_the_sink_does_not_fail_the_tick(platform: Platform) -> None:
    with webhook(500) as (url, texts):
        _send_alert(platform, _failure(platform), sink_of(url))
    assert len(texts) == 1


def test_an_sns_topic_receives_the_alert(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", aws.endpoint)
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
    queue = aws.client("sqs").create_queue(QueueName="alerts")["QueueUrl"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
    sink = sink_of(load_settings(alerts=topic).dagster.alerts)
    assert sink is not None
    sink(Alert(subject="Lake: a run\nfailed " + "x" * 200, text="why"))
    [message] = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    body = json.loads(message["Body"])
    assert (body["Message"], body["Subject"][:19], len(body["Subject"])) == ("why", "Lake: a run failed ", 100)
