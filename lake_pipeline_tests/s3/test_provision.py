"""Provisioning: created resources, idempotence, drift detection, and that configuration of others is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.contract.hive_types import hive_type
from lake_pipeline.provision.bundle import bundle
from lake_pipeline_tests.support.factories import ndjson
from local_aws.server import AwsServer

ROLE = "arn:aws:iam::123456789012:role/lake-glue"

Run = Callable[..., Result]


@pytest.fixture
def bucket(aws: AwsServer, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An unused bucket name, and settings for a lake in it."""
    name = aws.new_bucket()
    aws.client().delete_bucket(Bucket=name)
    for service in ("SQS", "GLUE"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws.endpoint)
    monkeypatch.setenv("LAKE_ROOT", f"s3://{name}/lake")
    monkeypatch.setenv("LAKE_S3_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_GLUE_ROLE", ROLE)
    # The whole account shares catalogs and jobs.
    monkeypatch.setenv("LAKE_GLUE_DATABASE", name.replace("-", "_"))
    monkeypatch.setenv("LAKE_GLUE_JOB", name)
    return name


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["provision", *arguments])
    assert result.exit_code == code, result.output
    return result


def changes(result: Result) -> list[str]:
    return [json.loads(line)["resource"] for line in result.stdout.splitlines()]


def test_provisioning_creates_everything_once_and_is_idempotent(aws: AwsServer, bucket: str) -> None:
    dry = run("--dry-run", "--json")
    assert changes(dry)[0] == f"bucket s3://{bucket}"
    assert "head_bucket" not in dry.output
    assert bucket not in [existing["Name"] for existing in aws.client().list_buckets()["Buckets"]]

    made = run("--json")
    assert changes(made) == changes(dry)
    assert changes(run("--json")) == []
    assert "Everything is up to date." in run("--check").output

    client = aws.client()
    block = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    rules = {rule["ID"]: rule for rule in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    tiering = rules["lake-lake/archive-tiering"]
    assert tiering["Filter"] == {"Prefix": "lake/raw-json-data-processed/"}
    assert tiering["Transitions"] == [{"Days": 90, "StorageClass": "INTELLIGENT_TIERING"}]
    assert rules["lake-lake/incomplete-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules["lake-lake/glue-runs"]["Filter"] == {"Prefix": "lake/glue/runs/"}
    assert set(rules) == {"lake-lake/archive-tiering", "lake-lake/incomplete-uploads", "lake-lake/glue-runs"}


def test_the_job_has_its_code_and_the_configured_size(
    aws: AwsServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    job = aws.client("glue").get_job(JobName=bucket)["Job"]
    assert (job["MaxRetries"], job["ExecutionProperty"]["MaxConcurrentRuns"]) == (0, 2)
    for uri in (job["Command"]["ScriptLocation"], job["DefaultArguments"]["--extra-py-files"]):
        name = uri.removeprefix(f"s3://{bucket}/")
        assert aws.client().get_object(Bucket=bucket, Key=name)["Body"].read() == content_of(name)
    assert job["DefaultArguments"]["--spark_cores"] == "36"
    for name, value in {"WORKERS": "5", "WORKER": "G.2X", "MINUTES": "60"}.items():
        monkeypatch.setenv(f"LAKE_GLUE_{name}", value)
    assert changes(run("--json")) == [f"Glue job {bucket}"]
    changed = aws.client("glue").get_job(JobName=bucket)["Job"]
    assert (changed["NumberOfWorkers"], changed["WorkerType"], changed["Timeout"]) == (5, "G.2X", 60)
    assert changed["DefaultArguments"]["--spark_cores"] == "32"


def content_of(key: str) -> bytes:
    return bundle()[key.rpartition("/")[2]]


def test_the_created_queue_is_notified_of_landed_files(
    aws: AwsServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run().output
    url = result.partition("LAKE_EVENTS_QUEUE_URL=")[2].strip()
    monkeypatch.setenv("LAKE_EVENTS_QUEUE_URL", url)
    aws.client().put_object(Bucket=bucket, Key="lake/2026/week05/a.json", Body=b"{}")
    aws.client().put_object(Bucket=bucket, Key="elsewhere/2026/week05/a.json", Body=b"{}")
    discovery = CliRunner().invoke(main, ["discover", "--events", "--json"])
    assert json.loads(discovery.stdout)["new"] == 1


def test_the_table_has_the_columns_of_the_contract_and_follows_it(aws: AwsServer, bucket: str) -> None:
    assert "No Glue table yet" in run().output
    record = {"event_time": "2026-02-03T10:00:00Z", "mode": "live", "user": {"id": 1}, "tags": [{"k": "a"}]}
    for number, extra in enumerate(({}, {"late": 1.5})):
        aws.client().put_object(Bucket=bucket, Key=f"lake/2026/week05/{number}.json", Body=ndjson({**record, **extra}))
        for command in ("discover", "ingest"):
            assert CliRunner().invoke(main, [command]).exit_code == 0
        assert changes(run("--check", "--json", code=1)) == changes(run("--json"))
        table = aws.client("glue").get_table(DatabaseName=bucket.replace("-", "_"), Name="json_parsed_parquet")["Table"]
        columns = {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
        assert columns["user_id"] == "bigint"
        assert columns["tags"] == "array<struct<k:string>>"
        assert ("late" in columns) == (number == 1)
    assert [key["Name"] for key in table["PartitionKeys"]] == ["year", "month", "day", "mode"]
    assert table["StorageDescriptor"]["Location"] == f"s3://{bucket}/lake/json_parsed_parquet/"


def test_drift_is_reported_and_corrected_and_configuration_of_others_is_kept(aws: AwsServer, bucket: str) -> None:
    run("--only", "bucket")
    client = aws.client()
    theirs: dict[str, Any] = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 3},
    }
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [theirs]})
    client.delete_public_access_block(Bucket=bucket)

    result = run("--only", "bucket", "--check", code=1)
    assert f"lifecycle of s3://{bucket} would change" in result.output
    assert re.search(r'^  \+ +"ID": "lake-lake/archive-tiering"', result.output, re.MULTILINE)
    assert "2 resources are not up to date" in result.output
    assert f"public access block of s3://{bucket} would be created" in result.output
    assert re.search(r"^  -", result.output, re.MULTILINE) is None

    run("--only", "bucket")
    rules = [rule["ID"] for rule in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]]
    assert sorted(rules) == [
        "lake-lake/archive-tiering",
        "lake-lake/glue-runs",
        "lake-lake/incomplete-uploads",
        "theirs",
    ]
    assert changes(run("--only", "bucket", "--check", "--json")) == []


