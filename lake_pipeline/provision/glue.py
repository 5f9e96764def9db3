"""Glue: the job that converts, and its code. The catalog is a matter of `catalog`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_pipeline.aws.asking import ask, tell
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import NOT_FOUND
from lake_pipeline.provision.bundle import BUNDLE, PROCESSOR, bundle, digest, modules
from lake_pipeline.provision.catalog import ABSENT, OfGlue
from lake_pipeline.storage.zones import CODE

GLUE_VERSION = "5.1"

CORES = {"G.1X": 4, "G.2X": 8, "G.4X": 16, "G.8X": 32}
"""Of a worker, by its type. One worker of a run is the driver, which converts nothing."""


@dataclass(frozen=True)
class Code(OfGlue):
    """The scripts and the package that the job runs. Other contents have other keys: what runs now keeps its own."""

    @property
    def name(self) -> str:
        return f"code of the Glue job in {self.place}"

    @property
    def location(self) -> str:
        """The folder it is in."""
        return f"{self.place}/{CODE}{digest()}"

    def read(self) -> Any:
        found = {name: self._found(name) for name in bundle()}
        return {"Location": self.location, "Bytes": found} if all(found.values()) else None

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {"Location": self.location, "Bytes": {name: len(content) for name, content in bundle().items()}}

    def apply(self, wanted: Any) -> None:  # noqa: ARG002
        for name, content in bundle().items():
            tell(self.name, f"upload {name}", self._s3.put_object, **self._at(name), Body=content)

    def _found(self, name: str) -> int | None:
        found = ask(
            self.name, f"look at {name}", self._s3.head_object, absent=(*NOT_FOUND, "NoSuchBucket"), **self._at(name)
        )
        return None if found is None else int(found["ContentLength"])

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": f"{self.place.prefix}{CODE}{digest()}/{name}"}

    @cached_property
    def _s3(self) -> Any:
        return make_client("s3", self.place.access)


@dataclass(frozen=True)
class Job(OfGlue):
    """The conversion job. Its own retries are off: the ledger owns them.

    `workers` of `worker_type` are one run's, `minutes` is how long it may take, `runs` how many may be under way.
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
        found = ask(self.name, "read it", self._client.get_job, absent=ABSENT, JobName=self.job)
        return found and {name: found["Job"].get(name) for name in self.wanted(None)}

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        code = Code(self.place).location
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

    def apply(self, wanted: Any) -> None:
        if self.read() is None:
            tell(self.name, "make it", self._client.create_job, Name=self.job, **wanted)
        else:
            tell(self.name, "change it", self._client.update_job, JobName=self.job, JobUpdate=wanted)
