"""Versions of one key: the newest one has its rows in the table, in any order of events."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.errors import TransientError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.files import NewVersion
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.discovery.discover import discover, register
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.publish import roll_forward
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import (
    Interrupted,
    dying_half_published,
    ingest,
    is_sound,
    lake_at,
    land,
    published,
    quarantined,
)
from lake_pipeline_tests.support.ledger_builders import claim_some, end_backoffs, expire_leases, run_sql

KEY = "2026/week06/a.json"
OTHER = "2026/week06/b.json"


def rows_of(version: int, *, days: int = 2) -> bytes:
    """Two rows a day that have the version as a value."""
    return ndjson(
        *[{"event_time": f"2026-02-{day + 1:02}", "mode": "live", "v": version} for day in range(days) for _ in (1, 2)]
    )


OF_OTHER = ndjson({"event_time": "2026-02-01", "mode": "live", "v": 99})


@pytest.fixture
def lake(root: Path, ledger: Ledger) -> Lake:
    land(root, {KEY: rows_of(1), OTHER: OF_OTHER})
    return lake_at(root, ledger)


def versions(root: Path) -> list[int]:
    return sorted(row["v"] for row in published(root))


def states(ledger_url: str) -> list[str]:
    rows = run_sql(
        ledger_url, "SELECT processing_status FROM file_processing_status WHERE s3_key = :key ORDER BY file_id", key=KEY
    )
    return [row[0] for row in rows]


def test_a_new_version_replaces_the_old_one_in_one_publication(lake: Lake, root: Path, ledger_url: str) -> None:
    ingest(lake)
    land(root, {KEY: rows_of(2, days=3)})
    before = lake.ledger.publication.last_commit()

    [result] = ingest(lake)

    assert versions(root) == [2] * 6 + [99]
    assert lake.ledger.publication.last_commit() == before + 1
    assert states(ledger_url) == ["SUPERSEDED", "SUCCEEDED"]
    assert result.rows_published == 6
    assert is_sound(lake)
    [first, _] = run_sql(
        ledger_url, "SELECT file_id FROM file_processing_status WHERE s3_key = :key ORDER BY 1", key=KEY
    )
    assert lake.ledger.files.history(first[0])[-1].detail == "replaced by a newer version of the key"


def test_quarantined_records_of_the_old_version_go_with_its_rows(lake: Lake, root: Path) -> None:
    land(root, {KEY: rows_of(1) + ndjson({"v": 1})})
    ingest(lake)
    land(root, {KEY: rows_of(2) + ndjson({"v": 2})})

    ingest(lake)

    assert [json.loads(raw) for _, raw in quarantined(root)] == [{"v": 2}]
    assert is_sound(lake)


def test_a_file_that_keeps_its_other_rows_is_written_again_under_its_own_key(lake: Lake, root: Path) -> None:
    ingest(lake)
    keys = {file.key for file in lake.ledger.curated.files()}
    land(root, {KEY: rows_of(2)})

    ingest(lake)

    stayed = [file for file in lake.ledger.curated.files() if file.key in keys]
    assert [file.rows for file in stayed] == [1], "the file with the row of the other raw file"


@pytest.mark.parametrize("policy", [NewVersion.APPEND, NewVersion.IGNORE])
def test_the_other_policies_keep_what_was_published(
    lake: Lake, root: Path, ledger_url: str, policy: NewVersion
) -> None:
    lake = replace(lake, new_version=policy)
    ingest(lake)
    land(root, {KEY: rows_of(2)})

    ingest(lake)

    appended = policy is NewVersion.APPEND
    assert versions(root) == [1] * 4 + [2] * 4 * appended + [99]
    assert states(ledger_url) == ["SUCCEEDED", "SUCCEEDED" if appended else "SUPERSEDED"]
    if appended:
        assert is_sound(lake)


def make_failed(lake: Lake, ledger_url: str) -> None:
    lake.ledger.claims.fail(claim_some(lake.ledger), TransientError("busy"), max_attempts=5)


def make_quarantined(lake: Lake, ledger_url: str) -> None:
    lake.ledger.claims.fail(claim_some(lake.ledger), TransientError("busy"), max_attempts=0)


def leave_pending(lake: Lake, ledger_url: str) -> None:
    pass


@pytest.mark.parametrize("make", [leave_pending, make_failed, make_quarantined])
@pytest.mark.parametrize("policy", NewVersion)
def test_an_old_version_that_was_never_published_is_superseded(
    lake: Lake, root: Path, ledger_url: str, make: Callable[[Lake, str], None], policy: NewVersion
) -> None:
    lake = replace(lake, new_version=policy)
    discover(lake)
    make(lake, ledger_url)
    land(root, {KEY: rows_of(2)})
    end_backoffs(ledger_url)

    ingest(lake)

    assert [v for v in versions(root) if v != 99] == [2] * 4
    old, new = states(ledger_url)
    assert new == "SUCCEEDED"
    assert old in ("SUPERSEDED", "QUARANTINED"), "its bytes are gone: they were overwritten"
    if policy is NewVersion.REPLACE:
        assert old == "SUPERSEDED"
    assert is_sound(lake)


def test_a_version_that_comes_while_the_old_one_is_converted_is_the_one_that_is_published(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    def come() -> None:
        land(root, {KEY: rows_of(2)})
        discover(lake)

    discover(lake)
    slow = replace(lake, engine=Interrupted(lake.engine, come))

    list(ingest_all(slow))

    assert versions(root) == [2] * 4 + [99]
    assert states(ledger_url) == ["SUPERSEDED", "SUCCEEDED"]
    assert list(lake.store.pending()) == []
    assert is_sound(lake)


def test_a_version_that_overtakes_the_old_one_is_the_one_that_stays(lake: Lake, root: Path, ledger_url: str) -> None:
    """The new version is published by another worker while the old one is still being converted."""

    def overtake() -> None:
        land(root, {KEY: rows_of(2)})
        ingest(lake)
        assert [v for v in versions(root) if v != 99] == [2] * 4

    discover(lake)

    list(ingest_all(replace(lake, engine=Interrupted(lake.engine, overtake))))

    assert versions(root) == [2] * 4 + [99]
    assert states(ledger_url) == ["SUPERSEDED", "SUCCEEDED"]
    assert is_sound(lake)


def test_with_ignore_a_version_that_overtakes_is_the_one_that_stays(lake: Lake, root: Path, ledger_url: str) -> None:
    lake = replace(lake, new_version=NewVersion.IGNORE)

    def overtake() -> None:
        land(root, {KEY: rows_of(2)})
        ingest(lake)

    discover(lake)

    list(ingest_all(replace(lake, engine=Interrupted(lake.engine, overtake))))

    assert versions(root) == [2] * 4 + [99]
    assert states(ledger_url) == ["SUPERSEDED", "SUCCEEDED"]


def test_a_version_waits_for_the_old_one_that_is_just_being_published(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover(lake)
    left: list[Any] = []
    monkeypatch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", lambda *rest: left.append(rest))
    ingest_batch(lake)
    monkeypatch.undo()
    land(root, {KEY: rows_of(2)})
    discover(lake)
    timer = threading.Timer(0.5, lambda: roll_forward(*left[0]))
    timer.start()

    result = ingest_batch(lake)

    timer.join()
    assert result is not None
    assert result.error is None
    assert versions(root) == [2] * 4 + [99]
    assert states(ledger_url) == ["SUPERSEDED", "SUCCEEDED"]
    assert is_sound(lake)


def test_two_workers_that_replace_rows_in_the_same_published_file_both_do(root: Path, ledger: Ledger) -> None:
    keys = [f"2026/week06/{number}.json" for number in range(6)]
    land(root, {key: rows_of(1, days=1) for key in keys})
    lake = lake_at(root, ledger)
    ingest(lake)
    land(root, {key: rows_of(2, days=1) for key in keys})
    discover(lake)
    one_by_one = replace(lake, batch_files=1)
    workers = [threading.Thread(target=lambda: list(ingest_all(one_by_one))) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert versions(root) == [2] * 12
    assert is_sound(lake)


def test_a_new_version_that_is_refused_leaves_the_old_rows(lake: Lake, root: Path, ledger_url: str) -> None:
    ingest(lake)
    land(root, {KEY: b"{broken"})

    ingest(lake)

    assert versions(root) == [1] * 4 + [99]
    assert states(ledger_url) == ["SUCCEEDED", "QUARANTINED"]
    land(root, {KEY: rows_of(3)})
    ingest(lake)
    assert versions(root) == [3] * 4 + [99]
    assert states(ledger_url) == ["SUPERSEDED", "SUPERSEDED", "SUCCEEDED"]
    assert is_sound(lake)


def test_a_replacement_that_dies_half_published_is_finished_by_the_next_worker(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    ingest(lake)
    land(root, {KEY: rows_of(2)})
    with dying_half_published(lake):
        ingest(lake)
    expire_leases(ledger_url)

    assert list(ingest_all(lake)) == []

    assert versions(root) == [2] * 4 + [99]
    assert is_sound(lake)


def test_a_replacement_and_wider_numbers_in_one_batch(lake: Lake, root: Path) -> None:
    """One file keeps rows of another raw file, one has nothing to do with the key, and one is deleted."""
    largest = 2**53
    land(root, {OTHER: OF_OTHER + ndjson({"event_time": "2026-02-01", "mode": "live", "v": largest})})
    land(root, {"2026/week06/apart.json": ndjson({"event_time": "2026-02-07", "mode": "test", "v": 7})})
    ingest(lake)
    land(root, {KEY: ndjson({"event_time": "2026-02-01", "mode": "live", "v": 2.5})})
    before = lake.ledger.publication.last_commit()

    [result] = ingest(lake)

    assert result.error is None
    assert lake.ledger.publication.last_commit() == before + 1
    assert sorted(row["v"] for row in published(root)) == [2.5, 7.0, 99.0, float(largest)]
    assert {file.contract_version for file in lake.ledger.curated.files()} == {result.contract_version}
    assert lake.ledger.contracts.requested_widenings() == {}
    assert is_sound(lake)


def test_a_replacement_with_a_fraction_rescues_it_if_an_id_of_another_file_would_be_rounded(
    lake: Lake, root: Path
) -> None:
    beyond = 2**53 + 1
    land(root, {OTHER: OF_OTHER + ndjson({"event_time": "2026-02-01", "mode": "live", "v": beyond})})
    ingest(lake)
    land(root, {KEY: ndjson({"event_time": "2026-02-01", "mode": "live", "v": 2.5})})

    [result] = ingest(lake)

    assert result.error is None
    assert sorted(row["v"] for row in published(root) if row["v"] is not None) == [99, beyond]
    assert [json.loads(row["_rescued"]) for row in published(root) if row["v"] is None] == [{"v": 2.5}]
    assert lake.ledger.contracts.lossy_widenings() == {"v"}
    assert is_sound(lake)


def test_a_replacement_that_widens_and_dies_half_published_is_finished(lake: Lake, root: Path, ledger_url: str) -> None:
    ingest(lake)
    land(root, {KEY: ndjson({"event_time": "2026-02-01", "mode": "live", "v": 2.5})})
    with dying_half_published(lake):
        ingest(lake)
    expire_leases(ledger_url)

    list(ingest_all(lake))

    assert sorted(row["v"] for row in published(root)) == [2.5, 99.0]
    assert is_sound(lake)


def lands_as_before(root: Path, content: bytes) -> None:
    """The same bytes and modification time, hence an ETag that the key had before."""
    land(root, {KEY: content})
    os.utime(root / KEY, ns=(LONG_AGO, LONG_AGO))


LONG_AGO = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(NewVersion.REPLACE, [1] * 4), (NewVersion.APPEND, [1] * 8 + [2] * 4), (NewVersion.IGNORE, [1] * 4)],
)
def test_content_that_returns_is_a_new_version(
    lake: Lake, root: Path, ledger_url: str, policy: NewVersion, expected: list[int]
) -> None:
    lake = replace(lake, new_version=policy)
    for content in (rows_of(1), rows_of(2), rows_of(1)):
        lands_as_before(root, content)
        if content != rows_of(1):
            os.utime(root / KEY)
        ingest(lake)

    assert [v for v in versions(root) if v != 99] == expected
    assert states(ledger_url)[-1] == ("SUPERSEDED" if policy is NewVersion.IGNORE else "SUCCEEDED")
    assert len(states(ledger_url)) == 3
    assert discover(lake).new == 0
    assert is_sound(lake)


def test_content_may_return_again_and_again(lake: Lake, root: Path, ledger_url: str) -> None:
    for number in range(3):
        lands_as_before(root, rows_of(1))
        ingest(lake)
        land(root, {KEY: rows_of(10 + number)})
        ingest(lake)

    assert states(ledger_url) == ["SUPERSEDED"] * 5 + ["SUCCEEDED"]
    assert [v for v in versions(root) if v != 99] == [12] * 4
    assert is_sound(lake)


def test_content_that_returns_before_it_was_converted_is_published(lake: Lake, root: Path) -> None:
    for content in (rows_of(1), rows_of(2), rows_of(1)):
        lands_as_before(root, content)
        if content != rows_of(1):
            os.utime(root / KEY)
        discover(lake)

    list(ingest_all(lake))

    assert [v for v in versions(root) if v != 99] == [1] * 4
    assert is_sound(lake)


def test_an_old_message_about_an_object_registers_nothing(lake: Lake, root: Path) -> None:
    lands_as_before(root, rows_of(1))
    old = lake.store.stat(KEY)
    assert old is not None
    ingest(lake)
    land(root, {KEY: rows_of(2)})
    ingest(lake)

    assert register(lake, [old]).new == 0


def test_fsck_leaves_content_that_returned_for_the_next_listing(lake: Lake, root: Path) -> None:
    lands_as_before(root, rows_of(1))
    ingest(lake)
    land(root, {KEY: rows_of(2)})
    ingest(lake)
    lands_as_before(root, rows_of(1))

    assert list(Audit(lake=lake, repair=True).findings()) == []

    ingest(lake)
    assert [v for v in versions(root) if v != 99] == [1] * 4
    assert is_sound(lake)
