"""The engine on Spark: the same rows as every other engine, even if processes die. All tests use one session."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.engines.sharding.shards import number_shards
from lake_pipeline.engines.spark import SparkEngine, _SparkRunner
from lake_pipeline.errors import EngineUnavailable, StorageUnavailable, WorkersLost
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.cases import Case, all_cases, options_of
from lake_pipeline_tests.support.factories import BATCH, OPTIONS, LakeOnDisk, ndjson
from lake_pipeline_tests.support.lakes import ingest, is_sound, lake_at, land, published
from lake_pipeline_tests.support.parity import SETS, same
from local_aws.server import CREDENTIALS, AwsServer

CASES = all_cases()


def on_spark(store: ObjectStore, *, shard_bytes: int | None = None) -> SparkEngine:
    return SparkEngine(store, master="local[2]", folder=Path("never-used"), shard_bytes=shard_bytes)


@pytest.fixture
def single(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path / "alone")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_gives_the_same_result_as_one_process(
    case: Case, spark: SparkSession, single: LakeOnDisk, tmp_path: Path
) -> None:
    lake = LakeOnDisk(tmp_path / "spark", engine=on_spark)
    same(lake.convert(case.files, **options_of(case)), single.convert(case.files, **options_of(case)))


@pytest.mark.parametrize("name", SETS)
def test_a_set_gives_the_same_result_as_one_process(
    name: str, spark: SparkSession, single: LakeOnDisk, tmp_path: Path
) -> None:
    files = SETS[name]()
    shard_bytes = max(len(content) for content in files.values()) // 3 + 1
    lake = LakeOnDisk(tmp_path / "spark", engine=lambda store: on_spark(store, shard_bytes=shard_bytes))
    same(lake.convert(files, max_bad_share=0.2), single.convert(files, max_bad_share=0.2))
    assert lake.pending() == []


def many_files() -> dict[str, bytes]:
    """Enough for a moment of work in each of several tasks."""
    records = [{"event_time": "2026-02-03", "mode": "live", "n": n, "text": f"{n:050}"} for n in range(20_000)]
    return {f"2026/week06/{number}.json": ndjson(*records) for number in range(8)}


def workers() -> Iterator[psutil.Process]:
    """The processes in which tasks run: children of Spark's daemon."""
    for process in psutil.Process().children(recursive=True):
        parent = process.parent()
        if parent and "pyspark.daemon" in parent.cmdline() and "pyspark.daemon" in process.cmdline():
            yield process


def test_the_work_of_a_killed_worker_is_repeated_without_duplicates(
    spark: SparkSession, ledger: Ledger, tmp_path: Path
) -> None:
    files = many_files()
    lake = lake_at(tmp_path, ledger)
    lake = replace(lake, engine=on_spark(lake.store, shard_bytes=3 << 20))
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


def test_columns_are_widened_in_published_files_too(spark: SparkSession, ledger: Ledger, tmp_path: Path) -> None:
    """The same as with the engine in one process (docs/decisions/0007)."""
    lake = lake_at(tmp_path, ledger)
    lake = replace(lake, engine=on_spark(lake.store, shard_bytes=300))
    batches: list[list[float]] = [[1, 2, 3], [4, 0.5], [2**53 + 1]]
    for number, numbers in enumerate(batches):
        lines = [{"event_time": "2026-02-03", "mode": "live", "n": value, "pad": "x" * 200} for value in numbers]
        land(tmp_path, {f"2026/week06/{number}.json": ndjson(*lines)})
        (result,) = ingest(lake)
        assert result.error is None
    rows = sorted(repr((row["n"], row["_rescued"])) for row in published(tmp_path))
    expected = [(1.0, None), (2.0, None), (3.0, None), (4.0, None), (0.5, None), (None, '{"n":9007199254740993}')]
    assert rows == sorted(map(repr, expected))
    assert is_sound(lake)


