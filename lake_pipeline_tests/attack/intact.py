"""The end of every scenario: the lake is intact."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from lake_pipeline.model.states import FileState
from lake_pipeline.storage.zones import CURATED
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.lakes import downloaded, is_sound, published

ID = "id"
"""The field with the identity of a record: every record of a scenario has one."""


def records(first: int, count: int, *, day: str = "2026-02-03", mode: str = "live") -> list[dict[str, object]]:
    """Records of one partition with the ids `first`, `first + 1`, …"""
    return [{ID: number, "event_time": f"{day}T10:00:00Z", "mode": mode} for number in range(first, first + count)]


def assert_intact(lake: Lake, expected_ids: Iterable[int], *, quarantined: Collection[str] = ()) -> None:
    """Assert that readers see each of `expected_ids` exactly once, and that ledger, checks and `lake fsck` agree.

    `quarantined` are the keys of the files that are at fault; every other file of the ledger was published or replaced.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows = published(downloaded(lake.store, Path(folder), CURATED))
    assert sorted(row[ID] for row in rows) == sorted(expected_ids)
    assert is_sound(lake)
    files = lake.ledger.views.status().files
    unfinished = {state: files[state] for state in (FileState.PENDING, FileState.PROCESSING, FileState.FAILED)}
    assert set(unfinished.values()) == {0}, unfinished
    assert quarantined_keys(lake) == sorted(quarantined)


def quarantined_keys(lake: Lake) -> list[str]:
    """The keys of all quarantined files, sorted."""
    with lake.ledger.database.transaction() as connection:
        rows = connection.exec_driver_sql(
            "SELECT s3_key FROM file_processing_status WHERE processing_status = 'QUARANTINED' ORDER BY 1"
        )
        return [row[0] for row in rows]
