"""For each test a lake with real parts, its Dagster definitions and its own Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from lake_pipeline.composition import open_lake
from lake_pipeline.defs.build import build_defs
from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.defs.conversion.events import CURATED
from lake_pipeline.defs.partitions import add_modes
from lake_pipeline.defs.resources import LAKE, LakeResource
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.dagster_instances import dagster_instance
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import land, published
from lake_pipeline_tests.support.settings import changed_settings


class OpenLake(LakeResource):
    """The resource for a lake that is already open."""

    def __init__(self, lake: Lake) -> None:
        self._opened = lake

    def open(self) -> Lake:
        return self._opened

    def open_for_reading(self) -> Lake:
        return self._opened


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A lake, the definitions over it, and a Dagster instance."""

    settings: Settings
    lake: Lake
    instance: dg.DagsterInstance

    def land(self, files: dict[str, bytes]) -> None:
        """Put raw files into the landing zones and register them."""
        land(self.settings.storage.directory, files)
        discover(self.lake)

    def definitions(self) -> dg.Definitions:
        """Fresh definitions over this lake."""
        return build_defs(self.settings)

    def tick(self, cursor: str | None = None, **settings: Any) -> Any:
        """Evaluate pending_files_sensor, with some settings changed."""
        changed = changed_settings(self.settings, **settings)
        repository = build_defs(changed).get_repository_def()
        context = dg.build_sensor_context(
            instance=self.instance,
            # Without it the sensor gets no instance.
            instance_ref=self.instance.get_ref(),
            repository_def=repository,
            resources={LAKE: OpenLake(self.lake)},
            cursor=cursor,
        )
        return repository.get_sensor_def("pending_files_sensor").evaluate_tick(context)

    def run_batch(self, config: dict[str, Any] | None = None, *, lake: Lake | None = None) -> dg.ExecuteInProcessResult:
        """One run of ingest_batch_job, by default on this lake."""
        return (
            self.definitions()
            .resolve_job_def("ingest_batch_job")
            .execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                run_config={"ops": {"run_conversion": {"config": config or {}}}},
                resources={LAKE: OpenLake(lake or self.lake)},
            )
        )

    def materialize(
        self, partition: str, run_config: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """One run of the asset for one partition, as launched in the UI, or by the sensor with a config and tags."""
        add_modes(self.instance, [PartitionKey.parse(partition)])
        job = self.definitions().resolve_job_def("json_parsed_parquet_job")
        return job.execute_in_process(
            instance=self.instance, raise_on_error=False, partition_key=partition, run_config=run_config, tags=tags
        )

    def materialize_range(
        self, first: str, last: str, run_config: Mapping[str, Any] | None = None, *, lake: Lake | None = None
    ) -> dg.ExecuteInProcessResult:
        """One run of the asset for a range of partitions, as in a backfill, by default on this lake."""
        add_modes(self.instance, [PartitionKey.parse(first), PartitionKey.parse(last)])
        job = self.definitions().resolve_job_def("json_parsed_parquet_job")
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return job.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            tags=tags,
            run_config=run_config,
            resources={LAKE: OpenLake(lake)} if lake else None,
        )

    def ingest_by_command(self) -> None:
        """Do what `lake ingest` does."""
        list(ingest_all(self.lake))

    def materialized(self) -> set[str]:
        """The partitions that Dagster shows as materialized."""
        return set(self.instance.get_materialized_partitions(CURATED))

    def metadata(self, partition: str) -> dict[str, Any]:
        """The metadata of the latest materialization of `partition`, as plain values."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(CURATED, asset_partitions=[partition]), limit=1
        ).records
        materialization = records[0].asset_materialization
        assert materialization is not None
        return {key: value.value for key, value in materialization.metadata.items()}

    def checks(self, partition: str) -> dict[str, tuple[bool, str]]:
        """The latest result of each check of `partition`, for those that point at its latest materialization."""
        results = {}
        for name in CHECKS:
            info = self.instance.event_log_storage.get_asset_check_partition_info(
                [dg.AssetCheckKey(CURATED, name)], partition_keys=[partition]
            )
            assert len(info) == 1, f"{name} of {partition} has no result"
            assert info[0].latest_target_materialization_storage_id == info[0].latest_materialization_storage_id
            results[name] = (info[0].latest_execution_status.value == "SUCCEEDED", info[0].latest_planned_run_id)
        return results

    def out_of_date_because(self, partition: str) -> list[str]:
        """Why the UI shows `partition` as unsynced."""
        graph = self.definitions().get_repository_def().asset_graph
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        return [cause.reason for cause in resolver.get_stale_causes(CURATED, partition)]

    def rows(self) -> list[dict[str, Any]]:
        """Every row that a reader sees."""
        return published(self.settings.storage.directory)


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str) -> Settings:
    return load_settings(
        root=tmp_path / "lake", home=tmp_path / "home", ledger_url=ledger_url, first_date=date(2026, 1, 1), workers=1
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_lake(settings) as lake, dagster_instance() as instance:
        yield Platform(settings=settings, lake=lake, instance=instance)


def records(day: str, mode: str, count: int = 3) -> bytes:
    """A raw file with `count` records of one partition."""
    return ndjson(*({"event_time": f"{day}T10:00:00Z", "mode": mode, "n": number} for number in range(count)))
