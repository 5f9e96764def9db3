"""Rebuilding, forgetting and fsck in a bucket give the same guarantees as in a directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import downloaded, ingest, is_sound, published, quarantined
from local_aws.server import AwsServer

DAY = {"event_time": "2026-02-03", "mode": "live"}
BOTH, ONE = "2026/week06/both.json", "2026/week06/one.json"
FILES = {
    BOTH: ndjson(*[{**DAY, "event_time": f"2026-02-0{3 + n % 2}", "n": n} for n in range(6)], {"n": 6}),
    ONE: ndjson(*[{**DAY, "n": 10 + n} for n in range(3)], {"n": 13}),
}

Seen = Callable[[], tuple[list[dict[str, Any]], list[tuple[str, bytes]]]]


@pytest.fixture
def lake(lake: Lake, land: Land) -> Lake:
    """A lake whose files are all published and archived."""
    land(FILES)
    ingest(lake)
    return lake


@pytest.fixture
def seen(store: S3Store, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Rows and quarantined records visible to a reader of the bucket."""

    def see() -> tuple[list[dict[str, Any]], list[tuple[str, bytes]]]:
        folder = downloaded(store, tmp_path_factory.mktemp("seen"))
        return published(folder), quarantined(folder)

    return see


def mended(lake: Lake) -> list[tuple[Problem, bool]]:
    return [(finding.problem, finding.mended) for finding in Audit(lake=lake, repair=True).findings()]


def found(lake: Lake) -> list[Finding]:
    return list(Audit(lake=lake).findings())


def part_of(lake: Lake, day: int) -> str:
    (key,) = [file.key for file in lake.ledger.curated.files() if file.partition.day.day == day]
    return key


def test_a_rebuild_replaces_rows_and_quarantined_records(lake: Lake, seen: Seen) -> None:
    before, old = seen(), part_of(lake, 3)

    done = rebuild(lake, [file.partition for file in lake.ledger.curated.files() if file.key == old])

    assert done is not None
    assert part_of(lake, 3) != old
    assert seen() == before
    assert is_sound(lake)


def test_forgetting_a_file_keeps_rows_and_quarantined_records_of_others(lake: Lake, seen: Seen) -> None:
    forget(lake, BOTH)

    rows, records = seen()
    assert [row["n"] for row in rows] == [10, 11, 12]
    assert [key for key, _ in records] == [ONE]
    assert is_sound(lake)


def test_a_new_version_replaces_the_quarantined_records_of_the_old_one(lake: Lake, land: Land, seen: Seen) -> None:
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
def test_fsck_rebuilds_missing_files(
    aws: AwsServer, lake: Lake, store: S3Store, seen: Seen, damage: Callable[[Any, dict[str, str]], None]
) -> None:
    before = seen()
    location = store.location
    damage(aws.client(), {"Bucket": location.bucket, "Key": location.prefix + part_of(lake, 4)})

    [(_, is_mended)] = mended(lake)

    assert is_mended
    assert seen() == before
    assert found(lake) == []


def test_fsck_archives_an_original_that_is_in_the_landing_zone_again(lake: Lake, land: Land, store: S3Store) -> None:
    land({ONE: FILES[ONE]})

    assert mended(lake) == [(Problem.HALF_MOVED, True)]
    assert store.stat(ONE) is None
    assert found(lake) == []


def test_fsck_aborts_abandoned_uploads_and_keeps_unknown_ones(lake: Lake, store: S3Store) -> None:
    (batch_id,) = {file.batch_id for file in lake.ledger.curated.files()}
    for key in (f"json_parsed_parquet/part-{batch_id}-9.parquet", "json_parsed_parquet/part-strange.parquet"):
        writer = store.put_pending(key)
        writer.write(b"PAR1")
        writer.finish()

    assert sorted(mended(lake)) == [(Problem.ORPHANED, False), (Problem.ORPHANED, True)]
    assert [pending.key for pending in store.pending()] == ["json_parsed_parquet/part-strange.parquet"]


def test_content_that_is_uploaded_again_is_recognized_by_its_etag(lake: Lake, land: Land, seen: Seen) -> None:
    """On S3, the same bytes always have the same ETag."""
    before = seen()
    land({ONE: ndjson({**DAY, "n": 99})})
    ingest(lake)
    land({ONE: FILES[ONE]})
    assert found(lake) == []

    ingest(lake)

    assert seen() == before
    assert is_sound(lake)


def test_fsck_and_rebuild_survive_faults(aws: AwsServer, lake: Lake, seen: Seen) -> None:
    before = seen()
    with aws.faults(rate=0.1, seed=3, stall_seconds=0.1) as made:
        for _ in range(3):
            rebuild(lake, {file.partition for file in lake.ledger.curated.files()})
            assert found(lake) == []
    assert made.total() > 3
    assert seen() == before
