"""The IAM policies allow what the pipeline calls and nothing more: every call is recorded, every statement is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.notices import publish
from lake_pipeline.cli import main
from lake_pipeline.consume.dataset import CuratedDataset
from lake_pipeline.convert.glue import GlueEngine
from lake_pipeline.ingest.batch import ingest_all
from lake_pipeline.opening import open_lake, provisioning_choices
from lake_pipeline.provision.lake import Choices
from lake_pipeline.provision.policies import athena_policy, glue_policy, host_policy, policies, provisioner_policy
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.zones import CURATED, retained_key
from lake_pipeline_tests.aws.glue_process import ROLE as ROLE_OF_RUNS
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.factories import BATCH, ndjson

REPOSITORY = Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/lake-glue"

ACTIONS = {
    "List": ["s3:ListBucket"],
    "ListVersions": ["s3:ListBucketVersions"],
    "ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "HeadBucket": ["s3:ListBucket"],
    "CreateBucket": ["s3:CreateBucket"],
    "GetObject": ["s3:GetObject"],
    "HeadObject": ["s3:GetObject"],
    # A copy of an object with tags reads and writes them too; that shows in no request.
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
    """The (action, resource) pairs of a recorded call. Of SQS and Glue only the action is known."""
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
    """Fails unless `policy` allows every call, and every action of it was needed where `unseen` does not name it."""
    needed = {need for call in calls for need in needs(call)}
    denied = [need for need in needed if not any(allows(each, *need) for each in policy["Statement"])]
    assert denied == []
    unused = [
        (statement["Sid"], action)
        for statement in policy["Statement"]
        for action in statement["Action"]
        if not any(allows({**statement, "Action": [action]}, *need) for need in needed)
    ]
    assert [each for each in unused if each[0] not in unseen and each[1] not in unseen] == []
    # A resource that nothing was done to would be one that nobody needs.
    for statement in policy["Statement"]:
        for pattern in statement["Resource"] if statement["Resource"][0].startswith("arn:aws:s3") else ():
            used = any(allows({**statement, "Resource": [pattern]}, *need) for need in needed)
            assert used or statement["Sid"] in unseen, (statement["Sid"], pattern)


def mine(calls: list[dict[str, Any]], bucket: str) -> list[dict[str, Any]]:
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
    place = S3Place(bucket=bucket, prefix="lake/", access=aws.access())
    return Choices(place=place, glue_database=settings["GLUE_DATABASE"], glue_job=bucket, glue_role=ROLE)


def lake(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_host_may_do_what_it_does_and_nothing_more(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = lake("provision", "--only", "events").partition("LAKE_EVENTS_QUEUE_URL=")[2].strip()
    monkeypatch.setenv("LAKE_EVENTS_QUEUE_URL", url)
    bucket, plain = choices.place.bucket, aws.new_bucket()
    land_all(aws, bucket, week="05")
    with aws.recorded() as calls:
        lake("discover", "--events")
        work(aws, bucket)
        lake("catalog", "sync")
    spoil_table(aws, choices)
    with aws.recorded() as mended:
        lake("catalog", "sync")
    # Without versions other calls are made.
    land_all(aws, plain, week="06")
    monkeypatch.setenv("LAKE_ROOT", f"s3://{plain}/lake")
    with aws.recorded() as more:
        lake("discover")
        lake("ingest")
        unversioned = aws.store(plain, "lake/")
        file = next(iter(unversioned.objects(CURATED)))
        unversioned.copy(file.key, retained_key(file.key, file.etag), etag=file.etag)
    both = mine([*calls, *mended, *({**call, "bucket": bucket} for call in more)], bucket)
    # What belongs to Glue runs is looked at below.
    compare(host_policy(choices), both, unseen=frozenset({"AskGlueRuns", "RunTheJob", "ReadTheLogOfTheJob"}))


def test_the_host_may_tell_of_troubles_and_sign_in_with_tokens_where_that_is_set(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", aws.endpoint)
    topic = aws.client("sns").create_topic(Name="troubles")["TopicArn"]
    with aws.recorded() as calls:
        publish(topic, subject="a run failed", text="why", timeout_seconds=5)
    url = "postgresql://lake_user@lake.abc.eu-west-3.rds.amazonaws.com/lake"
    told = provisioning_choices(load_settings(alerts=topic, ledger_url=url, ledger_auth="iam"))
    usual = host_policy(choices)["Statement"]
    added = [each for each in host_policy(told)["Statement"] if each not in usual]
    # A token is made without asking anybody.
    compare({"Statement": added}, calls, unseen=frozenset({"SignInToTheLedger"}))
    assert [each["Resource"] for each in added] == [["arn:aws:rds-db:*:*:dbuser:*/lake_user"], [topic]]


def spoil_table(aws: AwsServer, choices: Choices) -> None:
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


def work(aws: AwsServer, bucket: str) -> None:
    """Everything that the host does with objects."""
    for command in ("discover", "ingest", "status"):
        lake(command)
    lake("query", "SELECT count(*) FROM json_parsed_parquet")
    lake("query", "SELECT count(*) FROM quarantine")
    lake("fsck")
    # What is rebuilt leaves the plain path, and is copied for the snapshot before that.
    lake("snapshot", "create", "s")
    lake("rebuild", "2026-02-03")
    read_all(CuratedDataset.of_snapshot, "s")
    lake("snapshot", "drop", "s")
    read_all(CuratedDataset.of_selection)
    store = aws.store(bucket, "lake/")
    for zone in ("json_parsed_parquet", "quarantine"):
        left = store.put_pending(f"{zone}/part-{BATCH}-00001.parquet")
        left.write(b"half")
        left.finish()
        [found] = store.pending()
        store.publish(found)  # as a sweep finds it, without its parts
        left = store.put_pending(f"{zone}/part-{BATCH}-00002.parquet")
        left.write(b"half")
        store.abort(left.finish())
    # What `lake fsck --repair` does with a file that was taken out and is still there.
    store.delete(f"json_parsed_parquet/part-{BATCH}-00001.parquet")


def test_host_and_job_may_do_with_each_other_what_they_do_and_nothing_more(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job gets its code, converts, answers and prints as its role; the host asks, waits, reads and stops."""
    lake("provision", "--only", "glue")
    monkeypatch.setenv("LAKE_ENGINE", "glue")
    bucket = choices.place.bucket
    body = ndjson(*[{"event_time": "2026-02-03T10:00:00Z"}] * 100, {"mode": "no date"})
    # Of a file that is refused after a part of it was converted, the uploads are given up.
    for key, content in (("2026/week05/a.json", body), ("all_historical_files/b.json", body + b"broken\n" * 100)):
        aws.client().put_object(Bucket=bucket, Key=f"lake/{key}", Body=content)
    lake("discover")
    with aws.recorded() as calls, open_lake(load_settings()) as opened:
        engine = GlueEngine(opened.store, job=bucket, access=aws.access(), share_bytes=1000, look_seconds=0.5)
        list(ingest_all(replace(opened, engine=engine)))
        engine.stop("jr_gone")
        engine.find(BATCH)
    of_job = [call for call in mine(calls, bucket) if call["who"] == ROLE_OF_RUNS["AWS_ACCESS_KEY_ID"]]
    compare(glue_policy(choices), of_job)
    of_host = [call for call in mine(calls, bucket) if call not in of_job]
    policy = host_policy(choices)
    only_glue = {"AskGlueRuns", "RunTheJob", "ReadTheLogOfTheJob"}
    compare(policy, of_host, unseen=frozenset({each["Sid"] for each in policy["Statement"]} - only_glue))


