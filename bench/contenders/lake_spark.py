"""This project's engine on Spark: the session of plain Spark, the kernel in its tasks. Starting it is not counted."""

from __future__ import annotations

from bench.contenders.lake import on_engine
from bench.contenders.spark import MEMORY
from bench.task import Contender, Run, Task


def prepare(task: Task) -> Run:
    import os

    from lake_pipeline.convert.spark import SparkEngine, start_session

    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {MEMORY} pyspark-shell"
    master = f"local[{task.cores}]"
    start_session(master, task.work / "spark")
    return on_engine(task, lambda store: SparkEngine(store, master=master, folder=task.work / "spark"))


CONTENDER = Contender(
    name="lake_spark",
    title="lake_pipeline on Spark",
    packages=("pyspark", "pyarrow", "numpy", "orjson"),
    prepare=prepare,
    rounds=3,
    does=f"""\
The engine of `LAKE_ENGINE=spark` in local mode with as many tasks at a time as there are cores and {MEMORY} for the
driver. Counting the records of large files is in the measured time, and so is what worker processes need to begin.""",
    spared="The ledger: claims, the manifest in PostgreSQL, the archive.",
)
