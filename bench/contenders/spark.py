"""Plain Spark: its own JSON reader with inference, a select, its own Parquet writer. Starting it is not counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from bench.task import PARTITIONS, Account, Contender, Run, Task, column
from lake_pipeline.engines.java import provide_java

OUTPUT = "spark"
CORRUPT = "_corrupt_record"
MEMORY = "4g"


def prepare(task: Task) -> Run:
    if java_home := provide_java(os.environ.get("JAVA_HOME"), task.work / "java"):
        os.environ["JAVA_HOME"] = str(java_home)
    from pyspark.sql import SparkSession

    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.memory": MEMORY,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(task.work / "spark-local"),
        "spark.sql.warehouse.dir": str(task.work / "spark-warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    session = SparkSession.builder.master(f"local[{task.cores}]").config(map=settings).getOrCreate()

    def run() -> Account:
        from pyspark.sql import functions as f

        read = session.read.json(task.paths)
        if CORRUPT in read.columns:
            read = read.where(f.col(CORRUPT).isNull())
        leaves = [path for path in _leaves(read.schema) if path != (CORRUPT,)]
        flat = read.select(
            *(f.col(".".join(f"`{key}`" for key in path)).alias(column(path)) for path in leaves),
            *(f.substring("event_time", at, length).alias(name) for name, (at, length) in PARTITIONS.items()),
            f.col("mode"),
        )
        # Otherwise every task writes a file into every partition: 1,344 files from 750 small ones, in twice the time.
        writer = flat.coalesce(task.cores).write.option("compression", "zstd").partitionBy(*PARTITIONS, "mode")
        writer.parquet(str(task.work / OUTPUT))
        return Account(folder=OUTPUT)

    return run


def _leaves(schema: Any) -> Iterator[tuple[str, ...]]:
    for field in schema.fields:
        if field.dataType.typeName() == "struct":
            yield from ((field.name, *rest) for rest in _leaves(field.dataType))
        else:
            yield (field.name,)


CONTENDER = Contender(
    name="spark",
    title="Plain Spark",
    packages=("pyspark",),
    prepare=prepare,
    rounds=1,
    does=f"""\
- `spark.read.json(files)` with inference, and a `select` of every leaf of every struct.
- `coalesce(cores)`, because without it there are thousands of output files.
- `write.option("compression", "zstd").partitionBy(…).parquet(…)`.

Local mode, one thread per core, {MEMORY} for the driver, defaults otherwise.
Starting the session is reported as the start, not as conversion.
On dirty records the default mode (PERMISSIVE), and rows with a `{CORRUPT}` are filtered.""",
    omits="Validation of dates (they are cut out of the text), provenance, quarantine, account.",
)
