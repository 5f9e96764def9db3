"""This project's engine on Spark, with the session of plain Spark. Starting the session is not counted."""

from __future__ import annotations

from bench.contenders.lake import on_engine
from bench.contenders.spark import MEMORY
from bench.task import Contender, Run, Task


def prepare(task: Task) -> Run:
    import os

    from lake_pipeline.engines.spark import SparkEngine, start_session

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
driver. The measured time includes counting the records of large files and starting the worker processes.""",
    omits="The ledger (claims and the manifest in PostgreSQL) and the archive.",
)
