"""The engine that spreads the kernel over Spark tasks: on the cores of this machine, or on a cluster.

Spark moves shares to workers and reports back, and does again what died; JSON and Parquet are the kernel's own. This is
the only module that imports pyspark, and only when something is converted.
"""

from __future__ import annotations

import json
import logging
import os
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

from lake_pipeline.convert.java import JavaMissing, provide_java
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.convert.shares import Share
from lake_pipeline.convert.sharing import Work, convert_shared
from lake_pipeline.errors import TransientError
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.opening import open_store
from lake_pipeline.storage.places import Place

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

LEAST_SHARE = 32 << 20
MOST_SHARE = 256 << 20
"""Bytes of a share, as stored. A task costs something beside its work, and each share writes a Parquet file into
every partition that it has rows of: fewer shares make fewer and larger files."""

SHARES_OF_A_CORE = 2
"""Shares there are for each core at least, where they don't get too small: the last ones then end at about the same
time."""

ATTEMPTS = "4"
"""How often Spark tries a task whose worker died. In local mode it would try once."""

PROGRESS_SECONDS = 10.0
"""How often the log tells how far it is: every line of a run's log is an event in Dagster's database."""

_LOOK_SECONDS = 0.5
_LOCAL = re.compile(r"local(?:\[(\*|\d+)(?:,(\d+))?\])?")


class SparkUnavailable(TransientError):
    """Spark can't be started, or a job of it failed as a whole. Nothing is wrong with the files that met it."""


class SparkEngine:
    """See `Engine`. Files are read from and parts are written to `store`, which workers open by its place.

    `master` is what Spark takes for one (`local[*]`, `spark://host:7077`, `yarn`); a session that is active already is
    used as it is. `folder` is for what Spark keeps on this machine. `share_bytes` is the size of a share, where it is
    not to follow from the batch. `cores` are those of all workers, where Spark does not know them yet when the first
    batch is cut: on Glue they come while the driver is at work already.
    """

    name = "spark"

    def __init__(
        self, store: ObjectStore, *, master: str, folder: Path, share_bytes: int | None = None, cores: int = 0
    ) -> None:
        self._store = store
        self._master = master
        self._folder = folder
        self._share_bytes = share_bytes
        self._cores = cores

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        session = self._session()
        spread = _Spread(session, self._store.place, request.batch_id)
        share_bytes = self._share_bytes
        if share_bytes is None:
            cores = self._cores or session.sparkContext.defaultParallelism
            even = sum(file.size for file in request.files) // (cores * SHARES_OF_A_CORE)
            share_bytes = min(max(even, LEAST_SHARE), MOST_SHARE)
        return convert_shared(self._store, request, spread, share_bytes=share_bytes, on_progress=on_progress)

    def _session(self) -> SparkSession:
        """The active session, or a new one. Raises `SparkUnavailable`."""
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise SparkUnavailable(
                "LAKE_ENGINE=spark needs pyspark, which is not installed: pip install 'lake-pipeline[spark]'"
            ) from error
        active = SparkSession.getActiveSession()
        return active if active is not None else start_session(self._master, self._folder)


def start_session(master: str, folder: Path) -> SparkSession:
    """A session on `master` with what it keeps on this machine in `folder`. Raises `SparkUnavailable`."""
    from pyspark.sql import SparkSession

    settings: dict[str, bool | float | int | str | None] = {
        # Only texts travel, so that neither decides about a row; they are what readers in the same session get.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        # Spark 3 refuses to read days before 1582 otherwise; from 4 on it is the default.
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        "spark.task.maxFailures": ATTEMPTS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if local := _LOCAL.fullmatch(master):
        master = f"local[{local[1] or 1},{local[2] or ATTEMPTS}]"
        # The workers are children of this process and must have its packages.
        os.environ["PYSPARK_PYTHON"] = sys.executable
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
        }
    try:
        provide_java(folder / "java")
        builder = SparkSession.builder.appName("lake_pipeline").master(master).config(map=settings)
        session: SparkSession = builder.getOrCreate()
    except JavaMissing as error:
        raise SparkUnavailable(str(error)) from error
    except Exception as error:
        raise SparkUnavailable(
            f"Spark can't be started on {master} (LAKE_SPARK_MASTER): {_first_line(error)}"
        ) from error
    # What it warns of is told by the errors and figures here.
    session.sparkContext.setLogLevel("ERROR")
    return session


