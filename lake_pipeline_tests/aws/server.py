"""The server as tests hold it: start it, make buckets, tell it which faults to make, ask what it was asked."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.clients import make_client
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.s3 import S3Store

REGION = "eu-central-1"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Nothing of the machine's own AWS configuration may take part.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class AwsServer:
    """A running server. `endpoint` is its URL."""

    endpoint: str

    def access(self, **fields: Any) -> AwsAccess:
        """How the pipeline reaches it. Time-outs are short: nothing here is far away."""
        return AwsAccess(**{"region": REGION, "endpoint_url": self.endpoint, "timeout_seconds": 5.0, **fields})

    def client(self, service: str = "s3") -> Any:
        """A client for tests that look behind the pipeline's back."""
        return make_client(service, self.access())

    def new_bucket(self, *, versioned: bool = False) -> str:
        """The name of a bucket of this test's own."""
        name = f"lake-{os.getpid()}-{next(_numbers)}"
        client = self.client()
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def copy_bucket(self, source: str, target: str) -> None:
        """Make the bucket `target` as `source` is at this moment, with its ETags and unfinished uploads."""
        self._post("copy-bucket", {"source": source, "target": target})

    def drop_bucket(self, name: str) -> None:
        """Forget a bucket with all that is in it."""
        self._post("drop-bucket", {"name": name})

    def store(self, bucket: str, prefix: str = "", **access: Any) -> S3Store:
        """The pipeline's store over a bucket."""
        return S3Store(S3Place(bucket=bucket, prefix=prefix, access=self.access(**access)))

    @contextmanager
    def faults(self, **configuration: Any) -> Iterator[Counter[str]]:
        """Faults while the block runs (see `Faults.configure`); the counter is filled when it ends."""
        made: Counter[str] = Counter()
        self.make_faults(**configuration)
        try:
            yield made
        finally:
            # The answer is given by the new configuration, so what was made is asked for first.
            made.update(self.faults_made())
            self.make_faults()

    def faults_made(self) -> Counter[str]:
        """How many of each kind were made since they were configured."""
        return Counter(self._get("faults-made"))

    def make_faults(self, **configuration: Any) -> None:
        """From now on these faults; none without arguments."""
        self._post("faults", configuration)

    @contextmanager
    def glue(self, **configuration: Any) -> Iterator[None]:
        """Another Glue while the block runs; see `Glue.configure`."""
        with self._configured("glue", configuration):
            yield

    @contextmanager
    def athena(self, **configuration: Any) -> Iterator[None]:
        """Another Athena while the block runs; see `Athena.configure`."""
        with self._configured("athena", configuration):
            yield

    @contextmanager
    def _configured(self, service: str, configuration: Mapping[str, Any]) -> Iterator[None]:
        self._post(service, configuration)
        try:
            yield
        finally:
            self._post(service, {})

    def seed_athena(self, names: Mapping[str, str], rows: Sequence[Sequence[str | None]]) -> None:
        """What the next query gives: columns with their types, and rows as texts. The head is added."""
        lines: list[Sequence[str | None]] = [[*names], *rows]
        columns = [{"Name": name, "Label": name, "Type": type_} for name, type_ in names.items()]
        data = [{"Data": [{} if text is None else {"VarCharValue": text} for text in row]} for row in lines]
        body = {"region": REGION, "results": [{"rows": data, "column_info": columns}]}
        url = f"{self.endpoint}/moto-api/static/athena/query-results"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201

    def end_glue_run(self, run_id: str, state: str, message: str = "") -> None:
        """End a Glue run as only AWS can."""
        self._post("glue-run", {"run_id": run_id, "state": state, "message": message})

    @contextmanager
    def recorded(self) -> Iterator[list[dict[str, Any]]]:
        """What is asked while the block runs; the list is filled when it ends."""
        self._post("forget", {})
        calls: list[dict[str, Any]] = []
        yield calls
        calls += self._get("requests")

    def _get(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.endpoint}/_test/{what}") as answer:
            return json.load(answer)

    def _post(self, what: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.endpoint}/_test/{what}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@contextmanager
def aws_server(latency_ms: float = 0.0) -> Iterator[AwsServer]:
    """A server process, and credentials for it in the environment, until the block ends.

    `latency_ms` is what it waits before each answer, as a server that is not on the same machine.
    """
    command = [sys.executable, "-m", "lake_pipeline_tests.aws", str(latency_ms)]
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        os.environ.update(CREDENTIALS)
        try:
            yield AwsServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            process.stdin.close()
