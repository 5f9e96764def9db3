"""Published files that are gone: a command that needs one says so at once, and a repair restores the rows."""

from __future__ import annotations

import time

import pytest

from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import Site
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest

RAW = "2026/week06/a.json"
SECONDS = 5.0
"""Waiting for other batches takes more than a minute."""


@pytest.fixture
def lost(site: Site) -> str:
    """The key of a published file that is gone, with the rows of `RAW`, in a lake with another partition."""
    with_amounts = [{**record, "amount": 1} for record in records(0, 3)]
    site.land({RAW: ndjson(*with_amounts), "2026/week06/b.json": ndjson(*records(3, 2, day="2026-02-04"))})
    ingest(site.lake)
    (key,) = (file.key for file in site.lake.ledger.curated.files() if "day=03" in file.key)
    site.remove(key)
    return key


@pytest.mark.parametrize(
    "command",
    [
        ("forget", RAW),
        ("contract", "widen", "amount"),
        ("query", "SELECT count(id) FROM json_parsed_parquet WHERE mode = 'live'"),
        ("snapshot", "create", "kept"),
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_needs_a_lost_file_names_it_and_the_next_command(
    site: Site, lost: str, command: tuple[str, ...]
) -> None:
    before = time.monotonic()
    result = site.run(*command)

    assert time.monotonic() - before < SECONDS
    assert (result.exit_code, lost in result.stderr) == (1, True), result.output
    assert "`lake rebuild '2026-02-03|live'`" in result.stderr or "`lake fsck`" in result.stderr
    assert "Traceback" not in result.output
    assert "ther batches" not in result.stderr

    repaired = site.run("rebuild", "2026-02-03|live")
    assert repaired.exit_code == 0, repaired.output
    assert_intact(site.lake, range(5))


def test_a_batch_that_would_widen_a_lost_file_is_published_without_widening(site: Site, lost: str) -> None:
    fraction = [{**record, "amount": 1.5} for record in records(5, 1, day="2026-02-05")]
    site.land({"2026/week06/c.json": ndjson(*fraction)})
    site.run("discover")

    before = time.monotonic()
    result = site.run("ingest")

    assert time.monotonic() - before < SECONDS
    assert (result.exit_code, lost in result.stderr) == (1, True), result.output
    assert site.run("fsck", "--repair").exit_code == 0
    assert_intact(site.lake, range(6))


def test_only_a_file_that_replaces_rows_in_a_lost_file_waits_and_without_an_attempt(site: Site, lost: str) -> None:
    site.land({RAW: ndjson(*records(5, 1)), "2026/week06/c.json": ndjson(*records(6, 1))})
    site.run("discover")

    before = time.monotonic()
    result = site.run("ingest", LAKE_NEW_VERSION="replace")

    assert time.monotonic() - before < SECONDS
    assert (result.exit_code, lost in result.output) == (1, True), result.output
    assert "Paused" not in result.output
    assert site.lake.ledger.outages.list() == []
    with site.lake.ledger.database.transaction() as connection:
        waiting = connection.exec_driver_sql(
            "SELECT s3_key, processing_status, attempts, error_reason FROM file_processing_status "
            "WHERE processing_status NOT IN ('SUCCEEDED', 'SUPERSEDED')"
        ).all()
    assert [tuple(row) for row in waiting] == [(RAW, "FAILED", 0, "data_file_lost")]

    assert site.run("rebuild", "2026-02-03|live").exit_code == 0
    assert site.run("retry", "--state", "failed").exit_code == 0
    assert site.run("ingest", LAKE_NEW_VERSION="replace").exit_code == 0
    assert_intact(site.lake, [3, 4, 5, 6])
