"""Cost estimate: the workers, hours, requests and money that converting a backlog on Glue takes. Arithmetic only.

docs/scale.md says where the figures come from and what they leave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from lake_pipeline.engines.sharding.shards import FILE_OVERHEAD_BYTES
from lake_pipeline.engines.spark import MAX_SHARD_BYTES

CORE_BYTES_A_SECOND = 100_000_000
"""JSON that one core converts in Spark tasks, including the start of its workers (`make bench-spark`)."""

START_SECONDS = 120.0
"""Until a Glue run starts to convert: its workers start, pip installs. Not measured on AWS."""

REQUESTS_OF_A_FILE = 5
"""1 to read it, 4 to archive it (docs/s3.md)."""

REQUESTS_OF_A_PART = 3
"""To write a Parquet file and make it visible."""

DOLLARS_OF_A_UNIT = 0.44
"""An hour of one data processing unit, which is 4 cores; us-east-1."""

DOLLARS_OF_A_FILE = 0.0062 / 1000
DOLLARS_OF_A_PART = 3 * 0.005 / 1000


@dataclass(frozen=True, kw_only=True)
class Workers:
    """`runs` at a time, each with `workers` of `cores` cores; one of the workers is the driver."""

    runs: int
    workers: int
    cores: int

    @property
    def converting(self) -> int:
        """Cores of one run that convert."""
        return (self.workers - 1) * self.cores


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """`files` of `bytes` as stored, `unpacked` bytes of JSON, in `batches`, each of them one Glue run.

    `starting_share` is the ratio of the time that runs take to start.
    """

    files: int
    bytes: int
    unpacked: int
    batches: int
    core_hours: float
    hours: float
    worker_hours: float
    requests: int
    dollars: float
    starting_share: float


def plan(
    files: int, size: int, workers: Workers, *, batch_files: int, batch_bytes: int, unpacked: float = 1.0
) -> CostEstimate:
    """The estimate for `files` of `size` bytes as stored. `unpacked` is how many bytes of JSON one stored byte becomes.

    A file counts as at least 256 KiB, as in sharding.
    """
    json_bytes = round(size * unpacked)
    batches = max(ceil(files / batch_files), ceil(size / batch_bytes))
    core_seconds = max(json_bytes, files * FILE_OVERHEAD_BYTES) / CORE_BYTES_A_SECOND
    seconds = core_seconds / workers.converting + batches * START_SECONDS
    worker_hours = seconds / 3600 * workers.workers
    parts = ceil(size / MAX_SHARD_BYTES)
    requests = files * REQUESTS_OF_A_FILE + parts * REQUESTS_OF_A_PART
    money = worker_hours * workers.cores / 4 * DOLLARS_OF_A_UNIT
    return CostEstimate(
        files=files,
        bytes=size,
        unpacked=json_bytes,
        batches=batches,
        core_hours=core_seconds / 3600,
        hours=seconds / 3600 / min(workers.runs, max(batches, 1)),
        worker_hours=worker_hours,
        requests=requests,
        dollars=money + files * DOLLARS_OF_A_FILE + parts * DOLLARS_OF_A_PART,
        starting_share=batches * START_SECONDS / seconds if seconds else 0.0,
    )
