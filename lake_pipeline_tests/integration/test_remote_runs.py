"""Engine runs that outlive their worker: adopted while alive, started again only if they are gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.convert.request import RemoteEngine
from lake_pipeline.errors import ContractMoved, LeaseLost, TransientError
from lake_pipeline.ledger.claims import Claims
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch, process_claim
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.batches.rebuild_scope import look
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.fsck.findings import Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.reconcile import recover
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import is_sound, lake_at, land, published
from lake_pipeline_tests.support.ledger_builders import expire_leases, run_sql
from lake_pipeline_tests.support.remote_runs import ProcessRuns

RECORDS = [{"event_time": "2026-02-03", "mode": "live", "n": number} for number in range(5)]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def lake(root: Path, runs: Path, ledger: Ledger) -> Lake:
    land(root, {"2026/week06/a.json": ndjson(*RECORDS)})
    lake = lake_at(root, ledger, engine=ProcessRuns(root, runs))
    discover(lake)
    return lake


def started(runs: Path) -> list[str]:
    return sorted(folder.name for folder in runs.glob("run-*"))


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def killed_while_its_run_lives(root: Path, runs: Path, url: str, work: str = "ingest") -> str:
    """Kill a worker once the id of its run is stored; returns that id. The run waits."""
    command = [sys.executable, "-m", "lake_pipeline_tests.support.remote_runs", work, str(root), url, str(runs)]
    worker = subprocess.Popen(command)
    noted = "SELECT FROM batch WHERE external_run_id IS NOT NULL AND state = 'CLAIMED'"
    wait_for(lambda: worker.poll() is not None or run_sql(url, noted))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    (run_id,) = [name for name in started(runs) if not (runs / name / "report").exists()]
    return run_id


def test_a_remote_engine_is_recognized_by_its_methods(lake: Lake, root: Path, ledger: Ledger) -> None:
    assert isinstance(lake.engine, RemoteEngine)
    assert not isinstance(lake_at(root, ledger).engine, RemoteEngine)


def test_a_run_whose_worker_was_killed_is_adopted_and_not_started_twice(
    lake: Lake, root: Path, runs: Path, ledger_url: str
) -> None:
    killed_while_its_run_lives(root, runs, ledger_url)
    recover(lake)
    assert lake.ledger.views.status().files[FileState.PROCESSING] == 1, "what lives is not released"
    (runs / "go").touch()
    (result,) = ingest_all(lake)
    assert (result.succeeded, result.error) == (1, None)
    assert len(started(runs)) == 1
    assert len(published(root)) == 5
    assert list(Audit(lake=lake).findings()) == []


def test_a_run_that_ended_meanwhile_is_not_done_again(lake: Lake, root: Path, runs: Path, ledger_url: str) -> None:
    run_id = killed_while_its_run_lives(root, runs, ledger_url)
    (runs / "go").touch()
    wait_for(lambda: (runs / run_id / "report").exists())
    list(ingest_all(lake))
    assert started(runs) == [run_id]
    assert len(published(root)) == 5


def test_a_run_that_died_with_its_worker_is_started_again(lake: Lake, root: Path, runs: Path, ledger_url: str) -> None:
    run_id = killed_while_its_run_lives(root, runs, ledger_url)
    os.kill(int((runs / run_id / "pid").read_text()), signal.SIGKILL)
    wait_for(lambda: not ProcessRuns(root, runs).is_alive(run_id))
    (runs / "go").touch()
    list(ingest_all(lake))
    assert len(started(runs)) == 2
    assert len(published(root)) == 5


def test_fsck_reports_a_batch_without_a_worker_once_its_run_is_gone_too(
    lake: Lake, root: Path, runs: Path, ledger_url: str
) -> None:
    run_id = killed_while_its_run_lives(root, runs, ledger_url)
    assert list(Audit(lake=lake, repair=True).findings()) == []
    assert lake.ledger.views.status().files[FileState.PROCESSING] == 1
    os.kill(int((runs / run_id / "pid").read_text()), signal.SIGKILL)
    wait_for(lambda: not ProcessRuns(root, runs).is_alive(run_id))
    [finding] = Audit(lake=lake, repair=True).findings()
    assert (finding.problem, finding.mended) == (Problem.STUCK, True)
    assert lake.ledger.views.status().files[FileState.PENDING] == 1


def test_another_engine_gives_back_a_batch_whose_run_it_can_not_query(
    lake: Lake, root: Path, runs: Path, ledger: Ledger, ledger_url: str
) -> None:
    run_id = killed_while_its_run_lives(root, runs, ledger_url)
    list(ingest_all(lake_at(root, ledger)))
    assert len(published(root)) == 5
    (runs / run_id / "stopped").touch()


def test_a_run_whose_state_is_unknown_now_is_left_alone(
    lake: Lake, root: Path, runs: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_its_run_lives(root, runs, ledger_url)

    def unavailable(*_: object) -> bool:
        raise TransientError("throttled")

    monkeypatch.setattr(ProcessRuns, "is_alive", unavailable)
    recover(lake)
    assert lake.ledger.views.status().files[FileState.PROCESSING] == 1
    (runs / "go").touch()


def test_a_resumed_worker_and_the_one_that_adopted_its_run_publish_it_once(
    lake: Lake, root: Path, runs: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paused worker loses its lease, and does not abort the parts that the other one publishes."""
    real = Publication.record_manifest
    adopted = threading.Event()

    def sleeps_first(self: Publication, *rest: Any, **named: Any) -> int:
        if threading.current_thread() is not adopting:
            expire_leases(ledger_url)
            adopting.start()
            assert adopted.wait(30)
        else:
            adopted.set()
            time.sleep(0.5)
        return real(self, *rest, **named)

    def adopt() -> None:
        # Another process, as far as the ledger is concerned.
        monkeypatch.setattr("lake_pipeline.usecases.recovery.reconcile.this_owner", lambda: "the adopting worker")
        results.extend(ingest_all(replace(lake, ledger=Ledger(ledger_url))))

    results: list[object] = []
    adopting = threading.Thread(target=adopt)
    monkeypatch.setattr(Publication, "record_manifest", sleeps_first)
    runs.mkdir()
    (runs / "go").touch()
    with pytest.raises(LeaseLost):
        ingest_batch(lake)
    adopting.join()
    assert len(results) == 1
    assert len(published(root)) == 5
    assert len(started(runs)) == 1
    assert list(Audit(lake=lake).findings()) == []


