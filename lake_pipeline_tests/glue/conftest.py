"""Lakes in a bucket with a Glue job: a server that really runs it, with job and code created by `lake provision`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lake_pipeline.engines.glue.engine import GlueEngine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.provision.glue import Code, Job
from lake_pipeline.provision.plan import provision
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.factories import OPTIONS
from local_aws.server import AwsServer

ROLE = "arn:aws:iam::123456789012:role/lake-glue"
SERVICES = ("GLUE", "CLOUDWATCH_LOGS", "SECRETS_MANAGER", "SQS")


@pytest.fixture(autouse=True)
def _services(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws.endpoint)


@dataclass(frozen=True)
class GlueLake:
    """A lake whose engine is its own Glue job, named after its bucket."""

    aws: AwsServer
    store: S3Store
    lake: Lake

    @property
    def job(self) -> str:
        return self.store.location.bucket

    @property
    def engine(self) -> GlueEngine:
        assert isinstance(self.lake.engine, GlueEngine)
        return self.lake.engine

    def land(self, files: Mapping[str, bytes]) -> None:
        """Put raw files into the lake, as senders do."""
        for key, content in files.items():
            self.aws.client().put_object(Bucket=self.job, Key=self.store.location.prefix + key, Body=content)

    def with_script(self, text: str, **job: Any) -> None:
        """Let the job run another script, without Spark, which starts fast."""
        key = f"{self.store.location.prefix}script.py"
        self.aws.client().put_object(Bucket=self.job, Key=key, Body=text.encode())
        command = {"Name": "glueetl", "ScriptLocation": f"s3://{self.job}/{key}"}
        update = {"Command": command, "DefaultArguments": {}, **job}
        self.aws.client("glue").update_job(JobName=self.job, JobUpdate=update)

    def runs(self) -> list[dict[str, Any]]:
        """The runs of the job, newest first."""
        runs: list[dict[str, Any]] = self.aws.client("glue").get_job_runs(JobName=self.job)["JobRuns"]
        return runs

    def log(self, run_id: str) -> str:
        """The output of a run."""
        return log_of(self.aws, run_id)


def run_to_its_end(aws: AwsServer, job: str, arguments: Mapping[str, str]) -> str:
    """Start a run as a trigger does and wait for it; return its final state."""
    glue = aws.client("glue")
    run_id = glue.start_job_run(JobName=job, Arguments=arguments)["JobRunId"]
    deadline = time.monotonic() + 200
    state = ""
    while state in ("", "WAITING", "STARTING", "RUNNING"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        state = glue.get_job_run(JobName=job, RunId=run_id)["JobRun"]["JobRunState"]
    if state != "SUCCEEDED":
        print(log_of(aws, run_id))
    return state


def log_of(aws: AwsServer, run_id: str) -> str:
    """The output of a run."""
    events = aws.client("logs").get_log_events(
        logGroupName="/aws-glue/jobs/output", logStreamName=run_id, startFromHead=True
    )["events"]
    return "\n".join(event["message"] for event in events)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def engine_over(aws: AwsServer, store: S3Store, **options: Any) -> GlueEngine:
    """An engine that runs the job of its bucket, with a short poll interval."""
    return GlueEngine(store, job=store.location.bucket, access=aws.access(), **{"poll_seconds": 0.1, **options})


@pytest.fixture
def glue_lake(aws: AwsServer, ledger: Ledger) -> Iterator[GlueLake]:
    store = aws.store(aws.new_bucket(), "lake/")
    job = Job(store.location, store.location.bucket, ROLE, worker_type="G.1X", workers=2, minutes=10, runs=2)
    list(provision([Code(store.location), job]))
    lake = Lake(store=store, ledger=ledger, engine=engine_over(aws, store), options=OPTIONS)
    glue_lake = GlueLake(aws, store, lake)
    yield glue_lake
    for run in glue_lake.runs():
        aws.client("glue").batch_stop_job_run(JobName=glue_lake.job, JobRunIds=[run["Id"]])
