"""pending_files_sensor requests runs, never more than there is work and than the limit allows."""

from __future__ import annotations

import os
import time
from datetime import date, timedelta

import dagster as dg
import pytest

from lake_pipeline.defs.partitions import add_modes
from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.support.ledger_builders import discovered


def _requests(result: dg.SensorResult) -> list[tuple[str | None, str | None]]:
    return [(request.job_name, request.partition_key) for request in result.run_requests or []]


def _queue(platform: Platform, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """Create the run of `request` as the daemon does."""
    job = platform.definitions().resolve_job_def(str(request.job_name))
    tags = {**request.tags, **({"dagster/partition": request.partition_key} if request.partition_key else {})}
    platform.instance.create_run_for_job(job, status=status, tags=tags)


def test_if_nothing_is_pending_the_tick_says_so(platform: Platform) -> None:
    result = platform.tick()
    assert not result.run_requests
    assert "Nothing is pending" in result.skip_message


def test_a_file_whose_key_promises_a_partition_is_requested_for_it(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    result = platform.tick()
    assert _requests(result) == [("json_parsed_parquet_job", "2026-02-03|live")]
    assert [list(request.partition_keys) for request in result.dynamic_partitions_requests] == [["live"]]
    assert result.run_requests[0].tags["lake/lane"] == "weekly"


def test_files_of_unknown_partition_are_requested_as_batches(platform: Platform) -> None:
    platform.land({f"2026/week05/{number}.json": records("2026-02-03", "live") for number in range(5)})
    assert _requests(platform.tick()) == [("ingest_batch_job", None)]
    assert _requests(platform.tick(batch_files=2, max_runs=9)) == [("ingest_batch_job", None)] * 3
    assert len(_requests(platform.tick(batch_files=1, max_runs=4))) == 4


def test_a_mode_with_reserved_characters_is_escaped_in_its_partition(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03/mode=a|b c/1.json": records("2026-02-03", "a|b c")})
    assert _requests(platform.tick()) == [("json_parsed_parquet_job", "2026-02-03|a~7Cb~20c")]


def test_a_date_outside_the_range_goes_to_a_batch_and_is_explained(
    platform: Platform, capfd: pytest.CaptureFixture[str]
) -> None:
    platform.land(
        {
            "2026/week05/date=1999-01-01_mode=live_1.json": records("1999-01-01", "live"),
            "2026/week05/date=2999-01-01_mode=live_1.json": records("2999-01-01", "live"),
            "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
        }
    )
    assert _requests(platform.tick()) == [("ingest_batch_job", None), ("json_parsed_parquet_job", "2026-02-03|live")]
    log = capfd.readouterr().err
    assert "The keys of 2 pending files promise days without a partition, for example 1999-01-01|live" in log
    assert "2026-01-01 (LAKE_FIRST_DATE)" in log


def test_many_ticks_request_the_same_work_once(platform: Platform) -> None:
    platform.land(
        {
            "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
            "2026/week05/other.json": records("2026-02-04", "live"),
        }
    )
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING):
        for request in platform.tick(max_runs=9).run_requests or []:
            _queue(platform, request, status)
    assert platform.instance.get_runs_count() == 2
    assert "queued or running" in platform.tick(max_runs=9).skip_message


def test_never_more_runs_are_in_flight_than_allowed(platform: Platform) -> None:
    platform.land({f"2026/week05/{number}.json": records("2026-02-03", "live") for number in range(20)})
    for _ in range(5):
        for request in platform.tick(batch_files=1, max_runs=3).run_requests or []:
            _queue(platform, request, dg.DagsterRunStatus.STARTED)
    assert platform.instance.get_runs_count() == 3
    assert "LAKE_MAX_RUNS" in platform.tick(batch_files=1, max_runs=3).skip_message


def test_work_whose_run_failed_is_requested_again_under_another_key(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    first = platform.tick()
    _queue(platform, first.run_requests[0], dg.DagsterRunStatus.FAILURE)
    again = platform.tick(cursor=first.cursor)
    assert _requests(again) == _requests(first)
    assert again.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_tick_evaluated_twice_uses_the_same_run_keys(platform: Platform) -> None:
    platform.land({"2026/week05/other.json": records("2026-02-03", "live")})
    first, again = platform.tick(cursor="tick 7"), platform.tick(cursor="tick 7")
    assert first.run_requests[0].run_key == again.run_requests[0].run_key


def test_files_of_a_lost_worker_get_a_batch_that_reclaims_them(platform: Platform) -> None:
    platform.land({"2026/week05/other.json": records("2026-02-03", "live")})
    claim = platform.lake.ledger.claims.take(
        owner="elsewhere/boot/namespace/1/1", max_files=9, max_bytes=9999, lease_seconds=1, engine="in_process"
    )
    assert claim is not None
    assert _requests(platform.tick()) == [("ingest_batch_job", None)]


def test_it_claims_and_writes_nothing(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    platform.tick()
    assert platform.lake.ledger.views.status().files[FileState.PENDING] == 1
    assert platform.rows() == []
    assert platform.instance.get_runs_count() == 0


def test_weekly_drops_do_not_wait_for_a_backfill(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    backfill = {"dagster/backfill": "b", "dagster/asset_partition_range_start": "2026-01-01|live"}
    backfill["dagster/asset_partition_range_end"] = "2026-02-28|live"
    add_modes(platform.instance, [PartitionKey.parse("2026-02-03|live")])
    job = platform.definitions().resolve_job_def("json_parsed_parquet_job")
    for _ in range(5):
        platform.instance.create_run_for_job(job, status=dg.DagsterRunStatus.NOT_STARTED, tags=backfill)
    [request] = platform.tick(max_runs=1).run_requests
    assert (request.partition_key, request.tags["dagster/priority"]) == ("2026-02-03|live", "1")


def test_history_that_a_backfill_will_convert_is_not_requested(platform: Platform) -> None:
    platform.land({"all_historical_files/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    request = platform.tick().run_requests[0]
    assert request.tags["dagster/priority"] == "0"
    request.tags["dagster/backfill"] = "b"
    _queue(platform, request, dg.DagsterRunStatus.NOT_STARTED)
    assert "queued or running" in platform.tick().skip_message


def test_a_batch_that_will_find_weekly_files_has_priority(platform: Platform) -> None:
    platform.land({"all_historical_files/a.json": records("2026-01-03", "live")})
    [of_history] = platform.tick().run_requests
    platform.land({"2026/week05/b.json": records("2026-02-03", "live")})
    [of_both] = platform.tick().run_requests
    assert (of_history.tags["dagster/priority"], of_both.tags["dagster/priority"]) == ("0", "1")


def test_each_tick_reports_the_backlog(platform: Platform) -> None:
    platform.land({"2026/week05/other.json": records("2026-02-03", "live")})

    def observed() -> dict[str, object]:
        [observation] = platform.tick().asset_events
        return {name: value.value for name, value in observation.metadata.items()}

    before = observed()
    assert (before["files pending"], before["rows in the last hour"]) == (1, 0)
    assert isinstance(before["minutes that the first file waits"], float)
    platform.run_batch()
    after = observed()
    assert (after["files pending"], after["files in the last hour"], after["rows in the last hour"]) == (0, 1, 3)


@pytest.mark.skipif(not os.environ.get("FULL_SIZE"), reason="registers a million files: make test-large")
def test_a_tick_over_a_million_pending_files_takes_below_two_seconds(platform: Platform) -> None:
    first = date(2016, 1, 1)
    platform.lake.ledger.files.register(
        discovered(
            number,
            lane=Lane.HISTORY,
            expected=PartitionKey(first + timedelta(days=number % 3650), f"m{number // 3650 % 10}"),
        )
        for number in range(1_000_000)
    )
    seconds = list[float]()
    for _ in range(2):
        started = time.perf_counter()
        requests = _requests(platform.tick(first_date=first, max_runs=2))
        seconds.append(time.perf_counter() - started)
        assert requests == [("ingest_batch_job", None)] * 2, "many partitions are converted by batches"
    print(f"the first tick took {seconds[0]:.2f} s, the next one {seconds[1]:.2f} s")
    # The first tick also builds the definitions, which a code server has built before its first tick.
    assert seconds[1] < 2
