"""A selection with gaps in one run, which is not possible with a backfill."""

from __future__ import annotations

import pytest

from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.defs.partitions import add_modes
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState
from lake_pipeline_tests.dagster.conftest import Platform, records

DAYS = [f"2026-02-{day:02}" for day in range(3, 8)]
SCATTERED = [f"{DAYS[0]}|live", f"{DAYS[2]}|live", f"{DAYS[4]}|test"]


def test_a_selection_with_gaps_is_converted_and_rebuilt_in_one_run_and_nothing_else_is(platform: Platform) -> None:
    files = {
        f"2026/week05/date={day}_mode={mode}.json": records(day, mode) for day in DAYS for mode in ("live", "test")
    }
    first = f"2026/week05/date={DAYS[0]}_mode=live.json"
    platform.land({first: files.pop(first)})
    platform.ingest_by_command()
    before = {file.key for file in platform.lake.ledger.curated.files()}
    platform.land(files)
    add_modes(platform.instance, [PartitionKey.parse(SCATTERED[0]), PartitionKey.parse(SCATTERED[2])])

    assert platform.run_batch({"partitions": SCATTERED}).success
    assert platform.materialized() == set(SCATTERED)
    for partition in SCATTERED:
        assert len(platform.checks(partition)) == len(CHECKS)
    assert {f"{row['event_time'][:10]}|{row['mode']}" for row in platform.rows()} == set(SCATTERED)
    assert platform.lake.ledger.views.status().files[FileState.PENDING] == len(files) - 2
    assert before.isdisjoint(file.key for file in platform.lake.ledger.curated.files()), "it was converted again"

    assert platform.run_batch({"partitions": SCATTERED, "rebuild": False}).success
    assert len(platform.rows()) == 3 * len(SCATTERED)


@pytest.mark.parametrize("wrong", ["2025-12-31|live", "2026-02-03|never", "yesterday"])
def test_an_unknown_partition_is_refused_before_anything_is_converted(platform: Platform, wrong: str) -> None:
    platform.land({f"2026/week05/date={DAYS[0]}_mode=live.json": records(DAYS[0], "live")})
    add_modes(platform.instance, [PartitionKey.parse(SCATTERED[0])])
    result = platform.run_batch({"partitions": [SCATTERED[0], wrong]})
    failed = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert f"1 of 2 partitions don't exist, for example {wrong!r}" in str(failed)
    assert platform.rows() == []
