"""The curated table as a Spark DataFrame: on this machine, on EMR and in Glue.

Spark gets the schema and the exact list of files, so it lists nothing, infers nothing, and reads no file of another day
or mode. The caller provides the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial, reduce
from typing import TYPE_CHECKING

from lake_pipeline.consume.curated_files import CuratedFiles, FileVersion
from lake_pipeline.errors import PermanentError
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.location import Location, S3Location
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS, ObjectStore
from lake_pipeline.storage.zones import CURATED, RETAINED, retained_key
from lake_pipeline.usecases.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_curated(
    spark: SparkSession,
    lake: Lake,
    *,
    first: date | str | None = None,
    last: date | str | None = None,
    modes: Iterable[str] | None = None,
    columns: Sequence[str] | None = None,
    snapshot: str | None = None,
    scheme: str = "s3",
) -> DataFrame:
    """Days from `first` to `last`, inclusive, of some `modes`, with the contract's schema; or a `snapshot`.

    `scheme` is the URL scheme with which Spark reads a bucket: `s3` on EMR and in Glue, `s3a` elsewhere.
    Raises `PermanentError` if the snapshot or a column does not exist, and if nothing matches the selection.
    """
    selection = Selection.of(first=first, last=last, modes=modes)
    if snapshot is None:
        files = CuratedFiles.of_selection(lake, selection)
    else:
        files = CuratedFiles.of_snapshot(lake, snapshot).within(selection)
    if columns is not None:
        files = files.with_columns(columns)
    if not files.versions:
        raise PermanentError("No published files match this selection.")
    return _frame(spark, files, scheme)


def _frame(spark: SparkSession, files: CuratedFiles, scheme: str) -> DataFrame:
    from pyspark.sql import DataFrame
    from pyspark.sql.pandas.types import from_arrow_schema

    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="find") as pool:
        keys = list(pool.map(partial(_key, files.store), files.versions))
    root = _root(files.location, scheme)
    frames = [
        spark.read.schema(from_arrow_schema(files.schema))
        .option("basePath", root + zone)
        .parquet(*(root + key for key in keys if key.startswith(zone)))
        for zone in (CURATED, RETAINED)
        if any(key.startswith(zone) for key in keys)
    ]
    return reduce(DataFrame.unionByName, frames).select(*files.columns)


def _key(store: ObjectStore, version: FileVersion) -> str:
    """The current key of the version."""
    info = store.stat(version.key)
    return version.key if info and info.etag == version.etag else retained_key(version.key, version.etag)


def _root(location: Location, scheme: str) -> str:
    """The root of the lake as a URL for Spark, ending in a slash."""
    if isinstance(location, S3Location):
        return f"{scheme}://{location.bucket}/{location.prefix}"
    return f"file://{location.path}/"
