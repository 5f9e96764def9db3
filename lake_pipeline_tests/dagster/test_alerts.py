"""Alerts: who watches hears of a run that failed, what it was about and why."""

from __future__ import annotations

import json

import dagster as dg
import pyarrow.parquet as pq
import pytest

from lake_pipeline.defs.alerts import Sink, alert_sensor, sink_of
from lake_pipeline.defs.sensors import ADD_ONLY
from lake_pipeline.settings import load_settings
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.dagster.webhooks import webhook


def _failure(platform: Platform) -> dg.RunFailureSensorContext:
    """What the sensor is told of a rebuild whose original is gone."""
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    platform.run_batch()
    next((platform.settings.directory / "raw-json-data-processed").rglob("a.json")).unlink()
    return _context(platform, platform.materialize("2026-02-03|live"))


def _context(platform: Platform, result: dg.ExecuteInProcessResult) -> dg.RunFailureSensorContext:
    assert not result.success
    return dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=next(event for event in result.all_events if event.is_run_failure),
        dagster_instance=platform.instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()


def _tell(platform: Platform, context: dg.RunFailureSensorContext, sink: Sink | None = None) -> None:
    settings = platform.settings.model_copy(update={"ui_url": "https://dagster.example.org"})
    alert_sensor(settings, sink)(context)


def test_a_failed_run_is_told_with_its_partition_its_reason_and_a_link(platform: Platform) -> None:
    told: list[tuple[str, str]] = []
    context = _failure(platform)
    _tell(platform, context, lambda subject, text: told.append((subject, text)))
    [(subject, text)] = told
    assert subject == "Lake: a run of json_parsed_parquet_job failed"
    assert "of 2026-02-03|live" in text
    assert "The rebuild failed" in text
    assert text.endswith(f"https://dagster.example.org/runs/{context.dagster_run.run_id}")


def test_a_failed_guard_is_told_with_its_check_and_its_partition(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    platform.run_batch()
    [curated] = (platform.settings.directory / "json_parsed_parquet").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(curated).read().slice(0, 2), curated)
    told: list[str] = []
    _tell(
        platform,
        _context(platform, platform.materialize("2026-02-03|live", ADD_ONLY)),
        lambda _, text: told.append(text),
    )
    [text] = told
    assert "Partition 2026-02-03|live: check row_count failed: " in text
    assert "2 rows, the ledger says 3" in text


def test_a_webhook_is_told_as_slack_wants_it(platform: Platform) -> None:
    with webhook() as (url, told):
        _tell(platform, _failure(platform), sink_of(url))
    assert [text.splitlines()[0] for text in told] == ["*Lake: a run of json_parsed_parquet_job failed*"]


def test_a_sink_that_does_not_take_it_fails_no_tick(platform: Platform) -> None:
    with webhook(500) as (url, told):
        _tell(platform, _failure(platform), sink_of(url))
    assert len(told) == 1


def test_an_sns_topic_is_told(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", aws.endpoint)
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
    queue = aws.client("sqs").create_queue(QueueName="alerts")["QueueUrl"]
    told = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told["QueueArn"])
    sink = sink_of(load_settings(alerts=topic).alerts)
    assert sink is not None
    sink("Lake: a run\nfailed " + "x" * 200, "why")
    [message] = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    body = json.loads(message["Body"])
    assert (body["Message"], body["Subject"][:19], len(body["Subject"])) == ("why", "Lake: a run failed ", 100)
