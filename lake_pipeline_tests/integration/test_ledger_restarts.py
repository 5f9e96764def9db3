"""The ledger is away for seconds: a conversion goes on, and its manifest is recorded once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from lake_pipeline.errors import LeaseLost, LedgerUnavailable, OutcomeUnknown
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.embedded.client import embedded_url
from lake_pipeline.ledger.embedded.home import EmbeddedHome
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.usecases.batches.ingest import ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.conftest import remove_embedded
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import Interrupted, is_sound, lake_at, land, published
from lake_pipeline_tests.support.ledger_builders import expire_leases, run_sql

FILES = {"2026/week06/a.json": ndjson(*[{"event_time": "2026-02-03", "mode": "live", "n": n} for n in range(5)])}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The home of a server of this test alone."""
    yield tmp_path / "home"
    remove_embedded(tmp_path / "home")


@pytest.fixture
def lake(empty_lake: Lake, root: Path) -> Lake:
    land(root, FILES)
    discover(empty_lake)
    return empty_lake


def after_conversion(lake: Lake, then: Callable[[], object]) -> Lake:
    return replace(lake, engine=Interrupted(lake.engine, then))


def close_connections(url: str) -> None:
    """The server ends every session of the lake."""
    run_sql(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'lake_pipeline'",
    )


def test_a_conversion_survives_a_restart_of_the_server(home: Path, root: Path) -> None:
    url = embedded_url(home, "lake", durable=False)
    migrate(url)
    ledger = Ledger(url)
    lake = lake_at(root, ledger, lease_seconds=30)
    land(root, FILES)
    discover(lake)

    def restart() -> None:
        postmaster = psutil.Process(int((EmbeddedHome(home).data / "postmaster.pid").read_text().split()[0]))
        postmaster.terminate()
        postmaster.kill()
        postmaster.wait()
        threading.Timer(1.5, embedded_url, (home, "lake"), {"durable": False}).start()
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))

    result = ingest_batch(after_conversion(lake, restart))
    assert result is not None
    assert (result.succeeded, result.error) == (1, None)
    assert len(published(root)) == 5
    assert is_sound(lake)
    ledger.close()


def test_a_conversion_survives_the_end_of_all_its_connections(lake: Lake, root: Path, ledger_url: str) -> None:
    result = ingest_batch(after_conversion(lake, lambda: close_connections(ledger_url)))
    assert result is not None
    assert (result.succeeded, result.error) == (1, None)
    assert len(published(root)) == 5


@pytest.mark.parametrize("error", [LedgerUnavailable("the server restarts"), OutcomeUnknown("no answer")])
@pytest.mark.parametrize("is_written", [False, True])
def test_a_manifest_whose_recording_failed_is_recorded_once(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception, is_written: bool
) -> None:
    if is_written and isinstance(error, LedgerUnavailable):
        pytest.skip("after this error nothing is written")
    real = Publication.record_manifest
    errors = iter([error])

    def record(*arguments: Any, **options: Any) -> int:
        failure = next(errors, None)
        version = real(*arguments, **options) if is_written or failure is None else 0
        if failure:
            raise failure
        return version

    monkeypatch.setattr(Publication, "record_manifest", record)
    result = ingest_batch(lake)
    assert result is not None
    assert (result.succeeded, result.error, result.contract_version) == (1, None, 1)
    assert run_sql(ledger_url, "SELECT state FROM batch") == [("PUBLISHED",)]
    assert len(published(root)) == 5
    assert is_sound(lake)


def test_the_fence_is_checked_after_the_ledger_is_back(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile another worker has published the file."""
    real = Publication.record_manifest
    is_first = iter([True])

    def record(*arguments: Any, **options: Any) -> int:
        if next(is_first, False):
            expire_leases(ledger_url)
            assert ingest_batch(lake) is not None
            raise LedgerUnavailable("the server restarts")
        return real(*arguments, **options)

    monkeypatch.setattr(Publication, "record_manifest", record)
    with pytest.raises(LeaseLost):
        ingest_batch(lake)
    assert len(published(root)) == 5
    assert is_sound(lake)


def test_waiting_for_the_ledger_ends_with_the_lease(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Database._connect
    started: list[float] = []

    def refused(database: Database) -> Any:
        if started:
            database = Database("postgresql://nobody@127.0.0.1:9/none")
            database._patience = lake.ledger.database._patience
        return real(database)

    monkeypatch.setattr(Database, "_connect", refused)
    with pytest.raises(LedgerUnavailable):
        ingest_batch(after_conversion(replace(lake, lease_seconds=2), lambda: started.append(time.monotonic())))
    assert 0.5 < time.monotonic() - started[0] < 6


def test_without_a_claim_an_unreachable_ledger_is_an_error_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable, match="unreachable"):
        Ledger("postgresql://nobody@127.0.0.1:9/none").outages.list()
    assert time.monotonic() - began < 5
