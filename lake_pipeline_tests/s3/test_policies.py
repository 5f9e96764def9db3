"""The IAM policies allow exactly what the pipeline calls: every call is recorded, every statement must be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.aws.notify import publish
from lake_pipeline.cli import main
from lake_pipeline.composition import open_lake, provisioning_choices
from lake_pipeline.consume.dataset import CuratedDataset
from lake_pipeline.engines.glue.engine import GlueEngine
from lake_pipeline.provision.lake import Choices
from lake_pipeline.provision.policies import athena_policy, glue_policy, host_policy, policies, provisioner_policy
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.zones import CURATED, retained_key
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline_tests.support.factories import BATCH, ndjson
from lake_pipeline_tests.support.repository import REPOSITORY
from local_aws.glue_run import RUN_CREDENTIALS
from local_aws.server import AwsServer

ROLE = "arn:aws:iam::123456789012:role/lake-glue"

ACTIONS = {
    "List": ["s3:ListBucket"],
    "ListVersions": ["s3:ListBucketVersions"],
    "ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "HeadBucket": ["s3:ListBucket"],
    "CreateBucket": ["s3:CreateBucket"],
    "GetObject": ["s3:GetObject"],
    "HeadObject": ["s3:GetObject"],
    # A copy also reads and writes the object's tags, without a request of its own.
    "CopySource": ["s3:GetObject", "s3:GetObjectTagging"],
    "CopySourceVersion": ["s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
    "CopyObject": ["s3:PutObject", "s3:PutObjectTagging"],
    "PutObject": ["s3:PutObject"],
    "CreateMultipartUpload": ["s3:PutObject"],
    "UploadPart": ["s3:PutObject"],
    "CompleteMultipartUpload": ["s3:PutObject"],
    "AbortMultipartUpload": ["s3:AbortMultipartUpload"],
    "ListParts": ["s3:ListMultipartUploadParts"],
    "DeleteObject": ["s3:DeleteObject"],
    "DeleteObjectVersion": ["s3:DeleteObjectVersion"],
    "GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "GetBucketVersioning": ["s3:GetBucketVersioning"],
    "PutBucketVersioning": ["s3:PutBucketVersioning"],
    "GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "GetBucketNotificationConfiguration": ["s3:GetBucketNotification"],
    "PutBucketNotificationConfiguration": ["s3:PutBucketNotification"],
    "GetBucketLocation": ["s3:GetBucketLocation"],
    "DeleteMessageBatch": ["sqs:DeleteMessage"],
}
"""The IAM actions that an API operation needs."""


def needs(call: dict[str, Any]) -> list[tuple[str, str]]:
    """The (action, resource) pairs of a recorded call. For SQS and Glue only the action is recorded."""
    if call["service"] != "s3":
        actions = ACTIONS.get(call["operation"], [f"{call['service']}:{call['operation']}"])
        return [(action, "") for action in actions]
    resource = f"arn:aws:s3:::{call['bucket']}" + (f"/{call['key']}" if call["key"] else "")
    return [(action, resource) for action in ACTIONS[call["operation"]]]


def allows(statement: dict[str, Any], action: str, resource: str) -> bool:
    return action in statement["Action"] and (
        not resource or any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
    )


def compare(policy: dict[str, Any], calls: list[dict[str, Any]], *, unseen: frozenset[str] = frozenset()) -> None:
    """Fails unless `policy` allows every call and every action in it was needed, except those named in `unseen`."""
    needed = {need for call in calls for need in needs(call)}
    denied = [need for need in needed if not any(allows(statement, *need) for statement in policy["Statement"])]
    assert denied == []
    unused = [
        (statement["Sid"], action)
        for statement in policy["Statement"]
        for action in statement["Action"]
        if not any(allows({**statement, "Action": [action]}, *need) for need in needed)
    ]
    assert [(sid, action) for sid, action in unused if sid not in unseen and action not in unseen] == []
    # A resource pattern that no call used is not needed.
    for statement in policy["Statement"]:
        for pattern in statement["Resource"] if statement["Resource"][0].startswith("arn:aws:s3") else ():
            used = any(allows({**statement, "Resource": [pattern]}, *need) for need in needed)
            assert used or statement["Sid"] in unseen, (statement["Sid"], pattern)


def calls_of(calls: list[dict[str, Any]], bucket: str) -> list[dict[str, Any]]:
    return [call for call in calls if call["bucket"] in (bucket, "")]


@pytest.fixture
def choices(aws: AwsServer, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choices:
    bucket = aws.new_bucket(versioned=True)
    for service in ("SQS", "GLUE", "CLOUDWATCH_LOGS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws.endpoint)
    settings = {
        "ROOT": f"s3://{bucket}/lake",
        "S3_ENDPOINT_URL": aws.endpoint,
        "LEDGER_URL": ledger_url,
        "HOME": str(tmp_path),
        "VERSIONING": "true",
        "GLUE_ROLE": ROLE,
        "GLUE_DATABASE": bucket.replace("-", "_"),
        "GLUE_JOB": bucket,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    location = S3Location(bucket=bucket, prefix="lake/", access=aws.access())
    return Choices(location=location, glue_database=settings["GLUE_DATABASE"], glue_job=bucket, glue_role=ROLE)


def lake(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_host_policy_allows_exactly_the_calls_of_the_host(
    aws: AwsServer, choices: Choices, other_ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = lake("provision", "--only", "events").partition("LAKE_EVENTS_QUEUE_URL=")[2].strip()
    monkeypatch.setenv("LAKE_EVENTS_QUEUE_URL", url)
    bucket, plain = choices.location.bucket, aws.new_bucket()
    land_all(aws, bucket, week="05")
    with aws.recorded() as calls:
        lake("discover", "--events")
        run_host(aws, bucket)
        lake("catalog", "sync")
    change_table(aws, choices)
    with aws.recorded() as repaired:
        lake("catalog", "sync")
    # An unversioned bucket needs other calls.
    land_all(aws, plain, week="06")
    monkeypatch.setenv("LAKE_ROOT", f"s3://{plain}/lake")
    monkeypatch.setenv("LAKE_LEDGER_URL", other_ledger_url)
    with aws.recorded() as more:
        lake("discover")
        lake("ingest")
        unversioned = aws.store(plain, "lake/")
        file = next(iter(unversioned.objects(CURATED)))
        unversioned.copy(file.key, retained_key(file.key, file.etag), etag=file.etag)
    both = calls_of([*calls, *repaired, *({**call, "bucket": bucket} for call in more)], bucket)
    # Another test covers the statements about Glue runs.
    compare(host_policy(choices), both, unseen=frozenset({"ExchangeGlueRequests", "RunGlueJob", "ReadGlueJobLogs"}))


def test_the_host_policy_allows_alerts_and_iam_authentication_if_they_are_configured(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", aws.endpoint)
    topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
    with aws.recorded() as calls:
        publish(topic, subject="a run failed", text="why", timeout_seconds=5)
    url = "postgresql://lake_user@lake.abc.eu-west-3.rds.amazonaws.com/lake"
    with_alerts = provisioning_choices(load_settings(alerts=topic, ledger_url=url, ledger_auth="iam"))
    default = host_policy(choices)["Statement"]
    added = [statement for statement in host_policy(with_alerts)["Statement"] if statement not in default]
    # A token is signed locally, without a request.
    compare({"Statement": added}, calls, unseen=frozenset({"ConnectToLedger"}))
    assert [statement["Resource"] for statement in added] == [["arn:aws:rds-db:*:*:dbuser:*/lake_user"], [topic]]


def change_table(aws: AwsServer, choices: Choices) -> None:
    aws.client("glue").update_table(
        DatabaseName=choices.glue_database, TableInput={"Name": "json_parsed_parquet", "Parameters": {"a": "b"}}
    )


def land_all(aws: AwsServer, bucket: str, *, week: str) -> None:
    good = {"event_time": "2026-02-03T10:00:00Z", "mode": week}
    for key, content in (
        (f"2026/week{week}/again.json", ndjson(good)),
        (f"2026/week{week}/again.json", ndjson(good, good)),
        (f"2026/week{week}/a.json", ndjson(*[good] * 10, {"mode": "no date"})),
        (f"all_historical_files/{week}/again.json", ndjson(good)),
        (f"all_historical_files/{week}/again.json", ndjson(good, good)),
        (f"all_historical_files/{week}/b.json", ndjson(good)),
    ):
        aws.client().put_object(Bucket=bucket, Key=f"lake/{key}", Body=content)


def read_all(dataset: Callable[..., CuratedDataset], *arguments: Any) -> None:
    """Read a dataset to its end, as training does."""
    with open_lake(load_settings()) as opened:
        assert sum(batch.num_rows for batch in dataset(opened, *arguments).batches())


def run_host(aws: AwsServer, bucket: str) -> None:
    """All operations of the host on objects."""
    for command in ("discover", "ingest", "status"):
        lake(command)
    lake("query", "SELECT count(*) FROM json_parsed_parquet")
    lake("query", "SELECT count(*) FROM quarantine")
    lake("fsck")
    # Rebuilding removes files from the curated zone, which are copied for the snapshot first.
    lake("snapshot", "create", "s")
    lake("rebuild", "2026-02-03")
    read_all(CuratedDataset.of_snapshot, "s")
    lake("fsck", "--shallow")  # reads the objects of snapshots
    lake("snapshot", "drop", "s")
    read_all(CuratedDataset.of_selection)
    store = aws.store(bucket, "lake/")
    for zone in ("json_parsed_parquet", "quarantine"):
        writer = store.put_pending(f"{zone}/part-{BATCH}-00001.parquet")
        writer.write(b"half")
        writer.finish()
        [pending] = store.pending()
        store.publish(pending)  # a listed pending object has no ETags of parts in its token
        writer = store.put_pending(f"{zone}/part-{BATCH}-00002.parquet")
        writer.write(b"half")
        store.abort(writer.finish())
    # `lake fsck --repair` deletes a file that was removed from the table but still exists.
    store.delete(f"json_parsed_parquet/part-{BATCH}-00001.parquet")


def test_the_policies_of_host_and_glue_job_allow_exactly_the_calls_of_a_conversion(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job reads its code, converts, reports and logs with its role; the host requests, polls, reads and stops."""
    lake("provision", "--only", "glue")
    monkeypatch.setenv("LAKE_ENGINE", "glue")
    bucket = choices.location.bucket
    body = ndjson(*[{"event_time": "2026-02-03T10:00:00Z"}] * 100, {"mode": "no date"})
    # If a file is rejected after a part of it was converted, its uploads are aborted.
    for key, content in (("2026/week05/a.json", body), ("all_historical_files/b.json", body + b"broken\n" * 100)):
        aws.client().put_object(Bucket=bucket, Key=f"lake/{key}", Body=content)
    lake("discover")
    with aws.recorded() as calls, open_lake(load_settings()) as opened:
        engine = GlueEngine(opened.store, job=bucket, access=aws.access(), shard_bytes=1000, poll_seconds=0.5)
        list(ingest_all(replace(opened, engine=engine)))
        engine.stop("jr_gone")
        engine.find(BATCH)
    of_job = [call for call in calls_of(calls, bucket) if call["access_key"] == RUN_CREDENTIALS["AWS_ACCESS_KEY_ID"]]
    compare(glue_policy(choices), of_job)
    of_host = [call for call in calls_of(calls, bucket) if call not in of_job]
    policy = host_policy(choices)
    only_glue = {"ExchangeGlueRequests", "RunGlueJob", "ReadGlueJobLogs"}
    compare(policy, of_host, unseen=frozenset({statement["Sid"] for statement in policy["Statement"]} - only_glue))


