"""Rebuilding, forgetting and fsck in a bucket: what they promise of a directory, they keep there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lake_pipeline.ingest.forget import forget
from lake_pipeline.ingest.fsck.audit import Audit
from lake_pipeline.ingest.fsck.findings import Finding, Problem
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.rebuild import rebuild
from lake_pipeline.storage.s3 import S3Store
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.factories import ndjson
from lake_pipeline_tests.lakes import downloaded, ingest, is_sound, published, quarantined
from lake_pipeline_tests.s3.conftest import Land

DAY = {"event_time": "2026-02-03", "mode": "live"}
BOTH, ONE = "2026/week06/both.json", "2026/week06/one.json"
FILES = {
    BOTH: ndjson(*[{**DAY, "event_time": f"2026-02-0{3 + n % 2}", "n": n} for n in range(6)], {"n": 6}),
    ONE: ndjson(*[{**DAY, "n": 10 + n} for n in range(3)], {"n": 13}),
}

Seen = Callable[[], tuple[list[dict[str, Any]], list[tuple[str, bytes]]]]


@pytest.fixture
def lake(lake: Lake, land: Land) -> Lake:
    """A lake in which everything is published and archived."""
    land(FILES)
    ingest(lake)
    return lake


@pytest.fixture
def seen(store: S3Store, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Rows and quarantined records that a reader of the bucket sees now."""

    def see() -> tuple[list[dict[str, Any]], list[tuple[str, bytes]]]:
        folder = downloaded(store, tmp_path_factory.mktemp("seen"))
        return published(folder), quarantined(folder)

    return see


def mended(lake: Lake) -> list[tuple[Problem, bool]]:
    return [(finding.problem, finding.mended) for finding in Audit(lake=lake, repair=True).findings()]


def found(lake: Lake) -> list[Finding]:
    return list(Audit(lake=lake).findings())


def part_of(lake: Lake, day: int) -> str:
    (key,) = [file.key for file in lake.ledger.curated_files() if file.partition.day.day == day]
    return key


def test_a_rebuild_replaces_rows_and_quarantined_records(lake: Lake, seen: Seen) -> None:
    before, old = seen(), part_of(lake, 3)

    done = rebuild(lake, [file.partition for file in lake.ledger.curated_files() if file.key == old])

    assert done is not None
    assert part_of(lake, 3) != old
    assert seen() == before
    assert is_sound(lake)


def test_what_is_forgotten_leaves_rows_and_quarantined_records_of_others(lake: Lake, seen: Seen) -> None:
    forget(lake, BOTH)

    rows, records = seen()
    assert [row["n"] for row in rows] == [10, 11, 12]
    assert [key for key, _ in records] == [ONE]
    assert is_sound(lake)


def test_a_new_version_takes_the_old_quarantined_records_out(lake: Lake, land: Land, seen: Seen) -> None:
    land({ONE: ndjson({**DAY, "n": 20}, {"n": 21}, {"n": 22})})

    ingest(lake)

    rows, records = seen()
    assert sorted(row["n"] for row in rows) == [0, 1, 2, 3, 4, 5, 20]
    assert [key for key, _ in records] == [BOTH, ONE, ONE]
    assert is_sound(lake)


def lose(client: Any, at: dict[str, str]) -> None:
    client.delete_object(**at)


def overwrite(client: Any, at: dict[str, str]) -> None:
    client.put_object(**at, Body=b"PAR1 of somebody else PAR1")


@pytest.mark.parametrize("damage", [lose, overwrite])
def test_fsck_rebuilds_what_readers_miss(
    aws: AwsServer, lake: Lake, store: S3Store, seen: Seen, damage: Callable[[Any, dict[str, str]], None]
) -> None:
    before = seen()
    place = store.place
    damage(aws.client(), {"Bucket": place.bucket, "Key": place.prefix + part_of(lake, 4)})

    [(_, is_mended)] = mended(lake)

    assert is_mended
    assert seen() == before
    assert found(lake) == []


def test_fsck_moves_an_archived_original_that_stands_in_the_landing_zone_again(
    lake: Lake, land: Land, store: S3Store
) -> None:
    land({ONE: FILES[ONE]})

    assert mended(lake) == [(Problem.HALF_MOVED, True)]
    assert store.stat(ONE) is None
    assert found(lake) == []


def test_fsck_ends_uploads_that_nobody_will_complete_and_keeps_strange_ones(lake: Lake, store: S3Store) -> None:
    (batch_id,) = {file.batch_id for file in lake.ledger.curated_files()}
    for key in (f"json_parsed_parquet/part-{batch_id}-9.parquet", "json_parsed_parquet/part-strange.parquet"):
        writer = store.put_pending(key)
        writer.write(b"PAR1")
        writer.finish()

    assert sorted(mended(lake)) == [(Problem.ORPHANED, False), (Problem.ORPHANED, True)]
    assert [pending.key for pending in store.pending()] == ["json_parsed_parquet/part-strange.parquet"]


def test_content_that_returns_is_found_by_its_etag(lake: Lake, land: Land, seen: Seen) -> None:
    """In a bucket the same bytes have the same ETag, whenever they come."""
    before = seen()
    land({ONE: ndjson({**DAY, "n": 99})})
    ingest(lake)
    land({ONE: FILES[ONE]})
    assert found(lake) == []

    ingest(lake)

    assert seen() == before
    assert is_sound(lake)


def test_fsck_and_rebuild_outlive_faults(aws: AwsServer, lake: Lake, seen: Seen) -> None:
    before = seen()
    with aws.faults(rate=0.1, seed=3, stall_seconds=0.1) as made:
        for _ in range(3):
            rebuild(lake, {file.partition for file in lake.ledger.curated_files()})
            assert found(lake) == []
    assert made.total() > 3
    assert seen() == before
