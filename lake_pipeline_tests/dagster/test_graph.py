"""The asset graph, jobs, schedules and sensors as text, so that a change shows what changes in the UI."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from lake_pipeline.defs.build import build_defs
from lake_pipeline.settings import load_settings

GRAPH = """\
curated_catalog <- json_parsed_parquet
json_parsed_parquet <- landing_files [date × mode, pool lake_conversion]
    check completeness warns
    check conservation blocks
    check freshness warns
    check quarantine_share warns
    check row_count blocks
    check schema blocks
lake_backlog
lake_fsck
    check clean blocks
landing_files
training_snapshot <- json_parsed_parquet
job curated_catalog_job
job expectations_job
job ingest_batch_job
job json_parsed_parquet_job
job lake_fsck_job
job lake_upkeep_job
job landing_files_job
schedule lake_upkeep 17 * * * *
schedule nightly_expectations 0 2 * * *
schedule nightly_fsck 0 2 * * *
schedule weekly_listing 0 6 * * 1
sensor alert_on_failure
sensor alert_on_trouble
sensor catalog_sensor
sensor landing_events_sensor
sensor pending_files_sensor"""


def test_the_graph_is_unchanged() -> None:
    queue = "https://sqs.eu-central-1.amazonaws.com/1/q"
    definitions = build_defs(load_settings(root="s3://bucket", events_queue_url=queue))
    assert "\n".join(_lines(definitions)) == GRAPH


def test_everything_in_the_ui_has_a_description() -> None:
    repository = build_defs(load_settings()).get_repository_def()
    for key in repository.asset_graph.get_all_asset_keys():
        node = repository.asset_graph.get(key)
        assert node.description, key
        assert (node.group_name, node.owners) == ("lake", ["team:lake"]), key
        assert node.kinds, key
    for job in repository.get_all_jobs():
        assert job.description or job.name.startswith("__"), job.name
    for sensor in repository.sensor_defs:
        assert sensor.description, sensor.name
    for schedule in repository.schedule_defs:
        assert schedule.description, schedule.name


def _lines(definitions: dg.Definitions) -> Iterator[str]:
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys))
        partitions = node.partitions_def
        pools = [f"pool {pool}" for pool in sorted(node.pools or ())]
        dimensions = " × ".join(sorted(partitions.partition_dimension_names)) if partitions else ""  # type: ignore[attr-defined]
        details = ", ".join([*([dimensions] if dimensions else []), *pools])
        yield key.to_user_string() + (f" <- {parents}" if parents else "") + (f" [{details}]" if details else "")
        for check in sorted(graph.get_check_keys_for_assets({key}), key=lambda check: check.name):
            yield f"    check {check.name} {'blocks' if graph.get(check).blocking else 'warns'}"
    yield from sorted(f"job {name}" for name in repository.job_names if not name.startswith("__"))
    yield from sorted(f"schedule {schedule.name} {schedule.cron_schedule}" for schedule in repository.schedule_defs)
    yield from sorted(f"sensor {sensor.name}" for sensor in repository.sensor_defs)