def test_who_provisions_may_do_what_it_takes_and_nothing_more(aws: AwsServer, choices: Choices) -> None:
    aws.client().put_object(
        Bucket=choices.place.bucket,
        Key="lake/2026/week05/a.json",
        Body=ndjson({"event_time": "2026-02-03T10:00:00Z"}),
    )
    lake("discover")
    lake("ingest")
    versions = aws.client().list_object_versions(Bucket=choices.place.bucket)
    for each in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
        aws.client().delete_object(Bucket=choices.place.bucket, Key=each["Key"], VersionId=each["VersionId"])
    aws.client().delete_bucket(Bucket=choices.place.bucket)
    with aws.recorded() as calls:
        lake("provision")
    glue, queues = aws.client("glue"), aws.client("sqs")
    spoil_table(aws, choices)
    url = queues.get_queue_url(QueueName=f"{choices.place.bucket}-lake-lake-events")["QueueUrl"]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    glue.update_job(JobName=choices.glue_job, JobUpdate={"Timeout": 1})
    with aws.recorded() as more:
        lake("provision")
    # PassRole is no call of its own: Glue asks for it when the job is made.
    compare(
        provisioner_policy(choices),
        mine([*calls, *more], choices.place.bucket),
        unseen=frozenset({"GiveTheJobItsRole"}),
    )


def test_who_queries_through_athena_may_do_what_it_takes_and_nothing_more(
    aws: AwsServer, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, results = choices.place.bucket, aws.new_bucket()
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
        begun = aws.client("athena").start_query_execution(QueryString="SELECT 1")
        aws.client("athena").stop_query_execution(QueryExecutionId=begun["QueryExecutionId"])
    policy = athena_policy(replace(choices, athena_output=f"s3://{results}/athena"))
    compare(policy, [call for call in calls if call["bucket"] in (bucket, results, "")])

    assert [each["Sid"] for each in athena_policy(choices)["Statement"]] == [
        each["Sid"] for each in policy["Statement"] if "Results" not in each["Sid"]
    ]
    for key in ("2026/week05/a.json", "raw-json-data-processed/a.json", "quarantine/a.parquet", "retained/a.parquet"):
        denied = f"arn:aws:s3:::{bucket}/lake/{key}"
        assert not any(allows(each, "s3:GetObject", denied) for each in policy["Statement"])


def as_athena(aws: AwsServer, choices: Choices, results: str) -> None:
    """What Athena does in the name of who queries, as its documentation tells: moto asks neither Glue nor S3."""
    glue, s3, bucket = aws.client("glue"), aws.client(), choices.place.bucket
    glue.get_database(Name=choices.glue_database)
    glue.get_table(DatabaseName=choices.glue_database, Name="json_parsed_parquet")
    s3.get_bucket_location(Bucket=bucket)
    [*_, found] = s3.list_objects_v2(Bucket=bucket, Prefix=f"lake/{CURATED}")["Contents"]
    s3.get_object(Bucket=bucket, Key=found["Key"])
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


def test_the_policies_in_docs_are_those_of_the_code(choices: Choices, tmp_path: Path) -> None:
    place = S3Place(bucket="your-bucket", access=AwsAccess())
    example = Choices(place=place, glue_role=ROLE, athena_output="s3://your-results/athena/")
    for name, policy in policies(example).items():
        path = REPOSITORY / "docs/policies" / name
        assert json.loads(path.read_text()) == policy, "docs/policies is old: run make docs"
    lake("provision", "--policies", str(tmp_path))
    assert sorted(path.name for path in tmp_path.glob("*.json")) == sorted(policies(example))
    assert json.loads((tmp_path / "dagster-host.json").read_text()) == host_policy(choices)
