"""The lakes to read: one as the kernel writes it, by day and mode, and one with the same rows in one file per day."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bench.contenders.lake import prepare
from bench.datasets import LINES, generated
from bench.task import Task
from lake_pipeline.consume.curated_files import PARTITION_SCHEMA, CuratedFiles, FileVersion
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import CURATED, curated_key

GROUP_ROWS = 131_072

MODE = "all"


def make_lake(folder: Path, raw_bytes: int, cores: int) -> Path:
    """A lake made of `raw_bytes` of JSON by the kernel."""
    raw, _ = generated(LINES, raw_bytes, folder)
    lake = folder / f"readers-{raw_bytes}"
    if not (lake / CURATED).exists():
        lake.mkdir(parents=True, exist_ok=True)
        prepare(Task(raw=raw, work=lake, dirty=False, cores=cores))()
    return lake


def make_large(lake: Path) -> Path:
    """The same rows with one file for each day."""
    large = lake.with_name(f"{lake.name}-large")
    if large.exists():
        return large
    store = DirectoryStore(large)
    files = curated_files(lake)
    for day in sorted({version.partition.day for version in files.versions}):
        paths = [str(lake / version.key) for version in files.versions if version.partition.day == day]
        path = store.path(curated_key(PartitionKey(day, MODE), "part.parquet"))
        path.parent.mkdir(parents=True)
        table = ds.dataset(paths, format="parquet").to_table()
        pq.write_table(table, path, compression="zstd", row_group_size=GROUP_ROWS)
    return large


def curated_files(lake: Path) -> CuratedFiles:
    """The files of a lake without a ledger: all files were published."""
    store = DirectoryStore(lake)
    versions = []
    for info in sorted(store.objects(CURATED), key=lambda listed: listed.key):
        rows = pq.read_metadata(store.path(info.key)).num_rows
        versions.append(FileVersion(info.key, info.etag, rows, PartitionKey.of_path(info.key)))
    stored = ds.dataset([str(store.path(version.key)) for version in versions[:1]], format="parquet").schema
    schema = stored.remove_metadata()
    for field in PARTITION_SCHEMA:
        schema = schema.append(field)
    return CuratedFiles(store.location, tuple(versions), schema, tuple(stored.names))