def test_settings_for_versioning_and_lifecycle_are_applied(
    aws: AwsServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"VERSIONING": "true", "TIER_DAYS": "60", "QUARANTINE_DAYS": "365"}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    run("--only", "bucket")
    client = aws.client()
    assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rules = {rule["ID"]: rule for rule in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert rules["lake-lake/archive-tiering"]["Transitions"][0]["Days"] == 60
    assert rules["lake-lake/quarantine-expiry"]["Expiration"]["Days"] == 365
    assert rules["lake-lake/older-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert changes(run("--only", "bucket", "--check", "--json")) == []


def test_a_directory_needs_no_provisioning(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path))
    assert "needs a lake in a bucket" in run(code=1).output


@pytest.mark.parametrize(
    ("arrow", "hive"),
    [
        (pa.int64(), "bigint"),
        (pa.float64(), "double"),
        (pa.timestamp("us", "UTC"), "timestamp"),
        (pa.date32(), "date"),
        (pa.decimal128(12, 3), "decimal(12,3)"),
        (pa.list_(pa.struct([("a", pa.string()), ("b", pa.bool_())])), "array<struct<a:string,b:boolean>>"),
        (pa.map_(pa.string(), pa.int32()), "map<string,int>"),
    ],
)
def test_arrow_types_become_hive_types(arrow: pa.DataType, hive: str) -> None:
    assert hive_type(arrow) == hive
