"""landing_events_sensor registers landed files, and is defined only if a queue is configured."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from lake_pipeline.defs.build import build_defs
from lake_pipeline.defs.discovery.landing_events_sensor import landing_events_sensor
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.settings import load_settings
from local_aws.server import AwsServer

NAME = "landing_events_sensor"


def sensors(**fields: object) -> set[str]:
    return {sensor.name for sensor in build_defs(load_settings(**fields)).sensors or ()}


def test_the_sensor_is_defined_if_a_queue_is_configured() -> None:
    assert NAME not in sensors(root="s3://bucket")
    assert NAME in sensors(root="s3://bucket", events_queue_url="https://sqs.eu-central-1.amazonaws.com/1/q")


def test_a_tick_registers_landed_files(
    aws: AwsServer, ledger_url: str, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.endpoint)
    monkeypatch.setattr("lake_pipeline.defs.discovery.landing_events_sensor.POLL_SECONDS", 1)
    bucket = aws.new_bucket()
    url = aws.client("sqs").create_queue(QueueName=bucket)["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client().put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    aws.client().put_object(Bucket=bucket, Key="2026/week05/a.json", Body=b"{}")
    settings = load_settings(
        root=f"s3://{bucket}",
        s3_endpoint_url=aws.endpoint,
        ledger_url=ledger_url,
        home=tmp_path,
        events_queue_url=url,
    )
    resource = LakeResource(settings)
    for expected in ("1 files, 1 of them new", "0 files, 0 of them new"):
        result = landing_events_sensor(settings)(dg.build_sensor_context(resources={"lake": resource}))
        assert isinstance(result, dg.SkipReason)
        assert expected in str(result.skip_message)
    assert sum(ledger.views.status().files.values()) == 1
    resource.open().ledger.close()
