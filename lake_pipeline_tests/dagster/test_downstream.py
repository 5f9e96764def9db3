"""Assets downstream of the curated table run after warnings, and never after a failed guard."""

# Dagster reads the annotations of assets, so this module does not import `annotations`.

import dagster as dg
import pyarrow.parquet as pq

from lake_pipeline.defs.conversion.curated_table import PARTITIONS_PER_RUN
from lake_pipeline.defs.conversion.events import CURATED
from lake_pipeline.defs.partitions import add_modes, lake_partitions
from lake_pipeline.defs.pending.pending_files_sensor import ADD_ONLY
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME
from lake_pipeline_tests.dagster.conftest import Platform, records


def test_a_failed_guard_stops_downstream_assets_and_a_warning_does_not(platform: Platform) -> None:
    materialized: list[str] = []

    @dg.asset(
        deps=[CURATED],
        partitions_def=lake_partitions(platform.settings.records.first_date),
        backfill_policy=dg.BackfillPolicy.multi_run(PARTITIONS_PER_RUN),
    )
    def downstream(context: dg.AssetExecutionContext) -> None:
        materialized.append(context.partition_key)

    with_downstream = dg.Definitions(
        assets=[downstream], jobs=[dg.define_asset_job("both", [CURATED_NAME, "downstream"])]
    )
    both = dg.Definitions.merge(platform.definitions(), with_downstream).resolve_job_def("both")
    key = "2026/week05/date=2026-02-03_mode=live_{}.json"
    platform.land({key.format(1): records("2026-02-03", "live"), key.format(2): b"not json\n"})
    add_modes(platform.instance, [PartitionKey.parse("2026-02-03|live")])

    def run() -> bool:
        return both.execute_in_process(
            instance=platform.instance, raise_on_error=False, partition_key="2026-02-03|live", run_config=ADD_ONLY
        ).success

    assert run(), "a quarantined file only warns"
    assert materialized == ["2026-02-03|live"]
    [curated] = (platform.settings.storage.directory / "json_parsed_parquet").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(curated).read().slice(0, 2), curated)
    assert not run()
    assert materialized == ["2026-02-03|live"]
