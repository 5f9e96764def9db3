"""The engine on Spark: the rows of every other engine, whatever dies on the way. One session for all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.convert.spark import SparkEngine, SparkUnavailable
from lake_pipeline.ingest.batch import ingest_all
from lake_pipeline.ingest.discover import discover
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline_tests.aws.server import CREDENTIALS, AwsServer
from lake_pipeline_tests.cases import Case, all_cases
from lake_pipeline_tests.conformance.test_cases import options_of
from lake_pipeline_tests.factories import BATCH, OPTIONS, LakeOnDisk, ndjson
from lake_pipeline_tests.lakes import ingest, is_sound, lake_at, land, published
from lake_pipeline_tests.parity import SETS, same

CASES = all_cases()


def on_spark(store: ObjectStore, *, share_bytes: int | None = None) -> SparkEngine:
    return SparkEngine(store, master="local[2]", folder=Path("never-used"), share_bytes=share_bytes)


@pytest.fixture
def alone(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "alone")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_comes_out_as_in_one_process(case: Case, spark: SparkSession, alone: LakeOnDisk, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "spark", engine=on_spark)
    same(lake.convert(case.files, **options_of(case)), alone.convert(case.files, **options_of(case)))


@pytest.mark.parametrize("name", SETS)
def test_a_set_comes_out_as_in_one_process(name: str, spark: SparkSession, alone: LakeOnDisk, tmp_path: Path) -> None:
    files = SETS[name]()
    share_bytes = max(len(content) for content in files.values()) // 3 + 1
    lake = LakeOnDisk(tmp_path / "spark", engine=lambda store: on_spark(store, share_bytes=share_bytes))
    same(lake.convert(files, max_bad_share=0.2), alone.convert(files, max_bad_share=0.2))
    assert lake.pending() == []


def many_files() -> dict[str, bytes]:
    """Enough for a moment of work in each of several tasks."""
    records = [{"event_time": "2026-02-03", "mode": "live", "n": n, "text": f"{n:050}"} for n in range(20_000)]
    return {f"2026/week06/{number}.json": ndjson(*records) for number in range(8)}


def workers() -> Iterator[psutil.Process]:
    """The processes in which tasks run: children of the daemon that Spark starts for them."""
    for process in psutil.Process().children(recursive=True):
        parent = process.parent()
        if parent and "pyspark.daemon" in parent.cmdline() and "pyspark.daemon" in process.cmdline():
            yield process


def test_a_worker_that_is_killed_is_made_up_for_and_doubles_nothing(
    spark: SparkSession, ledger: Ledger, tmp_path: Path
) -> None:
    files = many_files()
    lake = lake_at(tmp_path, ledger)
    lake = replace(lake, engine=on_spark(lake.store, share_bytes=3 << 20))
    land(tmp_path, files)
    discover(lake)
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            # Something was written: tasks are in the middle of their work.
            if any(lake.store.pending()):
                for worker in workers():
                    worker.kill()
                    killed.append(worker.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    (result,) = ingest_all(lake)
    killer.join()
    assert killed, "the kill came too late to disturb anything"
    assert (result.error, result.rows_published) == (None, 8 * 20_000)
    assert is_sound(lake)
    list(ingest_all(lake))
    assert next(lake.store.pending(), None) is None


def test_columns_become_wide_in_published_files_too(spark: SparkSession, ledger: Ledger, tmp_path: Path) -> None:
    """As with the engine in one process (docs/decisions/0007)."""
    lake = lake_at(tmp_path, ledger)
    lake = replace(lake, engine=on_spark(lake.store, share_bytes=300))
    batches: list[list[float]] = [[1, 2, 3], [4, 0.5, 2**53 + 1]]
    for number, numbers in enumerate(batches):
        lines = [{"event_time": "2026-02-03", "mode": "live", "n": value, "pad": "x" * 200} for value in numbers]
        land(tmp_path, {f"2026/week06/{number}.json": ndjson(*lines)})
        (result,) = ingest(lake)
        assert result.error is None
    rows = sorted(repr((row["n"], row["_rescued"])) for row in published(tmp_path))
    wanted = [(1.0, None), (2.0, None), (3.0, None), (4.0, None), (0.5, None), (None, '{"n":9007199254740993}')]
    assert rows == sorted(map(repr, wanted))
    assert is_sound(lake)


def test_a_lake_in_a_bucket_is_converted_by_workers_that_open_it_themselves(
    spark: SparkSession, aws: AwsServer, alone: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SETS["uneven"]()
    store = aws.store(aws.new_bucket(), "lake/")
    client: Any = aws.client()
    for key, content in files.items():
        client.put_object(Bucket=store.place.bucket, Key=store.place.prefix + key, Body=content)
    # On AWS a worker has a role; here Spark hands it what it needs.
    for name, value in CREDENTIALS.items():
        monkeypatch.setitem(spark.sparkContext.environment, name, value)
    raw = tuple(
        replace(file, etag=info.etag) for file in alone.put(files) if (info := store.stat(file.key)) is not None
    )
    request = ConversionRequest(batch_id=BATCH, files=raw, contract=None, options=OPTIONS)
    report = on_spark(store, share_bytes=400_000).convert(request)
    expected = alone.convert(files).report
    assert report.manifest.files == expected.manifest.files
    assert report.contract == expected.contract
    assert len({part.object.key for part in report.manifest.curated}) == len(report.manifest.curated)
    assert store.stat(report.manifest.curated[0].object.key) is None
    store.publish(report.manifest.curated[0].object)
    assert store.stat(report.manifest.curated[0].object.key) is not None


def test_progress_is_told_while_tasks_end(spark: SparkSession, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    raw = lake.put(many_files())
    told: list[tuple[int, int]] = []
    request = ConversionRequest(batch_id=BATCH, files=raw, contract=None, options=OPTIONS)
    on_spark(lake.store, share_bytes=1 << 20).convert(request, on_progress=lambda *done: told.append(done))
    assert told[-1] == (8, sum(file.size for file in raw))
    assert told == sorted(told)


def test_work_that_can_not_be_done_ends_in_an_error_that_tells_the_cause(spark: SparkSession, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "lake")
    raw = lake.put({"2026/week06/a.json": ndjson({"event_time": "2026-02-03", "n": 1})})

    class Elsewhere(DirectoryStore):
        """A store of which workers are told a place where nobody may make a folder."""

        @property
        def place(self) -> Any:
            return replace(super().place, path="/dev/null/lake")

    request = ConversionRequest(batch_id=BATCH, files=raw, contract=None, options=OPTIONS)
    with pytest.raises(SparkUnavailable, match="/dev/null/lake"):
        on_spark(Elsewhere(tmp_path / "lake")).convert(request)
