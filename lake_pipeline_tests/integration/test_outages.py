"""Outages: files wait as before, a circuit breaker pauses all workers, and an error of one file stays its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from lake_pipeline.cli import main
from lake_pipeline.cli.status import status_json
from lake_pipeline.convert.native import call as native_code
from lake_pipeline.convert.native.code_cache import NotCompiled
from lake_pipeline.engines.spark import SparkEngine
from lake_pipeline.errors import LakePaused, SettingsError, StorageUnavailable, WorkersLost
from lake_pipeline.ledger.operations import FailureFilter
from lake_pipeline.ledger.outages import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from lake_pipeline.ledger.settlement import UNAVAILABLE_ALONE, UNAVAILABLE_ATTEMPTS
from lake_pipeline.model.manifest import Outcome
from lake_pipeline.model.states import FileState
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.outage_watch import FILES_IN_A_ROW
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.batches.retry import retry
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication import archive
from lake_pipeline_tests.support.factories import ShardedEngine, ndjson
from lake_pipeline_tests.support.lakes import is_sound, land, published
from lake_pipeline_tests.support.ledger_builders import (
    claim_some,
    end_backoffs,
    outcome_of,
    publish,
    run_sql,
)

FILES = {
    f"2026/week06/{number}.json": ndjson({"event_time": "2026-02-03", "mode": "live", "n": number})
    for number in range(10)
}


@pytest.fixture
def lake(empty_lake: Lake, root: Path) -> Lake:
    """Ten files are pending."""
    land(root, FILES)
    discover(empty_lake)
    return empty_lake


class Opening:
    """Replaces `DirectoryStore.open`: `fails` raises for raw files that can't be read, and `keys` are those tried.

    The identity of the lake and its commits are read before the claim; here the outage begins after it.
    """

    def __init__(self, patch: pytest.MonkeyPatch, fails: Callable[[str], None]) -> None:
        self.keys: list[str] = []
        real = DirectoryStore.open

        def open_object(store: DirectoryStore, key: str, **options: Any) -> BinaryIO:
            if key in FILES:
                self.keys.append(key)
                fails(key)
            return real(store, key, **options)

        patch.setattr(DirectoryStore, "open", open_object)


def unavailable(*_: object, **__: object) -> None:
    raise StorageUnavailable("the share does not answer")


def files_of(url: str) -> list[tuple[str, int]]:
    """The state and the attempts of every file, each pair once."""
    rows = run_sql(url, "SELECT DISTINCT processing_status, attempts FROM file_processing_status")
    return [(row.processing_status, row.attempts) for row in rows]


@pytest.mark.parametrize("engine", [None, ShardedEngine])
def test_after_a_few_files_a_batch_is_given_back_whole_without_an_attempt(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch, engine: type[ShardedEngine] | None
) -> None:
    assert isinstance(lake.store, DirectoryStore)
    lake = replace(lake, engine=engine(lake.store)) if engine else lake
    with monkeypatch.context() as patch:
        opened = Opening(patch, unavailable)
        [result] = ingest_all(lake)
        assert len(set(opened.keys)) <= FILES_IN_A_ROW + 8, "samples are read by eight threads"
    assert (result.files, result.released, result.failed, result.quarantined) == (10, 10, 0, 0)
    assert files_of(ledger_url) == [("PENDING", 0)]
    assert result.outage is not None
    assert "the share does not answer" in result.outage
    with pytest.raises(LakePaused, match=r"store .*the share does not answer.*Paused until .*lake ingest --now"):
        ingest_batch(lake)
    end_backoffs(ledger_url)
    assert sum(batch.succeeded for batch in ingest_all(lake)) == 10
    assert lake.ledger.outages.list() == []
    assert is_sound(lake)


def test_the_pause_doubles_with_each_failed_trial_up_to_its_limit(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Opening(monkeypatch, unavailable)
    pauses = []
    for _ in range(7):
        end_backoffs(ledger_url)
        assert ingest_batch(lake) is not None
        [outage] = lake.ledger.outages.list()
        pauses.append(round(outage.pause_left))
    assert pauses == [min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS) for number in range(7)]
    assert outage.failures == 7
    assert files_of(ledger_url) == [("PENDING", 0)]


def test_workers_that_fail_at_the_same_time_start_one_pause(lake: Lake) -> None:
    for _ in range(5):
        outage = lake.ledger.outages.open("store x", "gone", failures=0)
    assert (outage.failures, round(outage.pause_left)) == (1, FIRST_PAUSE_SECONDS)


def test_one_worker_probes_and_the_others_wait_for_it(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.ledger.outages.open(f"store {lake.store.uri}", "gone", failures=0)
    end_backoffs(ledger_url)
    paused: list[str] = []

    def probe(_: DirectoryStore) -> None:
        with pytest.raises(LakePaused) as error:
            ingest_batch(lake)
        paused.append(str(error.value))

    monkeypatch.setattr(DirectoryStore, "probe", probe)
    assert ingest_batch(lake) is not None
    assert len(paused) == 1


def test_nothing_is_claimed_if_the_probe_fails(lake: Lake, ledger_url: str, root: Path) -> None:
    lake.ledger.outages.open(f"store {lake.store.uri}", "gone", failures=0)
    root.rename(root.with_name("unmounted"))
    with pytest.raises(LakePaused, match="Is it mounted"):
        ingest_batch(lake, probe_now=True)
    assert run_sql(ledger_url, "SELECT FROM batch") == []
    [outage] = lake.ledger.outages.list()
    assert outage.failures == 2


def test_files_of_a_root_that_is_gone_are_not_missing(
    lake: Lake, ledger_url: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unmounted after the claim, so no earlier check of the root sees it."""
    real = DirectoryStore.open

    def unmounts(store: DirectoryStore, key: str, **options: Any) -> BinaryIO:
        if key in FILES and root.exists():
            root.rename(root.with_name("unmounted"))
        return real(store, key, **options)

    monkeypatch.setattr(DirectoryStore, "open", unmounts)
    [result] = ingest_all(lake)
    assert result.outage is not None
    assert files_of(ledger_url) == [("PENDING", 0)]


