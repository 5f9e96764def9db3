"""The curated table as a DataFrame of Spark: on this machine, on EMR and in Glue.

Spark is told the schema and exactly the files, so it lists nothing, infers nothing, and reads no file of another day or
mode. A session is the caller's; nothing here starts one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial, reduce
from typing import TYPE_CHECKING

from lake_pipeline.consume.files import CuratedFiles, FileVersion
from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.lake import REQUESTS_AT_ONCE, Lake
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import Place, S3Place
from lake_pipeline.storage.zones import CURATED, RETAINED, retained_key

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
    """Days from `first` to `last`, both included, of some `modes`, with the contract's schema; or a `snapshot`.

    `scheme` is that of the file system which Spark reads a bucket with: `s3` on EMR and in Glue, `s3a` elsewhere.
    Raises `PermanentError` for a snapshot or a column that is not there, and where the selection finds nothing.
    """
    selection = Selection.of(first=first, last=last, modes=modes)
    if snapshot is None:
        files = CuratedFiles.of_selection(lake, selection)
    else:
        files = CuratedFiles.of_snapshot(lake, snapshot).within(selection)
    if columns is not None:
        files = files.with_columns(columns)
    if not files.versions:
        raise PermanentError("Nothing is published of this selection.")
    return _frame(spark, files, scheme)


def _frame(spark: SparkSession, files: CuratedFiles, scheme: str) -> DataFrame:
    from pyspark.sql import DataFrame
    from pyspark.sql.pandas.types import from_arrow_schema

    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="find") as pool:
        keys = list(pool.map(partial(_key, files.store), files.versions))
    root = _root(files.place, scheme)
    frames = [
        spark.read.schema(from_arrow_schema(files.schema))
        .option("basePath", root + zone)
        .parquet(*(root + key for key in keys if key.startswith(zone)))
        for zone in (CURATED, RETAINED)
        if any(key.startswith(zone) for key in keys)
    ]
    return reduce(DataFrame.unionByName, frames).select(*files.columns)


def _key(store: ObjectStore, version: FileVersion) -> str:
    """Where the version stands now."""
    found = store.stat(version.key)
    return version.key if found and found.etag == version.etag else retained_key(version.key, version.etag)


def _root(place: Place, scheme: str) -> str:
    """The lake as Spark writes it, ending in a slash."""
    if isinstance(place, S3Place):
        return f"{scheme}://{place.bucket}/{place.prefix}"
    return f"file://{place.path}/"
