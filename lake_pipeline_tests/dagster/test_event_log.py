"""The event log: batches store the same rows as Dagster's own storage does one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from lake_pipeline.defs.instance.event_log import LakeEventLog
from lake_pipeline.defs.instance.instance import lake_instance
from lake_pipeline.defs.pending.pending_files_sensor import ADD_ONLY
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.support.ledger_builders import run_sql
from lake_pipeline_tests.support.settings import changed_settings

EVENTS = """SELECT dagster_event_type, asset_key, partition, step_key FROM event_logs
    WHERE run_id = :run AND asset_key IS NOT NULL OR run_id = :run AND dagster_event_type LIKE 'ASSET_CHECK%'
    ORDER BY 1, 2, 3"""

CHECKS = """SELECT c.check_name, c.partition, c.execution_status, event.dagster_event_type,
        materialization.partition AS of, materialization.run_id = c.run_id AS of_this_run
    FROM asset_check_executions AS c
    LEFT JOIN event_logs AS event ON event.id = c.evaluation_event_storage_id
    LEFT JOIN event_logs AS materialization ON materialization.id = c.materialization_event_storage_id
    WHERE c.run_id = :run ORDER BY 1, 2"""

TAGS = """SELECT t.key, t.value, e.partition FROM asset_event_tags AS t JOIN event_logs AS e ON e.id = t.event_id
    WHERE e.run_id = :run AND t.key NOT LIKE '%pointer%' AND t.key <> 'dagster/data_version' ORDER BY 1, 2, 3"""

DAYS = [f"2026-02-{day:02}" for day in range(3, 8)]


def _stored_rows(url: str, run: str) -> dict[str, list[tuple[Any, ...]]]:
    return {query: [tuple(row) for row in run_sql(url, query, run=run)] for query in (EVENTS, CHECKS, TAGS)}


def _dagsters_instance(platform: Platform, url: str) -> dg.DagsterInstance:
    """An instance with Dagster's own storage."""
    overrides = {"storage": {"postgres": {"postgres_url": url}}}
    home = platform.settings.storage.home / "plain"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


@pytest.mark.parametrize("batch_size", [0, 4, 500])
def test_a_run_over_a_range_stores_the_same_rows_as_with_the_storage_of_dagster(
    platform: Platform, ledger_url: str, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake_pipeline.defs.instance.event_log.BATCH_SIZE", batch_size)
    batches = list[int]()
    store_event_batch = LakeEventLog.store_event_batch

    def counting(self: LakeEventLog, events: Sequence[dg.EventLogEntry]) -> None:
        batches.append(len(events))
        store_event_batch(self, events)

    monkeypatch.setattr(LakeEventLog, "store_event_batch", counting)
    settings = changed_settings(platform.settings, dagster_url=ledger_url)
    stored = list[dict[str, list[tuple[Any, ...]]]]()
    with _dagsters_instance(platform, ledger_url) as dagsters, lake_instance(settings) as ours:
        assert isinstance(ours.event_log_storage, LakeEventLog)
        for instance, number in ((dagsters, 1), (ours, 2)):
            # Each file also has rows of another partition, so that a partition outside of the selection is reported.
            platform.land(
                {
                    f"2026/week05/date={day}_mode=live_{number}.json": records(day, "live") + records("2026-02-09", "b")
                    for day in DAYS
                }
            )
            run = replace(platform, instance=instance).materialize_range(
                f"{DAYS[0]}|live", f"{DAYS[-1]}|live", ADD_ONLY
            )
            assert run.success
            stored.append(_stored_rows(ledger_url, run.run_id))
    assert stored[1] == stored[0]
    assert len(stored[0][CHECKS]) == 6 * 6
    assert max(batches, default=0) == min(batch_size, 36), "the largest batch: 6 checks of 6 partitions"
