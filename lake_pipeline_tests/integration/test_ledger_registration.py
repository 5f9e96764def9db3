"""Registration and the backlog: what a listing adds, and what the sensor then sees."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from lake_pipeline.errors import LedgerUnavailable, PermanentError
from lake_pipeline.ledger.files import PAGE_FILES, Registration
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.views import Backlog, PartitionBacklog
from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState
from lake_pipeline_tests.support.ledger_builders import LIVE, TEST, claim_some, discovered, many, publish, run_sql


def test_registration_is_idempotent(ledger: Ledger) -> None:
    assert ledger.files.register(many(10)) == Registration(new=10, known=0, new_bytes=1000)
    assert ledger.files.register(many(12)) == Registration(new=2, known=10, new_bytes=200)
    assert ledger.views.status().files[FileState.PENDING] == 12
    assert ledger.files.register([]) == Registration(new=0, known=0, new_bytes=0)


def test_a_changed_etag_is_a_new_version(ledger: Ledger) -> None:
    ledger.files.register([discovered(1, etag="v1")])
    publish(ledger, claim_some(ledger))

    assert ledger.files.register([discovered(1, etag="v1"), discovered(1, etag="v2")]) == Registration(
        new=1, known=1, new_bytes=100
    )
    assert [file.etag for file in claim_some(ledger).files] == ["v2"]


def test_a_listing_longer_than_a_page_is_registered_completely(ledger: Ledger) -> None:
    assert ledger.files.register(many(PAGE_FILES + 1)).new == PAGE_FILES + 1


def test_an_interrupted_listing_keeps_what_it_registered(ledger: Ledger) -> None:
    with pytest.raises(PermanentError, match="UTF-8"):
        ledger.files.register([*many(PAGE_FILES), replace(discovered(1), key="2026/week05/\udcff.json")])

    assert ledger.views.status().files[FileState.PENDING] == PAGE_FILES


def test_any_key_can_be_registered(ledger: Ledger) -> None:
    keys = ["2026/week05/tab\there\\N\n\r.json", "2026/week05/\\.", "2026/week05/zürich 東京 %41.json"]

    ledger.files.register(replace(discovered(1), key=key, etag='"a\\b"') for key in keys)

    assert {file.key for file in claim_some(ledger).files} == set(keys)


def test_concurrent_listings_register_each_file_once(ledger: Ledger) -> None:
    forward, backward = list(many(3000)), list(many(3000))[::-1]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(ledger.files.register, [forward, backward, forward, backward]))

    assert sum(result.new for result in results) == 3000
    assert sum(result.known for result in results) == 9000


def test_the_backlog_shows_the_weekly_lane_first_and_then_the_oldest_day(ledger: Ledger) -> None:
    old = PartitionKey(date(2020, 1, 1), "live")
    ledger.files.register(
        [
            discovered(1, expected=old, lane=Lane.HISTORY, size=7),
            discovered(2, expected=TEST),
            discovered(3, expected=LIVE),
            discovered(4, expected=LIVE),
            discovered(5, expected=LIVE, lane=Lane.HISTORY),
            discovered(6, expected=None, size=5),
        ]
    )

    assert ledger.views.pending_by_partition(limit=10) == [
        PartitionBacklog(partition=LIVE, files=3, bytes=300, lane=Lane.WEEKLY),
        PartitionBacklog(partition=TEST, files=1, bytes=100, lane=Lane.WEEKLY),
        PartitionBacklog(partition=old, files=1, bytes=7, lane=Lane.HISTORY),
    ]
    assert [backlog.partition for backlog in ledger.views.pending_by_partition(limit=1)] == [LIVE]
    assert ledger.views.pending_unpartitioned() == Backlog(files=1, bytes=5, lane=Lane.WEEKLY)


def test_claimed_files_are_not_in_the_backlog(ledger: Ledger) -> None:
    ledger.files.register([discovered(1), discovered(2, expected=None)])
    claim_some(ledger)

    assert ledger.views.pending_by_partition(limit=10) == []
    assert ledger.views.pending_unpartitioned() == Backlog(files=0, bytes=0)


def test_modes_are_those_published_and_those_expected(ledger: Ledger) -> None:
    ledger.files.register([discovered(1, expected=None)])
    publish(ledger, claim_some(ledger), partition=TEST)
    ledger.files.register([discovered(2, expected=LIVE), discovered(3, expected=None)])

    assert ledger.views.modes() == ["live", "test/ü"]


def test_curated_files_can_be_listed_by_partition(ledger: Ledger) -> None:
    ledger.files.register(many(2))
    publish(ledger, claim_some(ledger, max_files=1), partition=LIVE)
    publish(ledger, claim_some(ledger, max_files=1), partition=TEST)

    assert [file.partition for file in ledger.curated.files()] == [LIVE, TEST]
    assert [file.partition for file in ledger.curated.files([TEST])] == [TEST]
    assert ledger.curated.files([]) == []


def test_a_connection_lost_while_a_page_is_copied_is_reported_as_an_unavailable_ledger(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COPY is the one statement that SQLAlchemy does not execute, so it does not wrap its errors either."""
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lake_pipeline'"

    class Cutting(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            run_sql(ledger_url, cut)
            return super().read(size)

    with monkeypatch.context() as patch:
        patch.setattr("lake_pipeline.ledger.files.io", SimpleNamespace(StringIO=Cutting))
        with pytest.raises(LedgerUnavailable, match="Nothing was written"):
            ledger.files.register([discovered(1)])

    assert ledger.files.register([discovered(1)]).new == 1