def test_the_provisioner_policy_allows_exactly_the_calls_of_provisioning(aws: AwsServer, choices: Choices) -> None:
    aws.client().put_object(
        Bucket=choices.location.bucket,
        Key="lake/2026/week05/a.json",
        Body=ndjson({"event_time": "2026-02-03T10:00:00Z"}),
    )
    lake("discover")
    lake("ingest")
    versions = aws.client().list_object_versions(Bucket=choices.location.bucket)
    for version in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
        aws.client().delete_object(Bucket=choices.location.bucket, Key=version["Key"], VersionId=version["VersionId"])
    aws.client().delete_bucket(Bucket=choices.location.bucket)
    with aws.recorded() as calls:
        lake("provision")
    glue, queues = aws.client("glue"), aws.client("sqs")
    change_table(aws, choices)
    url = queues.get_queue_url(QueueName=f"{choices.location.bucket}-lake-lake-events")["QueueUrl"]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    glue.update_job(JobName=choices.glue_job, JobUpdate={"Timeout": 1})
    with aws.recorded() as more:
        lake("provision")
    # PassRole has no request of its own: Glue checks it when the job is created.
    compare(
        provisioner_policy(choices),
        calls_of([*calls, *more], choices.location.bucket),
        unseen=frozenset({"PassGlueRole"}),
    )


