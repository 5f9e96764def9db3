"""The client side: start the server process, create buckets, inject faults, read the request log."""

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

from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.s3.store import S3Store

REGION = "eu-central-1"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Ignore the machine's own AWS configuration.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class AwsServer:
    """A running server. `endpoint` is its URL."""

    endpoint: str

    def access(self, **fields: Any) -> AwsAccess:
        """Access for the pipeline, with short timeouts, because the server is on this machine."""
        return AwsAccess(**{"region": REGION, "endpoint_url": self.endpoint, "timeout_seconds": 5.0, **fields})

    def client(self, service: str = "s3") -> Any:
        """A client that bypasses the pipeline."""
        return make_client(service, self.access())

    def new_bucket(self, *, versioned: bool = False) -> str:
        """Creates an empty bucket and returns its name."""
        name = f"lake-{os.getpid()}-{next(_numbers)}"
        client = self.client()
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def copy_bucket(self, source: str, target: str) -> None:
        """Create the bucket `target` as a copy of `source`, with its ETags and unfinished uploads."""
        self._post("copy-bucket", {"source": source, "target": target})

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket with its contents."""
        self._post("drop-bucket", {"name": name})

    def store(self, bucket: str, prefix: str = "", **access: Any) -> S3Store:
        """The pipeline's store on a bucket."""
        return S3Store(S3Location(bucket=bucket, prefix=prefix, access=self.access(**access)))

    @contextmanager
    def faults(self, **configuration: Any) -> Iterator[Counter[str]]:
        """Injects faults while the block runs (see `Faults.configure`). The counter is filled at its end."""
        injected: Counter[str] = Counter()
        self.configure_faults(**configuration)
        try:
            yield injected
        finally:
            # Before the reset, which also resets the counts.
            injected.update(self.injected_faults())
            self.configure_faults()

    def injected_faults(self) -> Counter[str]:
        """The number of faults of each kind since the last configuration."""
        return Counter(self._get("injected-faults"))

    def configure_faults(self, **configuration: Any) -> None:
        """Injects these faults from now on; none without arguments."""
        self._post("faults", configuration)

    @contextmanager
    def glue(self, **configuration: Any) -> Iterator[None]:
        """Configures Glue while the block runs; see `GlueJobs.configure`."""
        with self._configured("glue", configuration):
            yield

    @contextmanager
    def athena(self, **configuration: Any) -> Iterator[None]:
        """Configures Athena while the block runs; see `Athena.configure`."""
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
        """The result of the next query: columns with their types, and rows as texts. Adds the header row."""
        lines: list[Sequence[str | None]] = [[*names], *rows]
        columns = [{"Name": name, "Label": name, "Type": type_} for name, type_ in names.items()]
        data = [{"Data": [{} if text is None else {"VarCharValue": text} for text in row]} for row in lines]
        body = {"region": REGION, "results": [{"rows": data, "column_info": columns}]}
        url = f"{self.endpoint}/moto-api/static/athena/query-results"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201

    def end_glue_run(self, run_id: str, state: str, message: str = "") -> None:
        """End a Glue run in a state that only AWS sets (ERROR, EXPIRED)."""
        self._post("glue-run", {"run_id": run_id, "state": state, "message": message})

    @contextmanager
    def recorded(self) -> Iterator[list[dict[str, Any]]]:
        """Records the calls while the block runs. The list is filled at its end."""
        self._post("clear-requests", {})
        calls: list[dict[str, Any]] = []
        yield calls
        calls += self._get("requests")

    def _get(self, command: str) -> Any:
        with urllib.request.urlopen(f"{self.endpoint}/_control/{command}") as answer:
            return json.load(answer)

    def _post(self, command: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.endpoint}/_control/{command}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@contextmanager
def aws_server(latency_ms: float = 0.0) -> Iterator[AwsServer]:
    """Starts a server process and sets credentials for it in the environment, until the block ends.

    It waits `latency_ms` before each answer, to simulate a distant server.
    """
    command = [sys.executable, "-m", "local_aws", str(latency_ms)]
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
