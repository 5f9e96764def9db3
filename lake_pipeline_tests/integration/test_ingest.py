"""Ingest on a directory lake and a real ledger, with and without failures."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import LeaseLost, OutcomeUnknown, StorageUnavailable, TransientError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.model.states import BatchState, FileState
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import archive_originals
from lake_pipeline.usecases.publication.sweep import sweep_pending
from lake_pipeline.usecases.recovery.reconcile import recover
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, lake_at, land, published

FILES = {
    "2026/week06/date=2026-02-03_mode=live.json": ndjson(
        *[{"event_time": "2026-02-03", "mode": "live", "n": n} for n in range(5)]
    ),
    "2026/week06/b.json": ndjson({"event_time": "2026-02-04", "mode": "test", "n": 9}, {"n": 10}),
    "all_historical_files/old.json": ndjson({"event_time": "2025-02-04", "mode": "live", "late": {"x": 1}}),
}


@pytest.fixture
def lake(root: Path, ledger: Ledger) -> Lake:
    land(root, FILES)
    return lake_at(root, ledger)


def pending(lake: Lake) -> list[PendingObject]:
    return list(lake.store.pending())


def test_every_record_is_published_or_quarantined_and_every_original_archived(lake: Lake, root: Path) -> None:
    results = ingest(lake)
    assert [(result.files, result.rows_read, result.rows_published, result.rows_quarantined) for result in results] == [
        (3, 8, 7, 1)
    ]
    status = lake.ledger.views.status()
    assert status.files[FileState.SUCCEEDED] == status.archived == 3
    assert len(published(root)) == 7
    assert [path.name for path in (root / "2026").rglob("*.json")] == []
    for key, content in FILES.items():
        assert (root / "raw-json-data-processed" / key).read_bytes() == content


def test_a_second_ingest_finds_nothing_to_do(lake: Lake, root: Path) -> None:
    ingest(lake)
    before = published(root)
    assert ingest(lake) == []
    assert published(root) == before


def test_every_partition_passes_its_checks_and_a_changed_file_fails_them(lake: Lake, root: Path) -> None:
    (result,) = ingest(lake)
    assert all(verdicts.passed for verdicts in verify(lake, result.partitions))
    assert len(verify(lake, result.partitions)) == 3
    part = next((root / "json_parsed_parquet" / result.partitions[0].path).iterdir())
    other = next((root / "json_parsed_parquet" / result.partitions[1].path).iterdir())
    part.write_bytes(other.read_bytes())
    broken, *rest = verify(lake, result.partitions)
    assert not broken.row_count.passed
    assert part.name in broken.row_count.text
    assert all(verdicts.passed for verdicts in rest)


def test_a_partition_can_be_ingested_alone(lake: Lake, root: Path) -> None:
    discover(lake)
    (backlog,) = lake.ledger.views.pending_by_partition(limit=10)
    result = ingest_batch(lake, partitions=[backlog.partition])
    assert result is not None
    assert (result.files, result.rows_published) == (1, 5)
    assert lake.ledger.views.status().files[FileState.PENDING] == 2


def test_late_and_out_of_order_names_are_found(lake: Lake, root: Path) -> None:
    ingest(lake)
    land(root, {"2020/week01/aaa.json": ndjson({"event_time": "2020-01-01", "mode": "live"})})
    assert discover(lake).new == 1


def test_markers_and_uploads_in_progress_are_not_raw_files(lake: Lake, root: Path) -> None:
    land(root, {"2026/week06/_SUCCESS": b"", "2026/week06/.a.json.tmp": b"{", "2026/other.txt": b"x"})
    discovery = discover(lake)
    assert (discovery.seen, discovery.new, discovery.skipped) == (3, 3, 3)


class Failing:
    """An engine that always raises `error`."""

    name = "in_process"

    def __init__(self, inner: Any, error: BaseException) -> None:
        self._inner = inner
        self.error: BaseException | None = error

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        report: ConversionReport = self._inner.convert(request, on_progress=on_progress)
        if self.error:
            raise self.error
        return report


def test_a_failed_batch_is_reported_and_retried_after_its_backoff(lake: Lake, root: Path) -> None:
    discover(lake)
    engine = Failing(lake.engine, TransientError("not now"))
    (result,) = ingest_all(replace(lake, engine=engine))
    assert (result.failed, result.error) == (3, "not now")
    status = lake.ledger.views.status()
    assert status.files[FileState.FAILED] == 3
    assert published(root) == []
    assert ingest_batch(lake) is None, "its retry time has not come"


def test_parts_that_a_failed_batch_could_not_remove_itself_are_swept(lake: Lake, root: Path) -> None:
    discover(lake)
    engine = Failing(lake.engine, StorageUnavailable("the disk is full"))  # and its parts are not aborted
    (result,) = ingest_all(replace(lake, engine=engine))
    assert result.error
    assert pending(lake) == []


def test_parts_that_could_not_be_swept_are_swept_once_there_is_nothing_to_claim(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(lake)

    def unavailable(*_: object) -> None:
        raise StorageUnavailable("the store does not answer")

    monkeypatch.setattr(type(lake.store), "abort", unavailable)
    (result,) = ingest_all(replace(lake, engine=Failing(lake.engine, StorageUnavailable("it did not answer"))))
    assert (result.released, result.error) == (3, "it did not answer")
    assert len(pending(lake)) > 0
    monkeypatch.undo()
    assert ingest_batch(lake, probe_now=True) is not None
    assert ingest_batch(lake) is None
    assert pending(lake) == []


def test_an_interrupted_batch_is_released_at_once_and_its_attempt_does_not_count(lake: Lake) -> None:
    discover(lake)
    with pytest.raises(KeyboardInterrupt):
        ingest_batch(replace(lake, engine=Failing(lake.engine, KeyboardInterrupt())))
    result = ingest_batch(lake)
    assert result is not None
    assert result.succeeded == 3


def test_a_worker_that_lost_its_lease_cannot_publish(lake: Lake, root: Path) -> None:
    discover(lake)

    class Slow(Failing):
        def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
            report: ConversionReport = self._inner.convert(request, on_progress=on_progress)
            lake.ledger.recovery.reclaim(owner_is_dead=bool, max_lost=5)
            return report

    with pytest.raises(LeaseLost):
        ingest_batch(replace(lake, engine=Slow(lake.engine, LeaseLost(""))))
    assert published(root) == []
    assert pending(lake) == []
    (result,) = ingest_all(lake)
    assert result.rows_published == 7
    assert len(published(root)) == 7


def test_a_batch_that_died_after_its_manifest_is_rolled_forward_by_the_next_worker(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(lake)

    def dies(lake: Lake, *rest: object) -> None:
        lake.store.publish(next(iter(pending(lake))))
        raise SystemExit

    monkeypatch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", dies)
    with pytest.raises(SystemExit):
        ingest_batch(lake)
    assert len(pending(lake)) > 0
    monkeypatch.undo()
    monkeypatch.setattr("lake_pipeline.usecases.recovery.reconcile.owner_is_dead", bool)
    recover(lake)
    assert len(published(root)) == 7
    assert pending(lake) == []
    assert lake.ledger.views.status().archived == 3


def test_pending_objects_of_a_dead_worker_are_swept_and_those_of_a_live_one_are_not(lake: Lake) -> None:
    discover(lake)
    claim = lake.ledger.claims.take(owner="dead", max_files=1, max_bytes=1 << 30, lease_seconds=60, engine="in_process")
    assert claim is not None
    writer = lake.store.put_pending(f"json_parsed_parquet/year=2026/part-{claim.batch_id}-0.parquet")
    writer.write(b"half")
    writer.finish()
    assert sweep_pending(lake) == 0
    lake.ledger.recovery.reclaim(owner_is_dead=lambda owner: owner == "dead", max_lost=5)
    assert sweep_pending(lake) == 1
    assert pending(lake) == []


def test_a_broken_connection_while_the_manifest_is_recorded_does_not_lose_the_batch(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(lake)
    real = Publication.record_manifest

    def records_and_breaks(self: Publication, *rest: Any, **options: Any) -> int:
        real(self, *rest, **options)
        raise OutcomeUnknown("the connection broke")

    monkeypatch.setattr(Publication, "record_manifest", records_and_breaks)
    result = ingest_batch(lake)
    assert result is not None
    assert result.succeeded == 3
    assert len(published(root)) == 7


def test_concurrent_workers_publish_each_record_once(root: Path, ledger: Ledger) -> None:
    land(
        root,
        {
            f"2026/week06/{number:03}.json": ndjson(
                {"event_time": "2026-02-03", "mode": "live", f"f{number % 7}": number}
            )
            for number in range(60)
        },
    )
    lake = lake_at(root, ledger, batch_files=4)
    discover(lake)
    threads = [threading.Thread(target=lambda: list(ingest_all(lake))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = published(root)
    numbers = sorted(value for row in rows for key, value in row.items() if key.startswith("f") and value is not None)
    assert numbers == list(range(60))
    assert lake.ledger.views.status().contract_version >= 1
    states = lake.ledger.publication.batch_states({file.batch_id for file in lake.ledger.curated.files()})
    assert set(states.values()) == {BatchState.PUBLISHED}


def test_a_file_that_can_not_be_archived_keeps_waiting_and_stays_published(lake: Lake, root: Path) -> None:
    discover(lake)
    blocker = root / "raw-json-data-processed"
    blocker.write_text("a file where the folder should be")
    (result,) = ingest_all(lake)
    assert (result.succeeded, result.archived) == (3, 0)
    blocker.unlink()
    assert archive_originals(lake) == 3