def test_the_athena_policy_allows_exactly_the_calls_of_queries(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, results = choices.location.bucket, aws.new_bucket()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", aws.endpoint)
    monkeypatch.setenv("LAKE_ATHENA_OUTPUT", f"s3://{results}/athena")
    land_all(aws, bucket, week="05")
    lake("discover")
    lake("ingest")
    lake("catalog", "sync")
    aws.seed_athena({"n": "bigint"}, [["1"]])
    with aws.recorded() as calls, aws.athena(scanned=1):
        lake("query", "SELECT count(*) AS n FROM json_parsed_parquet", "--engine", "athena")
        as_athena(aws, choices, results)
        started = aws.client("athena").start_query_execution(QueryString="SELECT 1")
        aws.client("athena").stop_query_execution(QueryExecutionId=started["QueryExecutionId"])
    policy = athena_policy(replace(choices, athena_output=f"s3://{results}/athena"))
    compare(policy, [call for call in calls if call["bucket"] in (bucket, results, "")])

    assert [statement["Sid"] for statement in athena_policy(choices)["Statement"]] == [
        statement["Sid"] for statement in policy["Statement"] if "Results" not in statement["Sid"]
    ]
    for key in ("2026/week05/a.json", "raw-json-data-processed/a.json", "quarantine/a.parquet", "retained/a.parquet"):
        denied = f"arn:aws:s3:::{bucket}/lake/{key}"
        assert not any(allows(statement, "s3:GetObject", denied) for statement in policy["Statement"])


def as_athena(aws: AwsServer, choices: Choices, results: str) -> None:
    """The calls that Athena makes for a user, by its documentation: moto calls neither Glue nor S3."""
    glue, s3, bucket = aws.client("glue"), aws.client(), choices.location.bucket
    glue.get_database(Name=choices.glue_database)
    glue.get_table(DatabaseName=choices.glue_database, Name="json_parsed_parquet")
    s3.get_bucket_location(Bucket=bucket)
    [*_, entry] = s3.list_objects_v2(Bucket=bucket, Prefix=f"lake/{CURATED}")["Contents"]
    s3.get_object(Bucket=bucket, Key=entry["Key"])
    s3.get_bucket_location(Bucket=results)
    s3.list_multipart_uploads(Bucket=results)
    for number in range(2):
        of = {"Bucket": results, "Key": f"athena/{number}.csv"}
        upload = {**of, "UploadId": s3.create_multipart_upload(**of)["UploadId"]}
        part = {"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"n")["ETag"]}
        s3.list_parts(**upload)
        if number:
            s3.abort_multipart_upload(**upload)
        else:
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
            s3.get_object(**of)


def test_the_policies_in_docs_match_the_code(choices: Choices, tmp_path: Path) -> None:
    location = S3Location(bucket="your-bucket", access=AwsAccess())
    example = Choices(location=location, glue_role=ROLE, athena_output="s3://your-results/athena/")
    for name, policy in policies(example).items():
        path = REPOSITORY / "docs/policies" / name
        assert json.loads(path.read_text()) == policy, "docs/policies is outdated: run make docs"
    lake("provision", "--policies", str(tmp_path))
    assert sorted(path.name for path in tmp_path.glob("*.json")) == sorted(policies(example))
    assert json.loads((tmp_path / "dagster-host.json").read_text()) == host_policy(choices)
