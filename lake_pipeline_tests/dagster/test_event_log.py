"""The event log: what is stored together is what Dagster's own storage would have stored one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from lake_pipeline.defs.event_log import BATCH_VARIABLE, LakeEventLog
from lake_pipeline.defs.instance import lake_instance
from lake_pipeline.defs.sensors import ADD_ONLY
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.ledger_builders import run_sql

EVENTS = """SELECT dagster_event_type, asset_key, partition, step_key FROM event_logs
    WHERE run_id = :run AND asset_key IS NOT NULL OR run_id = :run AND dagster_event_type LIKE 'ASSET_CHECK%'
    ORDER BY 1, 2, 3"""

CHECKS = """SELECT c.check_name, c.partition, c.execution_status, told.dagster_event_type, made.partition AS of,
        made.run_id = c.run_id AS of_this_run
    FROM asset_check_executions AS c
    LEFT JOIN event_logs AS told ON told.id = c.evaluation_event_storage_id
    LEFT JOIN event_logs AS made ON made.id = c.materialization_event_storage_id
    WHERE c.run_id = :run ORDER BY 1, 2"""

TAGS = """SELECT t.key, t.value, e.partition FROM asset_event_tags AS t JOIN event_logs AS e ON e.id = t.event_id
    WHERE e.run_id = :run AND t.key NOT LIKE '%pointer%' AND t.key <> 'dagster/data_version' ORDER BY 1, 2, 3"""

DAYS = [f"2026-02-{day:02}" for day in range(3, 8)]


def _told(url: str, run: str) -> dict[str, list[tuple[Any, ...]]]:
    return {query: [tuple(row) for row in run_sql(url, query, run=run)] for query in (EVENTS, CHECKS, TAGS)}


def _plain(platform: Platform, url: str) -> dg.DagsterInstance:
    """An instance with the storage that Dagster brings."""
    overrides = {"storage": {"postgres": {"postgres_url": url}}}
    home = platform.settings.home / "plain"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


@pytest.mark.parametrize("together", ["0", "4", "500"])
def test_a_run_over_a_range_leaves_the_rows_that_it_leaves_in_the_storage_of_dagster(
    platform: Platform, ledger_url: str, together: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BATCH_VARIABLE, together)
    settings = platform.settings.model_copy(update={"dagster_url": ledger_url})
    told = list[dict[str, list[tuple[Any, ...]]]]()
    with _plain(platform, ledger_url) as plain, lake_instance(settings) as ours:
        assert isinstance(ours.event_log_storage, LakeEventLog)
        for instance, number in ((plain, 1), (ours, 2)):
            # Each file holds rows of another partition, too, so that one is reported that nobody asked for.
            platform.land(
                {
                    f"2026/week05/date={day}_mode=live_{number}.json": records(day, "live") + records("2026-02-09", "b")
                    for day in DAYS
                }
            )
            asked = replace(platform, instance=instance)
            run = asked.materialize_range(f"{DAYS[0]}|live", f"{DAYS[-1]}|live", ADD_ONLY)
            assert run.success
            told.append(_told(ledger_url, run.run_id))
    assert told[1] == told[0]
    assert len(told[0][CHECKS]) == 6 * 6