def test_a_lake_in_a_bucket_is_converted_by_workers_that_open_it_themselves(
    spark: SparkSession, aws: AwsServer, single: LakeOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SETS["uneven"]()
    store = aws.store(aws.new_bucket(), "lake/")
    client: Any = aws.client()
    for key, content in files.items():
        client.put_object(Bucket=store.location.bucket, Key=store.location.prefix + key, Body=content)
    # On AWS a worker has a role; here Spark passes the credentials on.
    for name, value in CREDENTIALS.items():
        monkeypatch.setitem(spark.sparkContext.environment, name, value)
    raw = tuple(
        replace(file, etag=info.etag) for file in single.put(files) if (info := store.stat(file.key)) is not None
    )
    request = ConversionRequest(batch_id=BATCH, files=raw, contract=None, options=OPTIONS)
    report = on_spark(store, shard_bytes=400_000).convert(request)
    expected = single.convert(files).report
    assert report.manifest.files == expected.manifest.files
    assert report.contract == expected.contract
    assert len({part.object.key for part in report.manifest.curated}) == len(report.manifest.curated)
    assert store.stat(report.manifest.curated[0].object.key) is None
    store.publish(report.manifest.curated[0].object)
    assert store.stat(report.manifest.curated[0].object.key) is not None


def test_progress_is_reported_while_tasks_end(spark: SparkSession, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    raw = lake.put(many_files())
    calls: list[tuple[int, int]] = []
    request = ConversionRequest(batch_id=BATCH, files=raw, contract=None, options=OPTIONS)
    on_spark(lake.store, shard_bytes=1 << 20).convert(request, on_progress=lambda *done: calls.append(done))
    assert calls[-1] == (8, sum(file.size for file in raw))
    assert calls == sorted(calls)


def test_workers_that_die_at_every_attempt_are_lost_workers(spark: SparkSession, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "lake")
    raw = lake.put({"2026/week06/a.json": ndjson({"event_time": "2026-02-03", "n": 1})})
    request = ConversionRequest(batch_id=BATCH, files=raw, contract=Contract(), options=OPTIONS)

    def dies(*_: Any) -> Any:
        import os

        os._exit(137)

    runner = _SparkRunner(spark, lake.store.location, BATCH)
    with pytest.raises(WorkersLost, match="Spark failed at converting"):
        runner(dies, request, number_shards([], [raw]), activity="converting")


def test_outages_of_a_few_tasks_cancel_the_others(spark: SparkSession, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "lake")
    raw = lake.put({f"2026/week06/{n}.json": b"{}" for n in range(200)})
    request = ConversionRequest(batch_id=BATCH, files=raw, contract=Contract(), options=OPTIONS)

    def unavailable(*_: Any) -> Any:
        import time

        from lake_pipeline.engines.wire import error_to_json
        from lake_pipeline.errors import StorageUnavailable

        time.sleep(0.2)
        return {"error": error_to_json(StorageUnavailable("the bucket is gone"))}

    started = time.monotonic()
    runner = _SparkRunner(spark, lake.store.location, BATCH)
    with pytest.raises(StorageUnavailable, match="the bucket is gone"):
        runner(unavailable, request, number_shards([], [(file,) for file in raw]), activity="converting")
    assert time.monotonic() - started < 15, "all of them take 20 s"


def test_a_failed_spark_job_raises_an_error_with_the_cause(spark: SparkSession, tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path / "lake")
    raw = lake.put({"2026/week06/a.json": ndjson({"event_time": "2026-02-03", "n": 1})})

    class Elsewhere(DirectoryStore):
        """A store whose location, as sent to workers, can't be created."""

        @property
        def location(self) -> Any:
            return replace(super().location, path="/dev/null/lake")

    request = ConversionRequest(batch_id=BATCH, files=raw, contract=None, options=OPTIONS)
    with pytest.raises(EngineUnavailable, match="/dev/null/lake"):
        on_spark(Elsewhere(tmp_path / "lake")).convert(request)


def test_spark_and_its_workers_get_no_variable_of_other_programs(spark: SparkSession) -> None:
    """pytest sets PYTEST_CURRENT_TEST before it starts a fixture, so this process had it when Spark started."""
    context = spark.sparkContext
    assert context._jvm is not None
    jvm_names = set(context._jvm.System.getenv().keySet())
    worker_names = set(context.parallelize([0], 1).flatMap(lambda _: list(os.environ)).collect())

    assert "PATH" in jvm_names & worker_names
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert "PYTEST_CURRENT_TEST" not in jvm_names | worker_names
