"""Tags of Dagster that the lake names itself, because Dagster's names for them are private."""

from __future__ import annotations

from dagster._core.storage import tags

from lake_pipeline.defs.conversion import runs


def test_tags_are_those_of_the_pinned_dagster() -> None:
    assert runs.BACKFILL_TAG == tags.BACKFILL_ID_TAG
    assert runs.PARTITION_TAG == tags.PARTITION_NAME_TAG
    assert runs.RANGE_START_TAG == tags.ASSET_PARTITION_RANGE_START_TAG
    assert runs.RANGE_END_TAG == tags.ASSET_PARTITION_RANGE_END_TAG
    assert runs.SENSOR_TAG == tags.SENSOR_NAME_TAG
    assert runs.PRIORITY_TAG == tags.PRIORITY_TAG
