"""The tables of a query: datasets of pyarrow over published files, in a directory or in a bucket, that DuckDB scans.

The columns are the contract's and partition columns come from the paths, so neither is looked up in files, and those of
partitions that a query leaves out are never opened. DuckDB itself would read every footer to know the columns, and
can't read a bucket without an extension from the internet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from lake_pipeline.consume.files import PARTITION_SCHEMA
from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.output import QUARANTINE_SCHEMA
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import DirectoryPlace, S3Place
from lake_pipeline.storage.zones import CURATED_NAME

QUARANTINE_NAME = "quarantine"


def make_tables(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    *,
    contract: Contract | None,
    curated: Sequence[str],
    quarantine: Sequence[str],
) -> None:
    """Tables over the objects with these keys; none for what has no objects."""
    files = _filesystem(store)
    if curated:
        schema = pa.schema([*(contract.arrow_schema() if contract else ()), *PARTITION_SCHEMA])
        hive = ds.partitioning(PARTITION_SCHEMA, flavor="hive")
        connection.register(CURATED_NAME, _dataset(files, curated, schema, hive))
    if quarantine:
        connection.register(QUARANTINE_NAME, _dataset(files, quarantine, QUARANTINE_SCHEMA, None))


def _dataset(files: fs.FileSystem, keys: Sequence[str], schema: pa.Schema, partitioning: Any) -> ds.Dataset:
    """The schema is known, so no file is opened before a query needs its rows."""
    return ds.dataset(list(keys), schema=schema, format="parquet", filesystem=files, partitioning=partitioning)


def _filesystem(store: ObjectStore) -> fs.FileSystem:
    """A file system whose paths are the keys."""
    match store.place:
        case DirectoryPlace(path=path):
            return fs.SubTreeFileSystem(path, fs.LocalFileSystem())
        case S3Place() as place:
            # Loads the AWS SDK, which a query over a directory does without.
            from lake_pipeline.storage.s3_arrow import arrow_filesystem

            return arrow_filesystem(place)
        case other:
            assert_never(other)
