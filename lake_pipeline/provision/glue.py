"""The Glue job that converts, and its code. The tables are in `catalog`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_pipeline.aws.calls import call, call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import NOT_FOUND
from lake_pipeline.provision.bundle import BUNDLE, PROCESSOR, bundle, digest, modules
from lake_pipeline.provision.catalog import ABSENT, GlueResource
from lake_pipeline.storage.zones import CODE

GLUE_VERSION = "5.1"

CORES = {"G.1X": 4, "G.2X": 8, "G.4X": 16, "G.8X": 32}
"""Cores of a worker by its type. One worker of each run is the driver, which converts nothing."""


@dataclass(frozen=True)
class Code(GlueResource):
    """The scripts and the package that the job runs. Keys contain a content hash, so running jobs keep their code."""

    @property
    def name(self) -> str:
        return f"code of the Glue job in {self.location}"

    @property
    def folder_uri(self) -> str:
        """The URI of the folder with the code."""
        return f"{self.location}/{CODE}{digest()}"

    def read(self) -> Any:
        current = {name: self._size(name) for name in bundle()}
        return {"Location": self.folder_uri, "Bytes": current} if all(current.values()) else None

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {"Location": self.folder_uri, "Bytes": {name: len(content) for name, content in bundle().items()}}

    def apply(self, desired: Any) -> None:  # noqa: ARG002
        for name, content in bundle().items():
            call(self.name, f"upload {name}", self._s3.put_object, **self._at(name), Body=content)

    def _size(self, name: str) -> int | None:
        current = call_or_none(
            self.name, f"look up {name}", self._s3.head_object, absent=(*NOT_FOUND, "NoSuchBucket"), **self._at(name)
        )
        return None if current is None else int(current["ContentLength"])

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.location.bucket, "Key": f"{self.location.prefix}{CODE}{digest()}/{name}"}

    @cached_property
    def _s3(self) -> Any:
        return make_client("s3", self.location.access)


@dataclass(frozen=True)
class Job(GlueResource):
    """The conversion job. Its own retries are off, because the ledger owns retries.

    A run has `workers` workers of `worker_type` and a timeout of `minutes`; at most `runs` run concurrently.
    """

    job: str
    role: str
    worker_type: str
    workers: int
    minutes: int
    runs: int

    @property
    def name(self) -> str:
        return f"Glue job {self.job}"

    def read(self) -> Any:
        current = call_or_none(self.name, "read it", self._client.get_job, absent=ABSENT, JobName=self.job)
        return current and {name: current["Job"].get(name) for name in self.desired(None)}

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        code = Code(self.location).folder_uri
        return {
            "Role": self.role,
            "Command": {"Name": "glueetl", "ScriptLocation": f"{code}/{PROCESSOR}", "PythonVersion": "3"},
            "DefaultArguments": {
                "--extra-py-files": f"{code}/{BUNDLE}",
                "--additional-python-modules": ",".join(modules()),
                "--job-language": "python",
                "--enable-metrics": "true",
                "--spark_cores": str(CORES[self.worker_type] * (self.workers - 1)),
            },
            "ExecutionProperty": {"MaxConcurrentRuns": self.runs},
            "MaxRetries": 0,
            "Timeout": self.minutes,
            "GlueVersion": GLUE_VERSION,
            "WorkerType": self.worker_type,
            "NumberOfWorkers": self.workers,
        }

    def apply(self, desired: Any) -> None:
        if self.read() is None:
            call(self.name, "create it", self._client.create_job, Name=self.job, **desired)
        else:
            call(self.name, "update it", self._client.update_job, JobName=self.job, JobUpdate=desired)
