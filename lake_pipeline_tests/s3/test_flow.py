"""The complete flow in a bucket: the commands, and the view of a reader of the bucket."""

from __future__ import annotations

import itertools
import json
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake_pipeline.cli import main
from lake_pipeline.convert.input import prefetch as ahead
from lake_pipeline.convert.input import reader as reading
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.factories import ndjson
from local_aws.server import AwsServer

FILES = {
    "2026/week05/a b+%41 ü.json": ndjson(
        {"event_time": "2026-02-03T10:00:00Z", "mode": "live", "user": {"id": 1}},
        {"event_time": "2026-02-04T10:00:00Z", "mode": "te/st", "user": {"id": 2, "name": "two"}},
    ),
    "all_historical_files/2019/old.json": ndjson({"event_time": "2019-02-03T10:00:00Z", "mode": "live", "n": 1.5}),
    "all_historical_files/broken.json": b'{"event_time": "2019-02-03T10:00:00Z"}\n' * 20 + b"{oops\n",
    "all_historical_files/": b"",
    "all_historical_files/empty.json": b"",
    "notes/not ours.json": b"{}",
}


def test_discover_ingest_status_and_query_work_on_a_bucket(
    aws: AwsServer, store: S3Store, land: Land, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(FILES)
    monkeypatch.setenv("LAKE_ROOT", store.uri)
    monkeypatch.setenv("LAKE_S3_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))

    discovery = _lake("discover")
    assert (discovery["seen"], discovery["new"], discovery["skipped"]) == (4, 4, 1)
    batch = _lake("ingest")
    assert (batch["succeeded"], batch["archived"], batch["rows_published"], batch["rows_quarantined"]) == (4, 4, 23, 1)
    status = _lake("status")
    assert status["files"]["SUCCEEDED"] == status["archived"] == 4
    assert status["rows"] == {"read": 24, "published": 23, "quarantined": 1, "rescued": 0}
    assert _lake("discover")["new"] == 0

    row = _lake(
        "query",
        "SELECT count(*) AS n, sum(user_id) AS users, max(mode) AS mode, max(user_name) AS name "
        "FROM json_parsed_parquet WHERE year = 2026",
    )
    assert row == {"n": 2, "users": 3, "mode": "te/st", "name": "two"}
    assert _lake("query", "SELECT s3_key FROM quarantine") == {"s3_key": "all_historical_files/broken.json"}

    keys = {info.key for info in store.objects("")}
    archived = {
        f"raw-json-data-processed/{key}" for key in FILES if key not in ("all_historical_files/", "notes/not ours.json")
    }
    assert {key for key in keys if not key.startswith(("json_parsed_parquet/", "quarantine/", "_commits/"))} == {
        *archived,
        "_lake.json",
        "all_historical_files/",
        "notes/not ours.json",
    }
    assert list(store.pending()) == []


def test_a_missing_or_replaced_file_fails_alone(aws: AwsServer, lake: Lake, store: S3Store, land: Land) -> None:
    land({f"2026/week05/{number}.json": ndjson({"event_time": "2026-02-03T10:00:00Z"}) for number in range(20)})
    discover(lake)
    store.delete("2026/week05/3.json")
    land({"2026/week05/7.json": b"{}"})
    [batch] = ingest_all(lake)
    assert (batch.succeeded, batch.quarantined, batch.failed, batch.rows_published) == (18, 2, 0, 18)


def test_small_files_are_prefetched_concurrently(lake: Lake, land: Land, monkeypatch: pytest.MonkeyPatch) -> None:
    land({f"2026/week05/{number}.json": ndjson({"event_time": "2026-02-03T10:00:00Z"}) for number in range(20)})
    discover(lake)
    together = threading.Barrier(CONCURRENT_REQUESTS, timeout=20)
    opened = itertools.count()
    open_one = S3Store.open

    def open_together(*arguments: Any, **options: Any) -> Any:
        # The files of the first sample are read before.
        if threading.current_thread().name.startswith("fetch") and next(opened) < CONCURRENT_REQUESTS:
            together.wait()
        return open_one(*arguments, **options)

    monkeypatch.setattr(S3Store, "open", open_together)
    [batch] = ingest_all(lake)
    assert batch.succeeded == 20


def test_large_files_and_samples_are_prefetched_concurrently(
    lake: Lake, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SMALL_BYTES", 1)
    land({f"2026/week05/{number:02}.json": ndjson({"event_time": "2026-02-03T10:00:00Z"}) for number in range(20)})
    discover(lake)
    files_ahead = ahead.FILES_PER_WORKER * lake.options.workers
    together = {"read": threading.Barrier(files_ahead, timeout=20), "sample": threading.Barrier(4, timeout=20)}
    left = {"read": files_ahead, "sample": 4}
    lock, open_one = threading.Lock(), S3Store.open

    def open_together(*arguments: Any, **options: Any) -> Any:
        kind = threading.current_thread().name.partition("_")[0]
        with lock:
            left[kind] = left.get(kind, 0) - 1
            waits = left[kind] >= 0
        if waits:
            together[kind].wait()
        return open_one(*arguments, **options)

    monkeypatch.setattr(S3Store, "open", open_together)
    [batch] = ingest_all(lake)
    assert (batch.succeeded, batch.rows_published) == (20, 20)
    assert max(left.values()) < 0


def test_faults_in_a_few_percent_of_the_calls_change_no_result(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land
) -> None:
    record = {"event_time": "2026-02-03T10:00:00Z", "mode": "live"}
    land({f"2026/week05/{number}.json": ndjson(*[record] * 10, {"mode": "no date"}) for number in range(60)})
    with aws.faults(rate=0.04, seed=2, stall_seconds=0.2) as made:
        discover(lake)
        # Files that failed all attempts wait in the ledger; the next run archives the rest.
        batches = [*ingest_all(lake), *ingest_all(lake)]
    assert made.total() > 5
    assert [batch.error for batch in batches] == [None]
    status = lake.ledger.views.status()
    assert (status.files[FileState.SUCCEEDED], status.archived) == (60, 60)
    assert (status.rows_read, status.rows_published, status.rows_quarantined) == (660, 600, 60)
    keys = [info.key for info in store.objects("")]
    assert len([key for key in keys if key.startswith("raw-json-data-processed/")]) == 60
    assert len([key for key in keys if key.startswith("2026/")]) == 0
    [partition] = verify(lake, [PartitionKey(date(2026, 2, 3), "live")])
    assert partition.passed, partition


def _lake(*arguments: str) -> Any:
    """Runs a `lake` command with --json; returns the object it prints."""
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
