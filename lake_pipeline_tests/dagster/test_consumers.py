"""Assets downstream of the curated table: what they produce, and that a failed check stops them."""

from __future__ import annotations

import dagster as dg
import pytest

from lake_pipeline.defs.partitions import add_modes
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline_tests.dagster.conftest import Platform, records

PARTITION = "2026-02-03|live"


def materialize_with_snapshot(platform: Platform) -> dg.ExecuteInProcessResult:
    """One run of the curated partition and its downstream asset, as launched in the UI."""
    add_modes(platform.instance, [PartitionKey.parse(PARTITION)])
    job = platform.definitions().resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=platform.instance,
        partition_key=PARTITION,
        asset_selection=[dg.AssetKey("json_parsed_parquet"), dg.AssetKey("training_snapshot")],
        run_config={"ops": {"run_conversion": {"config": {"rebuild": False}}}},
        raise_on_error=False,
    )


@pytest.fixture
def landed(platform: Platform) -> Platform:
    platform.land({"2026/week05/date=2026-02-03_mode=live_1.json": records("2026-02-03", "live")})
    return platform


def test_a_snapshot_is_created_by_its_run_config(landed: Platform) -> None:
    landed.ingest_by_command()
    job = landed.definitions().resolve_implicit_global_asset_job_def()
    config = {"name": "week-5", "modes": ["live"], "first_day": "2026-02-01"}
    result = job.execute_in_process(
        instance=landed.instance,
        asset_selection=[dg.AssetKey("training_snapshot")],
        run_config={"ops": {"training_snapshot": {"config": config}}},
    )
    (materialization,) = result.asset_materializations_for_node("training_snapshot")
    snapshot = landed.lake.ledger.snapshots.get("week-5")
    assert materialization.metadata["rows"].value == snapshot.rows == 3
    assert materialization.metadata["digest"].value == snapshot.digest
    assert snapshot.selection.modes == ("live",)


def test_a_failed_check_stops_the_snapshot(landed: Platform) -> None:
    landed.ingest_by_command()
    [file] = landed.lake.ledger.curated.files()
    path = landed.lake.store.path(file.key)  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:-10])
    landed.land({"2026/week05/date=2026-02-03_mode=live_2.json": records("2026-02-03", "live")})
    result = materialize_with_snapshot(landed)
    assert not result.success
    assert result.asset_materializations_for_node("training_snapshot") == []
    assert landed.lake.ledger.snapshots.all() == []


def test_a_snapshot_materialized_with_its_partition_has_its_rows(landed: Platform) -> None:
    assert materialize_with_snapshot(landed).success
    [snapshot] = landed.lake.ledger.snapshots.all()
    assert snapshot.rows == 3
    assert snapshot.name.startswith("training-")
