"""The tables of a query: pyarrow datasets over published files, in a directory or a bucket, that DuckDB scans.

The columns come from the contract and partition columns from the paths, so footers are not needed for them. Files of
excluded partitions are never opened. DuckDB itself would read every footer to get the columns, and needs an
extension from the internet to read a bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from lake_pipeline.consume.curated_files import PARTITION_SCHEMA
from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.output.writer import QUARANTINE_SCHEMA
from lake_pipeline.storage.location import DirectoryLocation, S3Location
from lake_pipeline.storage.object_store import ObjectStore
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
    """Register a table for each list of keys; the curated one only if it has files, as its columns come from them."""
    files = _filesystem(store)
    if curated:
        schema = pa.schema([*(contract.arrow_schema() if contract else ()), *PARTITION_SCHEMA])
        hive = ds.partitioning(PARTITION_SCHEMA, flavor="hive")
        connection.register(CURATED_NAME, _dataset(files, curated, schema, hive))
    # Most lakes have nothing in quarantine, and the question has an answer there, too.
    connection.register(QUARANTINE_NAME, _dataset(files, quarantine, QUARANTINE_SCHEMA, None))


def _dataset(files: fs.FileSystem, keys: Sequence[str], schema: pa.Schema, partitioning: Any) -> ds.Dataset:
    """With the schema given, no file is opened before a query needs its rows."""
    return ds.dataset(list(keys), schema=schema, format="parquet", filesystem=files, partitioning=partitioning)


def _filesystem(store: ObjectStore) -> fs.FileSystem:
    """A file system with keys as paths."""
    match store.location:
        case DirectoryLocation(path=path):
            return fs.SubTreeFileSystem(path, fs.LocalFileSystem())
        case S3Location() as location:
            # Loads the AWS SDK, which is not needed for a directory.
            from lake_pipeline.storage.s3.arrow import arrow_filesystem

            return arrow_filesystem(location)
        case other:
            assert_never(other)