def test_a_file_that_is_gone_from_a_root_that_is_there_is_missing(lake: Lake, ledger_url: str, root: Path) -> None:
    (root / "2026/week06/3.json").unlink()
    [result] = ingest_all(lake)
    assert (result.succeeded, result.quarantined, result.outage) == (9, 1, None)
    assert run_sql(ledger_url, "SELECT error_reason FROM file_processing_status WHERE attempts = 1 AND "
                   "processing_status = 'QUARANTINED'") == [("missing",)]  # fmt: skip


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EISDIR])
def test_an_unreadable_file_costs_only_itself_an_attempt(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(key: str) -> None:
        if key.endswith("/3.json"):
            raise OSError(code, os.strerror(code))

    real = os.open

    def open_file(path: Any, *arguments: Any, **options: Any) -> Any:
        fails(str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", open_file)
    [result] = ingest_all(lake)
    assert (result.succeeded, result.failed, result.outage) == (9, 1, None)
    [row] = run_sql(ledger_url, "SELECT * FROM file_processing_status WHERE processing_status = 'FAILED'")
    assert (row.attempts, row.error_reason) == (1, "unreadable")


def test_a_file_that_alone_is_unavailable_while_the_store_works_is_quarantined_only_after_many_attempts(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Opening(monkeypatch, lambda key: unavailable() if key.endswith("/3.json") else None)
    for attempt in range(1, UNAVAILABLE_ATTEMPTS):
        end_backoffs(ledger_url)
        results = list(ingest_all(lake))
        [row] = run_sql(ledger_url, "SELECT * FROM file_processing_status WHERE s3_key LIKE '%/3.json'")
        assert (row.processing_status, row.attempts, row.error_reason) == ("FAILED", attempt, "unavailable")
        assert [(result.failed, result.quarantined) for result in results] == [(1, 0)]
    end_backoffs(ledger_url)
    [result] = ingest_all(lake)
    assert (result.failed, result.quarantined, result.outage) == (0, 1, None)
    [row] = run_sql(ledger_url, "SELECT * FROM file_processing_status WHERE s3_key LIKE '%/3.json'")
    assert (row.processing_status, row.error_reason) == ("QUARANTINED", UNAVAILABLE_ALONE)
    assert "the store works" in row.error_message
    assert "the share does not answer" in row.error_message
    monkeypatch.undo()
    assert list(ingest_all(lake)) == [], "it is not retried by itself"
    assert retry(lake, FailureFilter(reason=UNAVAILABLE_ALONE)) == 1
    assert sum(batch.succeeded for batch in ingest_all(lake)) == 1
    assert is_sound(lake)


def test_machine_code_that_can_not_be_compiled_is_an_outage_of_the_engine(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_compiled() -> None:
        raise NotCompiled("no folder is writable")

    with monkeypatch.context() as patch:
        patch.setattr(native_code, "_loaded", not_compiled)
        [result] = ingest_all(lake)
        assert result.outage is not None
        with pytest.raises(LakePaused, match="no folder is writable"):
            ingest_batch(lake, probe_now=True)
    [outage] = lake.ledger.outages.list()
    assert (outage.subject, outage.failures) == ("engine in_process", 2)
    assert files_of(ledger_url) == [("PENDING", 0)]
    assert ingest_batch(lake, probe_now=True) is not None
    assert lake.ledger.outages.list() == []


def test_spark_without_java_is_an_outage_of_the_engine(
    lake: Lake, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    engine = SparkEngine(lake.store, master="local[1]", folder=tmp_path / "spark", java_home="/nowhere")
    [result] = ingest_all(replace(lake, engine=engine))
    assert result.outage is not None
    assert "engine spark" in result.outage
    assert "Set JAVA_HOME" in result.outage
    assert files_of(ledger_url) == [("PENDING", 0)]


@pytest.mark.parametrize(
    "error", [SettingsError("LAKE_GLUE_JOB", "there is no Glue job lake"), StorageUnavailable("access is denied")]
)
def test_a_wrong_setting_or_a_refusal_quarantines_nothing(lake: Lake, ledger_url: str, error: Exception) -> None:
    class Refused:
        name = "glue"

        def convert(self, *_: Any, **__: Any) -> Any:
            raise error

    [result] = ingest_all(replace(lake, engine=Refused()))
    assert (result.released, bool(result.outage)) == (10, True)
    assert files_of(ledger_url) == [("PENDING", 0)]


def test_workers_of_an_engine_that_die_make_batches_smaller_until_a_file_is_alone(
    lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying:
        name = "spark"

        def __init__(self) -> None:
            self.sizes: list[int] = []

        def convert(self, request: Any, **options: Any) -> Any:
            self.sizes.append(len(request.files))
            if any(file.key.endswith("/3.json") for file in request.files):
                raise WorkersLost("its workers ran out of memory")
            return lake.engine.convert(request, **options)

    engine = Dying()
    results = list(ingest_all(replace(lake, engine=engine)))
    assert engine.sizes[:3] == [10, 10, 2], "as after any lost worker"
    assert engine.sizes[-1] == 1
    assert sum(result.succeeded for result in results) == 9
    row = run_sql(ledger_url, "SELECT * FROM file_processing_status WHERE s3_key LIKE '%/3.json'")[0]
    assert (row.processing_status, row.attempts, row.error_reason) == ("QUARANTINED", 0, "worker_lost")


def test_what_an_older_version_quarantined_because_of_an_outage_is_retried_by_itself(
    lake: Lake, ledger_url: str
) -> None:
    claim = claim_some(lake.ledger)
    publish(lake.ledger, claim, *[outcome_of(file, Outcome.REFUSED, reason="truncated") for file in claim.files])
    run_sql(
        ledger_url,
        "UPDATE file_processing_status SET rows_read = NULL, rows_published = NULL, rows_quarantined = NULL, "
        "rows_rescued = NULL, attempts = 5, error_class = 'StorageRefused', error_reason = NULL WHERE file_id < 6",
    )
    run_sql(
        ledger_url,
        "UPDATE file_processing_status SET error_class = 'TransientError', error_reason = 'unavailable' "
        "WHERE file_id = 6",
    )
    results = list(ingest_all(lake))
    assert sum(result.succeeded for result in results) == 6
    assert run_sql(ledger_url, "SELECT DISTINCT error_reason FROM file_processing_status "
                   "WHERE processing_status = 'QUARANTINED'") == [("truncated",)]  # fmt: skip


def test_archiving_stops_after_a_few_moves_if_the_store_is_away(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, ledger_url: str
) -> None:
    tried: list[str] = []

    def fails(_: DirectoryStore, source: str, *__: object, **___: object) -> None:
        tried.append(source)
        unavailable()

    with monkeypatch.context() as patch:
        patch.setattr(archive, "CONCURRENT_REQUESTS", 1)
        patch.setattr(DirectoryStore, "move", fails)
        [result] = ingest_all(lake)
        assert (result.succeeded, result.archived) == (10, 0)
        tried.clear()
        assert archive.archive_originals(lake) == 0
        assert len(tried) == FILES_IN_A_ROW
    assert archive.archive_originals(lake) == 10


def test_commands_say_what_failed_and_what_to_do(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(root))
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    run = CliRunner().invoke
    with monkeypatch.context() as patch:
        Opening(patch, unavailable)
        failed = run(main, ["ingest"])
    assert failed.exit_code == 1
    assert "10 files are pending again as before" in failed.stdout
    assert "has failed since" in failed.stderr
    paused = run(main, ["ingest"])
    assert paused.exit_code == 1
    assert "Paused until" in paused.stderr
    assert "the share does not answer" in run(main, ["status"]).stdout
    assert run(main, ["ingest", "--now"]).exit_code == 0
    assert "share" not in run(main, ["status"]).stdout
    assert len(published(root)) == 10


def test_a_probe_of_a_lake_without_pending_files_ends_the_outage(empty_lake: Lake) -> None:
    empty_lake.ledger.outages.open(f"store {empty_lake.store.uri}", "gone", failures=0)
    assert ingest_batch(empty_lake, probe_now=True) is None
    assert empty_lake.ledger.outages.list() == []


def test_a_missing_file_that_a_listing_finds_again_is_pending(lake: Lake, root: Path) -> None:
    """An older version also quarantined the files of a directory that was not mounted."""
    away = (root / "2026/week06/3.json").rename(root.parent / "away")
    list(ingest_all(lake))
    assert lake.ledger.views.status().files[FileState.QUARANTINED] == 1
    away.rename(root / "2026/week06/3.json")
    discover(lake)
    assert lake.ledger.views.status().files[FileState.PENDING] == 1
    assert sum(batch.succeeded for batch in ingest_all(lake)) == 1
    assert is_sound(lake)


def test_the_status_shows_outages_of_this_root_and_of_engines_and_not_of_a_mistyped_root(lake: Lake) -> None:
    shown = [f"store {lake.store.uri}", "engine glue"]
    for subject in (*shown, "store s3://mistyped"):
        lake.ledger.outages.open(subject, "It does not answer.", failures=0)

    assert [outage["subject"] for outage in status_json(lake)["outages"]] == sorted(shown, reverse=True)
