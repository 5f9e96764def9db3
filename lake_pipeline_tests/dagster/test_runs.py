"""Conversion runs: what they publish, what they report for each partition, and how they fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import dagster as dg
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.defs.conversion.events import MAX_SAMPLES
from lake_pipeline.defs.conversion.runs import SENSOR_TAG
from lake_pipeline.defs.pending.pending_files_sensor import ADD_ONLY
from lake_pipeline.errors import StorageUnavailable, TransientError
from lake_pipeline.model.states import FileState
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.support.factories import ndjson

ALL_PASSED = dict.fromkeys(CHECKS, True)


def _passed(platform: Platform, partition: str) -> dict[str, bool]:
    return {name: passed for name, (passed, _) in platform.checks(partition).items()}


def _failure(result: dg.ExecuteInProcessResult) -> str:
    events = result.filter_events(lambda event: event.is_step_failure)
    failure = events[0].step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description is not None
    return failure.description


def _evaluations(platform: Platform, result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    logged = platform.instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.get_dagster_event().event_specific_data for entry in logged]
    return [data for data in evaluations if isinstance(data, dg.AssetCheckEvaluation)]


def _warnings(platform: Platform, result: dg.ExecuteInProcessResult) -> set[str]:
    """The checks that warn; no check may fail."""
    not_passed = [evaluation for evaluation in _evaluations(platform, result) if not evaluation.passed]
    assert {evaluation.severity for evaluation in not_passed} <= {dg.AssetCheckSeverity.WARN}
    return {evaluation.check_name for evaluation in not_passed}


def test_a_batch_reports_every_partition_that_gained_rows(platform: Platform) -> None:
    platform.land(
        {
            "2026/week05/a.json": records("2026-02-03", "live") + records("2026-02-04", "test", 2),
            "2026/week05/b.json": records("2026-02-03", "live", 4),
        }
    )
    assert platform.run_batch().success
    assert platform.materialized() == {"2026-02-03|live", "2026-02-04|test"}
    metadata = platform.metadata("2026-02-03|live")
    assert (metadata["rows"], metadata["files"], metadata["raw files"], metadata["contract version"]) == (7, 1, 2, 1)
    for partition in platform.materialized():
        assert _passed(platform, partition) == ALL_PASSED


def test_the_column_schema_has_the_json_path_of_each_column(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": b'{"event_time": "2026-02-03", "mode": "live", "user": {"id": 7}}\n'})
    platform.run_batch()
    schema = platform.metadata("2026-02-03|live")["dagster/column_schema"]
    columns = {column.name: (column.type, column.description) for column in schema.columns}
    assert columns["user_id"] == ("int64", "JSON field `user.id`, since contract version 1")
    assert columns["_file_id"][1] == "Added by the lake"
    lineage = platform.metadata("2026-02-03|live")["dagster/column_lineage"].deps_by_column["user_id"]
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage] == [("landing_files", "user.id")]


def test_a_few_quarantined_records_are_shown_raw(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live") + b"{`broken` | \xff\n" * 9})
    platform.run_batch({}, lake=replace(platform.lake, options=replace(platform.lake.options, max_bad_share=1.0)))
    table = platform.metadata("2026-02-03|live")["quarantined records"].splitlines()
    assert len(table) == 2 + MAX_SAMPLES
    cells = table[2].split(" | ")
    assert (cells[0], cells[1]) == ("| `2026/week05/a.json`", "3")
    assert cells[3].startswith("invalid_utf8: ")
    assert "``{`broken` \\| \ufffd``" in table[2]
    assert "quarantine/batch=" in table[2]


def test_a_wide_table_is_described_once_in_a_run_over_many_partitions(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake_pipeline.defs.conversion.events.MAX_COLUMNS", 5)
    platform.land({"2026/week05/a.json": records("2026-02-03", "live") + records("2026-02-04", "live")})
    platform.run_batch()
    assert "dagster/column_schema" not in platform.metadata("2026-02-03|live")
    assert "dagster/column_schema" in platform.metadata("2026-02-04|live")


def test_a_column_that_needs_widening_warns_and_blocks_nothing(platform: Platform) -> None:
    day = {"event_time": "2026-02-03", "mode": "live"}
    platform.land({"2026/week05/a.json": ndjson({**day, "n": 1})})
    assert platform.run_batch().success
    platform.land({"2026/week05/b.json": ndjson({**day, "n": 0.5})})
    result = platform.run_batch(lake=replace(platform.lake, rewrite_bytes=0))
    assert result.success
    (schema,) = [check for check in _evaluations(platform, result) if check.check_name == "schema"]
    assert (schema.passed, schema.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "lake contract widen n" in (schema.description or "")


def test_contract_changes_of_a_batch_are_reported(platform: Platform) -> None:
    day = {"event_time": "2026-02-03", "mode": "live"}
    platform.land({"2026/week05/a.json": ndjson({**day, "n": 1})})
    platform.run_batch()
    platform.land({"2026/week05/b.json": ndjson({**day, "n": 0.5, "new": "t"})})
    assert platform.run_batch().success
    assert platform.metadata("2026-02-03|live")["contract changes"].splitlines() == [
        "```diff",
        "~ n widened: int64 → double (from n)",
        "+ new string (from new)",
        "```",
    ]
    assert _passed(platform, "2026-02-03|live") == ALL_PASSED


def test_one_partition_is_converted_and_the_others_stay_pending(platform: Platform) -> None:
    platform.land(
        {
            "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
            "2026/week05/date=2026-02-04_mode=live_1.json": records("2026-02-04", "live"),
        }
    )
    assert platform.materialize("2026-02-03|live").success
    assert platform.materialized() == {"2026-02-03|live"}
    assert _passed(platform, "2026-02-03|live") == ALL_PASSED
    assert platform.lake.ledger.views.status().files[FileState.PENDING] == 1


def test_a_range_in_one_run_reports_each_of_its_partitions(platform: Platform) -> None:
    days = ("2026-02-03", "2026-02-04", "2026-02-05")
    platform.land({f"2026/week05/date={day}_mode=live_1.json": records(day, "live") for day in days})
    assert platform.materialize_range("2026-02-03|live", "2026-02-05|live").success
    assert platform.materialized() == {f"{day}|live" for day in days}
    for day in days:
        assert platform.metadata(f"{day}|live")["rows"] == 3
        assert _passed(platform, f"{day}|live") == ALL_PASSED


def test_rows_outside_the_selection_are_reported_for_their_own_partition(platform: Platform) -> None:
    content = records("2026-02-03", "live") + records("2026-02-09", "replay", 1)
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": content})
    assert platform.materialize("2026-02-03|live").success
    assert platform.materialized() == {"2026-02-03|live", "2026-02-09|replay"}
    assert platform.metadata("2026-02-09|replay")["rows"] == 1
    assert _passed(platform, "2026-02-09|replay") == ALL_PASSED


def test_a_published_partition_is_rebuilt_from_its_originals(platform: Platform) -> None:
    days = ("2026-02-03", "2026-02-04")
    platform.land({"2026/week05/both.json": b"".join(records(day, "live") for day in days)})
    platform.run_batch()
    rows, files = platform.rows(), _files_by_day(platform)

    assert platform.materialize("2026-02-03|live").success

    assert platform.rows() == rows
    after = _files_by_day(platform)
    assert after["2026-02-03"].isdisjoint(files["2026-02-03"])
    assert after["2026-02-04"] == files["2026-02-04"]
    assert _passed(platform, "2026-02-03|live") == ALL_PASSED


def test_pending_files_are_converted_before_the_rebuild(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    platform.run_batch()
    platform.land({"2026/week05/date=2026-02-03_mode=live_2.json": records("2026-02-03", "live")})

    assert platform.materialize("2026-02-03|live").success

    assert platform.lake.ledger.views.status().files[FileState.SUCCEEDED] == 2
    assert len({file.batch_id for file in platform.lake.ledger.curated.files()}) == 1, "both are from the rebuild"


def test_a_run_for_pending_files_does_not_change_published_files(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    platform.run_batch()
    before = _files_by_day(platform)["2026-02-03"]
    platform.land({"2026/week05/date=2026-02-03_mode=live_2.json": records("2026-02-03", "live")})
    [request] = platform.tick().run_requests or []

    assert platform.materialize("2026-02-03|live", request.run_config).success

    assert before < _files_by_day(platform)["2026-02-03"]


def test_an_impossible_rebuild_fails_the_run_and_changes_nothing(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    platform.run_batch()
    before = platform.rows()
    next((platform.settings.storage.directory / "raw-json-data-processed").rglob("a.json")).unlink()

    result = platform.materialize("2026-02-03|live")

    assert not result.success
    assert platform.rows() == before


def _files_by_day(platform: Platform) -> dict[str, set[str]]:
    files: dict[str, set[str]] = {}
    for file in platform.lake.ledger.curated.files():
        files.setdefault(file.partition.day.isoformat(), set()).add(file.key)
    return files


def test_a_partition_without_data_has_a_note(platform: Platform) -> None:
    assert platform.materialize("2026-02-03|live").success
    metadata = platform.metadata("2026-02-03|live")
    assert metadata["rows"] == 0
    assert "no data" in metadata["note"]
    assert _passed(platform, "2026-02-03|live") == ALL_PASSED


def test_a_second_run_finds_nothing_and_changes_nothing(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    platform.run_batch()
    before = platform.rows()
    assert platform.run_batch().success
    assert platform.rows() == before


def test_the_run_config_limits_a_batch(platform: Platform) -> None:
    platform.land({f"2026/week05/{number}.json": records("2026-02-03", "live") for number in range(3)})
    assert platform.run_batch({"batch_files": 1}).success
    assert platform.lake.ledger.views.status().files[FileState.SUCCEEDED] == 1


def test_sensor_runs_and_the_command_give_the_same_rows(platform: Platform) -> None:
    files = {
        "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
        "2026/week05/mixed.json": records("2026-02-04", "test") + b"{broken\n" + records("2026-02-05", "live", 20),
        "all_historical_files/old.json": records("2026-01-04", "test"),
    }
    platform.land(files)
    while requests := platform.tick().run_requests:
        for request in requests:
            run = (
                platform.materialize(request.partition_key, request.run_config)
                if request.partition_key
                else platform.run_batch()
            )
            assert run.success
    by_runs = platform.rows()
    assert len(by_runs) == 29

    again = {key.replace(".json", "-again.json"): content for key, content in files.items()}
    platform.land(again)
    platform.ingest_by_command()
    by_both = platform.rows()
    assert by_both == sorted([*by_runs, *by_runs], key=repr)


def test_a_curated_file_with_missing_rows_fails_the_check_of_its_partition(
    platform: Platform,
) -> None:
    platform.land(
        {
            "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
            "2026/week05/date=2026-02-04_mode=live_1.json": records("2026-02-04", "live"),
        }
    )
    platform.run_batch()
    [curated] = (platform.settings.storage.directory / "json_parsed_parquet/year=2026/month=02/day=03").rglob(
        "*.parquet"
    )
    pq.write_table(pq.ParquetFile(curated).read().slice(0, 2), curated)

    result = platform.materialize_range("2026-02-03|live", "2026-02-04|live", ADD_ONLY)
    assert not result.success
    assert "2026-02-03|live" in _failure(result)
    assert "2 rows, the ledger says 3" in _failure(result)
    assert _passed(platform, "2026-02-03|live") == {**ALL_PASSED, "row_count": False, "conservation": False}
    assert _passed(platform, "2026-02-04|live") == ALL_PASSED

    assert platform.materialize("2026-02-03|live").success, "a rebuild repairs it"
    assert _passed(platform, "2026-02-03|live") == ALL_PASSED


def test_a_quarantined_file_fails_no_run_and_loses_nothing(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.land(
        {"2026/week05/good.json": records("2026-02-03", "live"), "2026/week05/bad.json": b"not json at all\n"}
    )
    assert platform.run_batch().success
    assert "1 files can't be converted and are quarantined" in caplog.text
    assert "lake retry" in caplog.text
    assert platform.materialized() == {"2026-02-03|live"}
    assert len(platform.rows()) == 3
    states = platform.lake.ledger.views.status().files
    assert (states[FileState.SUCCEEDED], states[FileState.QUARANTINED]) == (1, 1)


def test_a_refused_file_makes_the_checks_of_its_partition_warn(platform: Platform) -> None:
    platform.land(
        {
            "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
            "2026/week05/date=2026-02-03_mode=live_2.json": b"not json at all\n" * 3,
        }
    )
    result = platform.materialize("2026-02-03|live")
    assert result.success
    assert _warnings(platform, result) == {"completeness", "quarantine_share"}
    texts = {check.check_name: check.description or "" for check in _evaluations(platform, result)}
    assert "1 are quarantined: `lake retry --dry-run` says why" in texts["completeness"]
    assert "3 of 6 records in its raw files are quarantined (50.00%)" in texts["quarantine_share"]


def test_completeness_warns_if_a_day_has_far_fewer_rows_than_the_same_weekday_before(platform: Platform) -> None:
    weeks = ("2026-01-06", "2026-01-13", "2026-01-20")
    platform.land({"2026/week05/earlier.json": b"".join(records(day, "live", 10) for day in weeks)})
    assert _warnings(platform, platform.run_batch()) == set()

    platform.land({"2026/week06/a.json": records("2026-01-27", "live", 4) + records("2026-01-28", "live", 1)})
    result = platform.run_batch()
    assert result.success
    checks = {(check.check_name, check.partition): check for check in _evaluations(platform, result)}
    few, first = checks["completeness", "2026-01-27|live"], checks["completeness", "2026-01-28|live"]
    assert (few.passed, few.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "gave 4 rows" in (few.description or "")
    assert "in 3 weeks before: 10 rows. Less than LAKE_USUAL_SHARE (50%)" in (few.description or "")
    assert first.passed
    assert "No baseline yet: fewer than 2 of the 4 weeks before" in (first.description or "")

    platform.land({"2026/week06/b.json": records("2026-01-27", "live", 1)})
    assert _warnings(platform, platform.run_batch()) == set(), "the rest has landed"


def test_today_may_have_few_rows(platform: Platform) -> None:
    today = datetime.now(UTC).date()
    weeks = [(today - timedelta(days=7 * back)).isoformat() for back in (1, 2)]
    platform.land({"2026/week05/a.json": b"".join(records(day, "live", 10) for day in weeks)})
    platform.land({"2026/week06/b.json": records(today.isoformat(), "live", 1)})
    assert _warnings(platform, platform.run_batch()) == set()


def test_quarantined_records_warn_above_the_limit(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live", 99) + b"{broken\n"})
    assert _warnings(platform, platform.run_batch()) == set()
    assert _warnings(platform, platform.materialize("2026-02-03|live")) == set()
    platform.land({"2026/week05/b.json": records("2026-02-03", "live", 97) + b"{broken\n" * 3})
    assert _warnings(platform, platform.run_batch()) == {"quarantine_share"}


def test_freshness_warns_if_a_file_waits_for_too_long(platform: Platform) -> None:
    platform.land(
        {f"2026/week05/date=2026-02-03_mode=live_{number}.json": records("2026-02-03", "live") for number in range(2)}
    )
    result = platform.run_batch({"batch_files": 1}, lake=replace(platform.lake, fresh_hours=1e-9))
    assert _warnings(platform, result) == {"completeness", "freshness"}
    assert _warnings(platform, platform.run_batch()) == set()


def test_a_failed_selection_materializes_only_the_partitions_that_gained_rows(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.land(
        {f"2026/week05/date=2026-02-{day}_mode=live.json": records(f"2026-02-{day}", "live") for day in ("03", "04")}
    )
    open_object = DirectoryStore.open

    def fail_for_one(store: DirectoryStore, key: str, **options: Any) -> BinaryIO:
        if "2026-02-04" in key:
            raise StorageUnavailable("the store does not respond")
        return open_object(store, key, **options)

    monkeypatch.setattr(DirectoryStore, "open", fail_for_one)
    result = platform.materialize_range("2026-02-03|live", "2026-02-04|live")
    assert not result.success
    assert "1 of 2 files were published. 1 failed and will be retried automatically" in _failure(result)
    assert platform.materialized() == {"2026-02-03|live"}
    assert _passed(platform, "2026-02-03|live") == ALL_PASSED


def test_a_requested_partition_retries_its_failed_files_at_once(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live.json": records("2026-02-03", "live")})
    failing = _Failing(TransientError("not now"))
    assert not platform.run_batch(lake=replace(platform.lake, engine=failing)).success
    assert platform.materialize("2026-02-03|live", tags={SENSOR_TAG: "pending_files_sensor"}).success
    assert platform.rows() == [], "the sensor's run respects the backoff"
    assert platform.materialize("2026-02-03|live").success
    assert len(platform.rows()) == 3


def test_during_the_pause_of_an_outage_the_sensor_and_its_runs_wait_and_a_person_does_not(platform: Platform) -> None:
    platform.land({"2026/week05/date=2026-02-03_mode=live.json": records("2026-02-03", "live")})
    assert not platform.run_batch(lake=replace(platform.lake, engine=_UnavailableStore())).success
    tick = platform.tick()
    assert not tick.run_requests
    assert "The store does not respond (1 files). No file lost an attempt" in tick.skip_message
    run = platform.materialize("2026-02-03|live", tags={SENSOR_TAG: "pending_files_sensor"})
    assert not run.success
    assert "Paused until" in _failure(run)
    assert platform.materialize("2026-02-03|live").success
    assert len(platform.rows()) == 3
    assert platform.lake.ledger.outages.list() == []


def test_after_the_pause_of_an_outage_the_sensor_requests_one_run_which_probes(platform: Platform) -> None:
    platform.land({f"2026/week05/date=2026-02-0{day}_mode=live.json": records("2026-02-03", "live") for day in "345"})
    platform.lake.ledger.outages.open(f"store {platform.lake.store.uri}", "it was away", failures=0)
    with platform.lake.ledger.database.transaction() as connection:
        connection.execute(text("UPDATE outage SET paused_until = now()"))
    assert len(platform.tick().run_requests) == 1


class _Failing:
    """An engine that raises `error`."""

    name = "in_process"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:  # noqa: ARG002
        raise self._error


class _UnavailableStore:
    """An engine whose store does not respond."""

    name = "in_process"

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:  # noqa: ARG002
        raise StorageUnavailable(f"The store does not respond ({len(request.files)} files).")


def test_a_batch_that_fails_as_a_whole_fails_the_run_and_its_files_stay_in_the_ledger(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    result = platform.run_batch(lake=replace(platform.lake, engine=_UnavailableStore()))
    assert not result.success
    assert "1 files stopped. The store" in _failure(result)
    assert "The store does not respond (1 files). No file lost an attempt" in _failure(result)
    assert platform.lake.ledger.views.status().files[FileState.PENDING] == 1
    assert platform.rows() == []


def test_a_listing_does_not_make_published_partitions_unsynced(platform: Platform) -> None:
    platform.land(
        {
            "2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live"),
            "2026/week05/other.json": records("2026-02-04", "live"),
        }
    )
    listing = platform.definitions().resolve_job_def("landing_files_job")
    assert platform.materialize("2026-02-03|live").success
    assert platform.run_batch().success
    for _ in range(2):
        for partition in ("2026-02-03|live", "2026-02-04|live"):
            assert platform.out_of_date_because(partition) == []
        assert listing.execute_in_process(instance=platform.instance).success


def test_a_listing_reports_its_counts(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    job = platform.definitions().resolve_job_def("landing_files_job")
    result = job.execute_in_process(instance=platform.instance)
    [materialization] = result.asset_materializations_for_node("landing_files")
    assert (materialization.metadata["seen"].value, materialization.metadata["known"].value) == (1, 1)
    assert materialization.metadata["not read"].value == 0


def test_a_listing_reports_what_it_can_not_read_and_registers_the_rest(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    (platform.settings.storage.directory / "2026/week05/loop").symlink_to("..")
    job = platform.definitions().resolve_job_def("landing_files_job")
    result = job.execute_in_process(instance=platform.instance)
    assert result.success
    [materialization] = result.asset_materializations_for_node("landing_files")
    assert materialization.metadata["not read"].value == 1
    assert materialization.metadata["not read, examples"].value == {
        "2026/week05/loop": "a link, which is not followed (LAKE_FOLLOW_LINKS)"
    }