@dataclass(frozen=True)
class _Spread:
    """See `Spread`."""

    session: SparkSession
    place: Place
    batch_id: str

    def __call__(
        self,
        work: Work,
        request: ConversionRequest,
        shares: Sequence[Share],
        *,
        doing: str,
        on_progress: Progress | None = None,
    ) -> list[Any]:
        context = self.session.sparkContext
        context.setJobGroup(self.batch_id, f"{doing} of batch {self.batch_id}")
        done = _Done(context)
        # Texts and no frame: before the first row of one, Spark needs 3 s more (docs/decisions/0021).
        tasks = context.parallelize([share.to_json() for share in shares], len(shares)).mapPartitions(
            partial(_work_on, work, self.place, _of_a_task(request), done.add)
        )
        with self._watched(done, len(shares), doing, on_progress):
            try:
                answers = tasks.collect()
            except BaseException as error:
                context.cancelJobGroup(self.batch_id)
                if not isinstance(error, Exception):
                    raise
                raise SparkUnavailable(f"Spark gave up on {doing} of batch {self.batch_id}: {_cause(error)}") from error
        found = dict(map(json.loads, answers))
        return [found[share.number] for share in shares]

    @contextmanager
    def _watched(self, done: _Done, tasks: int, doing: str, on_progress: Progress | None) -> Iterator[None]:
        """Tell how far it is, from a thread of its own, until the block ends."""
        stop = threading.Event()
        arguments = (done, tasks, doing, on_progress, stop)
        watch = threading.Thread(target=self._watch, args=arguments, name=f"spark-{self.batch_id}", daemon=True)
        watch.start()
        try:
            yield
        finally:
            stop.set()
            watch.join()

    def _watch(self, done: _Done, tasks: int, doing: str, on_progress: Progress | None, stop: threading.Event) -> None:
        started = told = time.monotonic()
        is_over = False
        while not is_over:
            is_over = stop.wait(_LOOK_SECONDS)
            now = time.monotonic()
            if on_progress and done.size:
                on_progress(done.files, done.size)
            if is_over or now - told >= PROGRESS_SECONDS:
                told = now
                rate = done.size / 1e6 / max(now - started, 1e-3)
                log.info("Batch %s: %s, %d of %d tasks done, %.0f MB/s", self.batch_id, doing, done.tasks, tasks, rate)


class _Done:
    """What tasks that succeeded have done, as Spark sums it up."""

    def __init__(self, context: Any) -> None:
        self._tasks, self._files, self._size = (context.accumulator(0) for _ in range(3))

    @property
    def tasks(self) -> int:
        return int(self._tasks.value)

    @property
    def files(self) -> int:
        return int(self._files.value)

    @property
    def size(self) -> int:
        return int(self._size.value)

    def add(self, share: Share) -> None:
        """Count a share, in the task that did it."""
        self._tasks.add(1)
        self._files.add(share.files_ended)
        self._size.add(share.size)


def _of_a_task(request: ConversionRequest) -> ConversionRequest:
    """The request as it travels: a task has one core, and what was derived from the contract is derived again."""
    assert request.contract is not None
    return replace(request, contract=replace(request.contract), options=replace(request.options, workers=1))


def _work_on(
    work: Work,
    place: Place,
    request: ConversionRequest,
    done: Callable[[Share], None],
    texts: Iterable[str],
) -> Iterator[str]:
    """A task: the shares that it was given, one after the other."""
    store = _store(place)
    for share in map(Share.from_json, texts):
        report = json.dumps([share.number, work(store, request, share)])
        done(share)
        yield report


@lru_cache(maxsize=4)
def _store(place: Place) -> ObjectStore:
    """Kept by a worker from task to task: a client of AWS takes a third of a second to make."""
    return open_store(place)


def _cause(error: Exception) -> str:
    """The line of a Spark error that tells something: the first is Spark's own, the cause stands below."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"[\w.]*(?:Error|Exception)\b.*: ", line)]
    return (told or lines or [type(error).__name__])[-1]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
