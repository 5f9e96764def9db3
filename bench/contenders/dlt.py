"""dlt: its filesystem source and destination, Parquet as the file format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from bench.task import Account, Contender, Run, Task

OUTPUT = "dlt"
DATASET = "lake"
TABLE = "events"
CHUNK = 5000


def prepare(task: Task) -> Run:
    os.environ |= {
        # Files of this many rows are what its normalizing processes share among themselves.
        "DATA_WRITER__FILE_MAX_ITEMS": "20000",
        "NORMALIZE__WORKERS": str(task.cores),
        "NORMALIZE__DATA_WRITER__COMPRESSION": "zstd",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    import dlt
    from dlt.sources.filesystem import filesystem, read_jsonl

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(task.work / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=(task.work / OUTPUT).as_uri()),
        dataset_name=DATASET,
    )
    reader = dlt.transformer(_sound_lines, name="sound_lines") if task.dirty else read_jsonl(chunksize=CHUNK)

    def run() -> Account:
        files = filesystem(bucket_url=task.raw.resolve().as_uri(), file_glob="*.json*")
        rows = (files | reader).with_name(TABLE)
        rows.apply_hints(columns={"items": {"data_type": "json"}, "labels": {"data_type": "json"}})
        pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()
        return Account(folder=f"{OUTPUT}/{DATASET}/{TABLE}")

    return run


def _sound_lines(items: Iterable[Any]) -> Iterator[list[Any]]:
    """What `read_jsonl` does, leaving out lines that are not JSON, which end it."""
    from dlt.common import json as dlt_json

    chunk: list[Any] = []
    for item in items:
        with item.open() as stream:
            for line in stream:
                try:
                    chunk.append(dlt_json.loadb(line))
                except (ValueError, json.JSONDecodeError):
                    continue
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = []
    if chunk:
        yield chunk


CONTENDER = Contender(
    name="dlt",
    title="dlt",
    packages=("dlt",),
    prepare=prepare,
    rounds=1,
    does=f"""\
`filesystem(…) | read_jsonl(chunksize={CHUNK})` into the `filesystem` destination with
`loader_file_format="parquet"` and `compression = zstd`, one normalizing process for each core and files rotated every
20,000 rows so that all of them have work. dlt flattens objects by itself. On dirty records the reader is replaced by
one that leaves out lines that are not JSON, because `read_jsonl` ends at the first.""",
    spared="""\
Lists stay JSON text (a hint) instead of becoming tables of their own. The destination can't lay rows out by their
values, so there are no partitions. No quarantine, and no account of what was left out.""",
)
