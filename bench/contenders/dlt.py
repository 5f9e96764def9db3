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
CHUNK_LINES = 5000


def prepare(task: Task) -> Run:
    os.environ |= {
        # Its normalizing processes share the work in files of this many rows.
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
    reader = dlt.transformer(_valid_lines, name="valid_lines") if task.dirty else read_jsonl(chunksize=CHUNK_LINES)

    def run() -> Account:
        files = filesystem(bucket_url=task.raw.resolve().as_uri(), file_glob="*.json*")
        rows = (files | reader).with_name(TABLE)
        rows.apply_hints(columns={"items": {"data_type": "json"}, "labels": {"data_type": "json"}})
        pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()
        return Account(folder=f"{OUTPUT}/{DATASET}/{TABLE}")

    return run


def _valid_lines(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Like `read_jsonl`, but skips lines that are not JSON instead of failing."""
    from dlt.common import json as dlt_json

    chunk: list[Any] = []
    for item in items:
        with item.open() as stream:
            for line in stream:
                try:
                    chunk.append(dlt_json.loadb(line))
                except (ValueError, json.JSONDecodeError):
                    continue
                if len(chunk) == CHUNK_LINES:
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
- `filesystem(…) | read_jsonl(chunksize={CHUNK_LINES})` into the `filesystem` destination.
- `loader_file_format="parquet"` and `compression = zstd`.
- One normalizing process for each core, and files rotated every 20,000 rows, so that all of them have work.

dlt flattens objects itself. On dirty records another reader skips lines that are not JSON, because
`read_jsonl` fails at the first.""",
    omits="""\
Partitions (the destination can't partition rows by their values), tables of lists (a hint keeps them as JSON
text), quarantine, account of skipped records.""",
)
