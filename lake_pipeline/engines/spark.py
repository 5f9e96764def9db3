"""The engine that runs the kernel in Spark tasks: on the cores of this machine, or on a cluster.

Spark sends shards to workers, returns reports, and repeats tasks of dead workers. JSON and Parquet are processed by the
kernel. pyspark is imported only if something is converted.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.engines.java import JavaMissing, launcher, provide_java
from lake_pipeline.engines.sharding.driver import ShardTask, convert_sharded
from lake_pipeline.engines.sharding.shards import Shard
from lake_pipeline.engines.wire import error_from_json, error_to_json
from lake_pipeline.errors import EngineUnavailable, LakeError, Outage, WorkersLost
from lake_pipeline.model.redaction import without_credentials
from lake_pipeline.storage.factory import open_store
from lake_pipeline.storage.location import Location
from lake_pipeline.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

MIN_SHARD_BYTES = 32 << 20
MAX_SHARD_BYTES = 256 << 20
"""Limits for the stored bytes of a shard. Each task has overhead, and each shard writes a Parquet file into every
partition of its rows: fewer shards make fewer and larger files."""

SHARDS_PER_CORE = 2
"""Minimum number of shards per core, unless they become too small, so that all cores finish at about the same time."""

MAX_TASK_ATTEMPTS = "4"
"""How often Spark tries a task whose worker died. In local mode the default is once."""

OUTAGE_TASKS = 2
"""Tasks that an outage ended, each after a few files, until the others are cancelled."""

PROGRESS_SECONDS = 10.0
"""Minimum time between two log lines of progress: every line of a run's log is an event in Dagster's database."""

_POLL_SECONDS = 0.5
_STARTING = threading.Lock()
_LOCAL = re.compile(r"local(?:\[(\*|\d+)(?:,(\d+))?\])?")


class SparkUnavailable(EngineUnavailable):
    """Spark can't be started, or its session ended. It is not the fault of the files in the batch."""


class SparkJobFailed(WorkersLost):
    """Spark gave up a job, because the workers of a task died again and again. A file may be the cause."""


class SparkEngine:
    """See `Engine`. Files are read from and parts are written to `store`, which workers open by its location.

    `master` is a Spark master (`local[*]`, `spark://host:7077`, `yarn`); an active session is used as it is. `folder`
    is for local files of Spark. `shard_bytes` is the size of a shard; None derives it from the batch. `cores` are those
    of all workers, if Spark does not know them yet at the first batch: on Glue they arrive after the driver has
    started.
    """

    name = "spark"

    def __init__(
        self,
        store: ObjectStore,
        *,
        master: str,
        folder: Path,
        java_home: str | None = None,
        shard_bytes: int | None = None,
        cores: int = 0,
    ) -> None:
        self._store = store
        self._master = master
        self._folder = folder
        self._java_home = java_home
        self._shard_bytes = shard_bytes
        self._cores = cores

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        session = self._session()
        run_shards = _SparkRunner(session, self._store.location, request.batch_id)
        shard_bytes = self._shard_bytes
        if shard_bytes is None:
            cores = self._cores or session.sparkContext.defaultParallelism
            even = sum(file.size for file in request.files) // (cores * SHARDS_PER_CORE)
            shard_bytes = min(max(even, MIN_SHARD_BYTES), MAX_SHARD_BYTES)
        return convert_sharded(self._store, request, run_shards, shard_bytes=shard_bytes, on_progress=on_progress)

    def probe(self) -> None:
        self._session()

    def _session(self) -> SparkSession:
        """The active session, or a new one. Raises `SparkUnavailable`."""
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise SparkUnavailable(
                "LAKE_ENGINE=spark needs pyspark, which is not installed: pip install 'lake-pipeline[spark]'"
            ) from error
        active = SparkSession.getActiveSession()
        return active if active is not None else start_session(self._master, self._folder, java_home=self._java_home)


