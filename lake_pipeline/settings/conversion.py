"""Where conversion runs, and with how much memory and how many threads. Glue's job is in `glue`."""

from __future__ import annotations

from pydantic import Field

from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.machine import default_memory_bytes, default_workers
from lake_pipeline.settings.value_types import EngineName, Size, SparkMaster

_OPTIONS = ConversionOptions()


class ConversionSettings(SettingsGroup):
    """Conversion: engine, threads and memory"""

    engine: EngineName = "in_process"
    """Where conversion runs: `in_process`, in tasks of `spark` (docs/spark.md), or in runs of an AWS `glue` job
    (docs/glue.md)."""

    spark_master: SparkMaster = "local[*]"
    """The Spark master for `LAKE_ENGINE=spark`: `local[*]` uses the cores of this machine; or `yarn`,
    `spark://host:7077`."""

    workers: int = Field(default_factory=default_workers, ge=1, le=1024)
    """Threads that convert. The default is a thread per core, and 192 MiB of memory for each: see `LAKE_MEMORY_BYTES`
    for the limit."""

    part_bytes: Size = Field(default=_OPTIONS.part_bytes, ge=1 << 16)
    """The size, in memory, at which a Parquet file is closed and the next one is started."""

    memory_bytes: Size = Field(default_factory=default_memory_bytes, ge=1 << 20)
    """The limit on rows buffered in memory, summed over all open Parquet files. The default depends on the memory that
    the process may use: the least of its control groups' limits, `ulimit -v` and `-d`, and the machine's memory."""
