"""The tables of a query: views of DuckDB over published files, in a directory or in a bucket.

Partition columns come from the paths, and the files of other partitions are skipped by them. DuckDB reads a directory
itself. It can't read a bucket without an extension from the internet, so pyarrow reads that for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.output import QUARANTINE_SCHEMA
from lake_pipeline.errors import PermanentError
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.zones import CURATED_NAME

QUARANTINE_NAME = "quarantine"

# The files travel as a variable: a path may hold any character, and there may be a hundred thousand of them.
_CURATED_VIEW = f"""
    CREATE VIEW {CURATED_NAME} AS
    SELECT * EXCLUDE (year, month, day, mode), year, month, day, mode
    FROM read_parquet(
        getvariable('curated_files'), union_by_name = true, hive_partitioning = true,
        hive_types = {{'year': INT, 'month': INT, 'day': INT, 'mode': VARCHAR}}
    )
"""
_QUARANTINE_VIEW = f"""
    CREATE VIEW {QUARANTINE_NAME} AS
    SELECT * FROM read_parquet(getvariable('quarantine_files'), union_by_name = true, hive_partitioning = false)
"""

_PARTITION = pa.schema([("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()), ("mode", pa.string())])


def make_tables(
    connection: duckdb.DuckDBPyConnection,
    store: ObjectStore,
    *,
    contract: Contract | None,
    curated: Sequence[str],
    quarantine: Sequence[str],
) -> None:
    """Views over the objects with these keys; none for what has no objects."""
    if isinstance(store, DirectoryStore):
        _over_files(connection, "curated_files", [str(store.path(key)) for key in curated], _CURATED_VIEW)
        _over_files(connection, "quarantine_files", [str(store.path(key)) for key in quarantine], _QUARANTINE_VIEW)
    elif isinstance(store.place, S3Place):
        schema = contract.arrow_schema() if contract else pa.schema([])
        _over_bucket(connection, CURATED_NAME, store.place, curated, _with_partition(schema), hive=True)
        _over_bucket(connection, QUARANTINE_NAME, store.place, quarantine, QUARANTINE_SCHEMA, hive=False)
    else:
        raise PermanentError(f"`lake query` can't read {store.uri}.")


def _over_files(connection: duckdb.DuckDBPyConnection, variable: str, paths: list[str], view: str) -> None:
    if paths:
        connection.execute(f"SET VARIABLE {variable} = ?", [paths])
        connection.execute(view)


def _over_bucket(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    place: S3Place,
    keys: Sequence[str],
    schema: pa.Schema,
    *,
    hive: bool,
) -> None:
    if not keys:
        return
    # Loads the AWS SDK, which a query over a directory does without.
    from lake_pipeline.storage.s3_arrow import arrow_filesystem

    partitioning = ds.partitioning(_PARTITION, flavor="hive") if hive else None
    dataset = ds.dataset(
        list(keys), schema=schema, format="parquet", filesystem=arrow_filesystem(place), partitioning=partitioning
    )
    connection.register(name, dataset)


def _with_partition(schema: pa.Schema) -> pa.Schema:
    return pa.schema([*schema, *_PARTITION])