def start_session(master: str, folder: Path, *, java_home: str | None = None) -> SparkSession:
    """A session on `master`, with its local files in `folder`. Raises `SparkUnavailable`.

    `java_home` is the Java that the user chose; see `provide_java` for the others.
    """
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    settings = {
        # Only texts are sent to workers, so neither affects a row; readers in the same session get them.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        # Spark 3 refuses to read days before 1582 otherwise; from 4 on it is the default.
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        "spark.task.maxFailures": MAX_TASK_ATTEMPTS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    local = _LOCAL.fullmatch(master)
    if local:
        master = f"local[{local[1] or 1},{local[2] or MAX_TASK_ATTEMPTS}]"
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
        }
    conf = SparkConf().setAppName("lake_pipeline").setMaster(master).setAll(list(settings.items()))
    try:
        with _STARTING:
            _start_jvm(conf, provide_java(java_home, folder / "java"), folder / "java")
            session: SparkSession = SparkSession.builder.config(conf=conf).getOrCreate()
    except JavaMissing as error:
        raise SparkUnavailable(str(error)) from error
    except Exception as error:
        raise SparkUnavailable(
            without_credentials(f"Spark can't be started on {master} (LAKE_SPARK_MASTER): {_first_line(error)}")
        ) from error
    if local:
        # The workers are children of this process and need its packages. Spark reads `spark.pyspark.python` only if
        # spark-submit starts the driver.
        session.sparkContext.pythonExec = sys.executable
    # Its warnings repeat what the errors and figures here report.
    session.sparkContext.setLogLevel("ERROR")
    return session


def _start_jvm(conf: SparkConf, java_home: Path | None, folder: Path) -> None:
    """Start the JVM of this process, unless it runs already; the sessions that follow use it.

    Spark has no setting for the Java of its driver. It looks at JAVA_HOME of the process that it starts. pyspark would
    pass on the whole environment of this process, the URL of the ledger included.
    """
    from pyspark import SparkContext
    from pyspark.find_spark_home import _find_spark_home
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is not None:
        return
    spark_home = Path(_find_spark_home())  # type: ignore[no-untyped-call]
    script = launcher(spark_home / "bin" / "spark-submit", java_home, folder)
    gateway = launch_gateway(conf, popen_kwargs={"executable": str(script)})  # type: ignore[no-untyped-call]
    SparkContext(conf=conf, gateway=gateway)


@dataclass(frozen=True)
class _SparkRunner:
    """See `ShardRunner`."""

    session: SparkSession
    location: Location
    batch_id: str

    def __call__(
        self,
        task: ShardTask,
        request: ConversionRequest,
        shards: Sequence[Shard],
        *,
        activity: str,
        on_progress: Progress | None = None,
    ) -> list[Any]:
        context = self.session.sparkContext
        context.setJobGroup(self.batch_id, f"{activity} of batch {self.batch_id}")
        done = _DoneCounters(context)
        # Texts, not a DataFrame: before its first row, Spark needs 3 s more (docs/decisions/0021).
        tasks = context.parallelize([shard.to_json() for shard in shards], len(shards)).mapPartitions(
            partial(_run_task, task, self.location, _task_request(request), done.add)
        )
        with self._watched(done, len(shards), activity, on_progress):
            try:
                answers = tasks.collect()
            except BaseException as error:
                context.cancelJobGroup(self.batch_id)
                if not isinstance(error, Exception):
                    raise
                if done.outages:
                    raise error_from_json(done.outages[0]) from error
                kind = SparkUnavailable if _has_ended(context) else SparkJobFailed
                raise kind(f"Spark failed at {activity} of batch {self.batch_id}: {_cause(error)}") from error
        results = dict(map(json.loads, answers))
        return [results[shard.number] for shard in shards]

    @contextmanager
    def _watched(self, done: _DoneCounters, tasks: int, activity: str, on_progress: Progress | None) -> Iterator[None]:
        """Report progress from a separate thread until the block ends."""
        stop = threading.Event()
        arguments = (done, tasks, activity, on_progress, stop)
        watch = threading.Thread(target=self._watch, args=arguments, name=f"spark-{self.batch_id}", daemon=True)
        watch.start()
        try:
            yield
        finally:
            stop.set()
            watch.join()

    def _watch(
        self, done: _DoneCounters, tasks: int, activity: str, on_progress: Progress | None, stop: threading.Event
    ) -> None:
        started = last_line = time.monotonic()
        is_over = False
        while not is_over:
            is_over = stop.wait(_POLL_SECONDS)
            now = time.monotonic()
            if on_progress and done.size:
                on_progress(done.files, done.size)
            if len(done.outages) >= OUTAGE_TASKS:
                self.session.sparkContext.cancelJobGroup(self.batch_id)
            if is_over or now - last_line >= PROGRESS_SECONDS:
                last_line = now
                rate = done.size / 1e6 / max(now - started, 1e-3)
                log.info(
                    "Batch %s: %s, %d of %d tasks done, %.0f MB/s", self.batch_id, activity, done.tasks, tasks, rate
                )


