"""Scheduled operations: fsck as an asset with its check, upkeep, and checks that depend on time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from lake_pipeline.defs.checks import FSCK_CHECK
from lake_pipeline.defs.operations.fsck_asset import FSCK_NAME
from lake_pipeline.defs.resources import LAKE
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.dagster.conftest import OpenLake, Platform, records


def _run(
    platform: Platform, job: str, run_config: dict[str, Any] | None = None, lake: Lake | None = None
) -> dg.ExecuteInProcessResult:
    definition = platform.definitions().resolve_job_def(job)
    return definition.execute_in_process(
        instance=platform.instance,
        raise_on_error=False,
        run_config=run_config,
        resources={LAKE: OpenLake(lake or platform.lake)},
    )


def _compare(platform: Platform, **config: bool) -> tuple[bool, bool, str]:
    """Whether the run succeeded and the check passed, and the findings."""
    result = _run(platform, "lake_fsck_job", {"ops": {"compare_store_and_ledger": {"config": config}}})
    [check] = result.get_asset_check_evaluations()
    [materialization] = result.asset_materializations_for_node("compare_store_and_ledger")
    return result.success, check.passed, str(materialization.metadata["findings"].value)


def test_fsck_passes_its_check_if_store_and_ledger_agree(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    platform.run_batch()
    assert _compare(platform) == (True, True, "No inconsistencies.")


def test_fsck_fails_its_check_and_its_run_and_lists_the_inconsistencies(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    platform.run_batch()
    [curated] = (platform.settings.storage.directory / "json_parsed_parquet").rglob("*.parquet")
    curated.unlink()
    succeeded, passed, findings = _compare(platform)
    assert (succeeded, passed) == (False, False)
    assert "| MISSING | no |" in findings
    assert curated.name in findings
    assert _compare(platform, repair=True)[:2] == (True, True)
    assert len(platform.rows()) == 3
    keys = [dg.AssetCheckKey(dg.AssetKey(FSCK_NAME), FSCK_CHECK)]
    latest = platform.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert latest[keys[0]].status.value == "SUCCEEDED"


def test_upkeep_releases_the_files_of_a_lost_worker(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    ledger = platform.lake.ledger
    # A process of this machine that has exited.
    owner = f"{this_owner().rpartition('/pid/')[0]}/pid/4194303/1"
    claim = ledger.claims.take(owner=owner, max_files=9, max_bytes=9999, lease_seconds=600, engine="in_process")
    assert claim is not None
    assert ledger.views.status().files[FileState.PROCESSING] == 1
    assert _run(platform, "lake_upkeep_job").success
    assert ledger.views.status().files[FileState.PENDING] == 1


def test_freshness_of_a_partition_changes_without_a_conversion(platform: Platform) -> None:
    today = datetime.now(UTC).date().isoformat()
    partition, old = f"{today}|live", "2026-01-05|live"
    platform.land({f"2026/week05/date={today}_mode=live_1.json": records(today, "live")})
    platform.land({"2026/week05/date=2026-01-05_mode=live_1.json": records("2026-01-05", "live")})
    platform.run_batch()
    before = platform.checks(partition)
    assert before["freshness"][0]

    # A pending file for a partition of this week, for an old one, and for one that was never materialized.
    for day in (today, "2026-01-05", "2026-01-06"):
        platform.land({f"2026/week05/date={day}_mode=live_2.json": records(day, "live")})
    assert _run(platform, "expectations_job", lake=replace(platform.lake, fresh_hours=1e-9)).success

    for key in (partition, old):
        after = platform.checks(key)
        assert (after["freshness"][0], after["completeness"][0]) == (False, False), key
        assert after["row_count"] == before["row_count"], "published data is not checked"
    assert platform.materialized() == {partition, old}