def test_no_worker_attaches_to_a_run_whose_parts_were_aborted(
    lake: Lake, root: Path, runs: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Publication.record_manifest
    moved = iter([True])

    def moves_once(self: Publication, *rest: Any, **named: Any) -> int:
        if next(moved, False):
            raise ContractMoved("another batch")
        return real(self, *rest, **named)

    monkeypatch.setattr(Publication, "record_manifest", moves_once)
    runs.mkdir()
    (runs / "go").touch()
    (result,) = ingest_all(lake)
    assert result.error is None
    assert len(started(runs)) == 2
    assert len(published(root)) == 5


def test_a_run_that_a_person_interrupts_is_stopped(lake: Lake, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessRuns, "attach", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest_batch(lake)
    (run_id,) = started(runs)
    assert (runs / run_id / "stopped").exists()
    assert lake.ledger.views.status().files[FileState.PENDING] == 1


def test_a_run_whose_worker_was_killed_before_it_was_noted_is_found_and_adopted(
    lake: Lake, root: Path, runs: Path, ledger_url: str
) -> None:
    run_id = killed_while_its_run_lives(root, runs, ledger_url, "ingest-without-run-id")
    (runs / "go").touch()

    (result,) = ingest_all(lake)

    assert (result.succeeded, result.error) == (1, None)
    assert started(runs) == [run_id]
    [shown] = run_sql(ledger_url, "SELECT glue_job_run_id FROM file_processing_status")
    assert shown.glue_job_run_id == run_id
    assert len(published(root)) == 5


def test_a_batch_is_left_alone_if_its_run_can_not_be_looked_up_now(
    lake: Lake, root: Path, runs: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_its_run_lives(root, runs, ledger_url, "ingest-without-run-id")

    def unavailable(*_: object) -> None:
        raise TransientError("throttled")

    with monkeypatch.context() as patch:
        patch.setattr(ProcessRuns, "find", unavailable)
        assert list(ingest_all(lake)) == []
    assert lake.ledger.views.status().files[FileState.PROCESSING] == 1
    (runs / "go").touch()
    list(ingest_all(lake))
    assert len(published(root)) == 5


def test_a_run_whose_parts_are_gone_is_not_found_again(
    lake: Lake, root: Path, runs: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends after it aborted the parts and before the next start."""

    def moves(*_: object, **__: object) -> int:
        raise ContractMoved("another batch")

    def ends(*_: object) -> str:
        raise TransientError("killed, as far as the ledger knows")

    runs.mkdir()
    (runs / "go").touch()
    real = ProcessRuns.start
    once = iter([real])
    with monkeypatch.context() as patch:
        patch.setattr(Publication, "record_manifest", moves)
        patch.setattr(ProcessRuns, "start", lambda *rest: next(once, ends)(*rest))
        patch.setattr(Claims, "fail", lambda *_, **__: None)
        ingest_batch(lake)
    expire_leases(ledger_url)

    (result,) = ingest_all(lake)

    assert result.error is None
    assert len(started(runs)) == 2
    assert len(published(root)) == 5


@pytest.fixture
def whole(lake: Lake, runs: Path) -> Lake:
    """Everything is published, and the next run waits."""
    runs.mkdir()
    (runs / "go").touch()
    list(ingest_all(lake))
    (runs / "go").unlink()
    return lake


def test_the_run_of_a_rebuild_is_adopted_by_the_next_rebuild_of_the_same_partitions(
    whole: Lake, root: Path, runs: Path, ledger_url: str
) -> None:
    before = published(root)
    killed_while_its_run_lives(root, runs, ledger_url, "rebuild")
    recover(whole)
    (runs / "go").touch()

    done = rebuild(whole, {file.partition for file in whole.ledger.curated.files()})

    assert done is not None
    assert (done.files, done.rows) == (1, 5)
    assert len(started(runs)) == 2, "the one of the ingest, and one of the rebuild"
    assert published(root) == before
    assert is_sound(whole)


def test_the_run_of_a_rebuild_is_finished_by_the_next_ingest(
    whole: Lake, root: Path, runs: Path, ledger_url: str
) -> None:
    before, old = published(root), whole.ledger.curated.files()
    killed_while_its_run_lives(root, runs, ledger_url, "rebuild")
    (runs / "go").touch()

    assert list(ingest_all(whole)) == []

    assert not {file.key for file in old} & {file.key for file in whole.ledger.curated.files()}
    assert published(root) == before
    assert is_sound(whole)


def test_a_rebuild_whose_files_changed_is_given_up(
    whole: Lake, root: Path, runs: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_its_run_lives(root, runs, ledger_url, "rebuild")
    (runs / "go").touch()
    land(root, {"2026/week06/late.json": ndjson({"event_time": "2026-02-03", "mode": "live", "n": 9})})
    discover(whole)
    real = look
    seen: list[bool] = []

    def publishes_first(*arguments: Any) -> Any:
        """Another worker publishes into the partition before the adopting one looks."""
        if not seen:
            seen.append(True)
            claim = whole.ledger.claims.take(
                owner="another", max_files=9, max_bytes=1 << 20, lease_seconds=600, engine="in_process"
            )
            assert claim is not None
            other = lake_at(root, whole.ledger)
            process_claim(other, claim)
        return real(*arguments)

    monkeypatch.setattr("lake_pipeline.usecases.batches.rebuild.look", publishes_first)
    list(ingest_all(whole))

    assert len(published(root)) == 6
    assert is_sound(whole)
    assert run_sql(ledger_url, "SELECT kind, state FROM batch WHERE kind = 'REBUILD'") == [("REBUILD", "FAILED")]