class _DoneCounters:
    """Sums over successful tasks, kept by Spark."""

    def __init__(self, context: Any) -> None:
        self._tasks, self._files, self._size = (context.accumulator(0) for _ in range(3))
        self._outages = context.accumulator([], _joined_lists())

    @property
    def tasks(self) -> int:
        return int(self._tasks.value)

    @property
    def files(self) -> int:
        return int(self._files.value)

    @property
    def size(self) -> int:
        return int(self._size.value)

    @property
    def outages(self) -> list[dict[str, str]]:
        """The outages that ended tasks, as JSON objects."""
        return list(self._outages.value)

    def add(self, shard: Shard, answer: Any) -> None:
        """Count a shard, in its task."""
        error = answer.get("error") if isinstance(answer, dict) else None
        if error and isinstance(error_from_json(error), Outage):
            self._outages.add([error])
        self._tasks.add(1)
        self._files.add(shard.files_ended)
        self._size.add(shard.size)


def _joined_lists() -> Any:
    """The rule of an accumulator whose values are lists."""
    from pyspark.accumulators import AccumulatorParam

    class Joined(AccumulatorParam):  # type: ignore[type-arg]
        def zero(self, value: list[Any]) -> list[Any]:  # noqa: ARG002
            return []

        def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:  # noqa: N802
            return [*value1, *value2]

    return Joined()


def _task_request(request: ConversionRequest) -> ConversionRequest:
    """The request for a task: it has one core, and values derived from the contract are derived again there."""
    assert request.contract is not None
    return replace(request, contract=replace(request.contract), options=replace(request.options, workers=1))


def _run_task(
    task: ShardTask,
    location: Location,
    request: ConversionRequest,
    done: Callable[[Shard, Any], None],
    texts: Iterable[str],
) -> Iterator[str]:
    """A task: its shards, one after the other."""
    for shard in map(Shard.from_json, texts):
        try:
            answer = task(_store(location), request, shard)
        except LakeError as error:
            # The machine of this task can't open the store, for example. Another attempt there would fail as well.
            answer = {"error": error_to_json(error)}
        done(shard, answer)
        yield json.dumps([shard.number, answer])


@lru_cache(maxsize=4)
def _store(location: Location) -> ObjectStore:
    """Reused by a worker from task to task: creating an AWS client takes a third of a second."""
    return open_store(location)


def _has_ended(context: Any) -> bool:
    """Whether the session is over: its master or its JVM is gone, whatever the files."""
    try:
        return context._jsc is None or bool(context._jsc.sc().isStopped())
    except Exception:
        return True  # the JVM does not answer


def _cause(error: Exception) -> str:
    """The useful line of a Spark error: the first one is Spark's own, the cause comes below."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if re.match(r"[\w.]*(?:Error|Exception)\b.*: ", line)]
    return (causes or lines or [type(error).__name__])[-1]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
