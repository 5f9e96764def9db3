"""fsck finds each kind of damage, repairs what it promises to, and reports nothing about a sound lake."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.usecases.batches.ingest import ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.fsck.contents import CHUNK_ROWS, checksum_of_first
from lake_pipeline.usecases.fsck.external_sort import Sorter, merge_by_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, land, published
from lake_pipeline_tests.support.ledger_builders import expire_leases, run_sql

DAY = {"event_time": "2026-02-03", "mode": "live"}

FILES = {
    "2026/week06/a.json": ndjson(*[{**DAY, "n": number} for number in range(20)], {"n": 20}),
    "2026/week06/b.json": ndjson(*[{**DAY, "event_time": "2026-02-04", "n": number} for number in range(3)]),
    "all_historical_files/c.json": ndjson({**DAY, "mode": "test", "late": {"x": 1}}),
}


@pytest.fixture
def lake(ingested: Lake) -> Lake:
    return ingested


def fsck(lake: Lake, **how: bool) -> list[Finding]:
    return list(Audit(lake=lake, **how).findings())


def problems(lake: Lake, **how: bool) -> list[tuple[Problem, str]]:
    return sorted((finding.problem, finding.key) for finding in fsck(lake, **how))


def mended(lake: Lake) -> list[tuple[Problem, bool]]:
    return [(finding.problem, finding.mended) for finding in fsck(lake, repair=True)]


def parts(root: Path, partition: str = "*") -> list[Path]:
    return sorted((root / "json_parsed_parquet").rglob(f"{partition}/part-*.parquet"))


def part_of(root: Path, mode: str, day: str = "03") -> Path:
    (part,) = (root / "json_parsed_parquet").rglob(f"day={day}/mode={mode}/part-*.parquet")
    return part


def key_of(root: Path, path: Path) -> str:
    return str(path.relative_to(root))


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table], url: str) -> None:
    """Put other rows into a data file, and let the ledger say that exactly this file was published."""
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)
    status = path.stat()
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}"
    sql = "UPDATE curated_file SET etag = :etag, size_bytes = :size WHERE s3_key LIKE :name"
    run_sql(url, sql, etag=etag, size=status.st_size, name=f"%{path.name}")


def test_a_sound_lake_has_no_findings(lake: Lake, root: Path) -> None:
    land(root, {"2026/week07/not-discovered-yet.json": b"{}", "2026/week07/_SUCCESS": b""})
    assert fsck(lake) == []
    assert fsck(lake, shallow=True) == []


def test_files_at_every_stage_give_no_findings(lake: Lake, root: Path) -> None:
    land(root, {f"2026/week07/{name}.json": ndjson({**DAY, "n": name}) for name in "pq"} | {"2026/week07/r.json": b"{"})
    discover(lake)
    assert ingest_batch(replace(lake, batch_files=1)) is not None
    claim = lake.ledger.claims.take(
        owner=this_owner(), max_files=1, max_bytes=1 << 20, lease_seconds=60, engine="in_process"
    )
    assert claim is not None
    writer = lake.store.put_pending(f"json_parsed_parquet/part-{claim.batch_id}-0.parquet")
    assert fsck(lake) == []
    writer.discard()


@pytest.mark.parametrize("shallow", [False, True])
def test_a_curated_file_that_vanished_is_missing_and_nothing_else_is_reported(
    lake: Lake, root: Path, shallow: bool
) -> None:
    part = part_of(root, "live")
    part.unlink()
    assert problems(lake, shallow=shallow) == [(Problem.MISSING, key_of(root, part))]


def vanish(root: Path, url: str) -> None:
    part_of(root, "live").unlink()


def replace_by_another(root: Path, url: str) -> None:
    part_of(root, "live").write_bytes(part_of(root, "live", "04").read_bytes())


def lose_a_row(root: Path, url: str) -> None:
    rewritten(part_of(root, "live"), lambda table: table.slice(1), url)


def repeat_a_record(root: Path, url: str) -> None:
    def repeated(table: pa.Table) -> pa.Table:
        return pa.concat_tables([table.slice(0, 1), table.slice(0, 1), table.slice(2)])

    rewritten(part_of(root, "live"), repeated, url)


def truncate(root: Path, url: str) -> None:
    """Keeps the size and the time that the ledger has."""
    part = part_of(root, "live")
    status, content = part.stat(), part.read_bytes()
    part.write_bytes(content[:-12] + b"\xff" * 12)
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("damage", [vanish, replace_by_another, lose_a_row, repeat_a_record, truncate])
def test_rows_that_readers_miss_are_rebuilt_from_the_originals(
    lake: Lake, root: Path, ledger_url: str, damage: Callable[[Path, str], None]
) -> None:
    before = published(root)
    damage(root, ledger_url)

    findings = fsck(lake, repair=True)

    assert findings
    assert [finding for finding in findings if not finding.mended] == []
    assert published(root) == before
    assert fsck(lake) == []


def test_an_impossible_rebuild_reports_the_reason(lake: Lake, root: Path) -> None:
    part_of(root, "live").unlink()
    (root / "raw-json-data-processed/2026/week06/a.json").unlink()

    findings = {finding.key: finding for finding in fsck(lake, repair=True)}

    finding = findings[next(key for key in findings if key.startswith("json_parsed_parquet/"))]
    assert not finding.mended
    assert "did not work: Nothing was rebuilt" in finding.text


@pytest.mark.parametrize("shallow", [False, True])
def test_a_curated_file_that_was_never_published_is_orphaned(lake: Lake, root: Path, shallow: bool) -> None:
    part = part_of(root, "live")
    copy = part.with_name("part-by-hand.parquet")
    copy.write_bytes(part.read_bytes())
    assert problems(lake, shallow=shallow) == [(Problem.ORPHANED, key_of(root, copy))]
    assert mended(lake) == [(Problem.ORPHANED, False)]
    assert copy.exists()


def test_a_curated_file_that_was_replaced_by_another_one_is_reported(lake: Lake, root: Path) -> None:
    part, other = part_of(root, "live"), part_of(root, "live", "04")
    part.write_bytes(other.read_bytes())
    assert problems(lake) == [(Problem.WRONG_OBJECT, key_of(root, part))]


def test_a_curated_file_of_the_right_size_with_damaged_bytes_is_reported(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    part = part_of(root, "live")
    status, content = part.stat(), bytearray(part.read_bytes())
    content[-12:-8] = b"\xff\xff\xff\xff"
    part.write_bytes(content)
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fsck(lake, shallow=True) == []
    assert problems(lake) == [(Problem.WRONG_OBJECT, key_of(root, part))]


def test_a_curated_file_with_fewer_rows_is_reported(lake: Lake, root: Path, ledger_url: str) -> None:
    part = part_of(root, "live")
    rewritten(part, lambda table: table.slice(1), ledger_url)
    (finding,) = fsck(lake)
    assert (finding.problem, finding.key) == (Problem.WRONG_ROWS, key_of(root, part))
    assert "19 rows, the ledger says 20" in finding.text


def test_rows_of_another_file_are_reported(lake: Lake, root: Path, ledger_url: str) -> None:
    part = part_of(root, "live")

    def of_another(table: pa.Table) -> pa.Table:
        ids = table.column("_file_id").to_pylist()
        index = table.schema.get_field_index("_file_id")
        field = table.schema.field(index)
        return table.set_column(index, field, pa.array([ids[0] + 1, *ids[1:]], field.type))

    rewritten(part, of_another, ledger_url)
    assert (Problem.WRONG_ROWS, key_of(root, part)) in problems(lake)


def test_a_duplicate_record_is_reported_although_every_count_is_right(lake: Lake, root: Path, ledger_url: str) -> None:
    rewritten(
        part_of(root, "live"),
        lambda table: pa.concat_tables([table.slice(0, 1), table.slice(0, 1), table.slice(2)]),
        ledger_url,
    )
    assert problems(lake) == [(Problem.DOUBLED, "2026/week06/a.json")]


def test_a_file_that_the_ledger_counts_twice_is_reported(lake: Lake, root: Path, ledger_url: str) -> None:
    part = part_of(root, "live")
    copy = part.with_name(f"copy-{part.name}")
    copy.write_bytes(part.read_bytes())
    status = part.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    run_sql(
        ledger_url,
        "INSERT INTO curated_file (s3_key, batch_id, partition_date, partition_mode, rows, size_bytes, etag, "
        "contract_version, added_commit) SELECT :copy, batch_id, partition_date, partition_mode, rows, size_bytes, "
        "etag, contract_version, added_commit FROM curated_file WHERE s3_key = :part",
        copy=key_of(root, copy),
        part=key_of(root, part),
    )
    run_sql(
        ledger_url,
        "INSERT INTO lineage SELECT file_id, new.curated_file_id, lineage.rows FROM lineage "
        "JOIN curated_file AS old USING (curated_file_id) CROSS JOIN curated_file AS new "
        "WHERE old.s3_key = :part AND new.s3_key = :copy",
        copy=key_of(root, copy),
        part=key_of(root, part),
    )
    assert problems(lake) == problems(lake, shallow=True) == [(Problem.DOUBLED, "2026/week06/a.json")]
    assert mended(lake) == [(Problem.DOUBLED, True)]
    assert fsck(lake) == []


def test_a_replaced_file_that_is_still_there_is_removed(lake: Lake, root: Path, ledger_url: str) -> None:
    part = part_of(root, "live")
    run_sql(
        ledger_url,
        "WITH step AS (INSERT INTO lake_commit (batch_id) SELECT batch_id FROM lake_commit LIMIT 1 RETURNING commit_id)"
        "UPDATE curated_file SET removed_commit = (SELECT commit_id FROM step) WHERE s3_key = :key",
        key=key_of(root, part),
    )
    run_sql(
        ledger_url,
        "UPDATE file_processing_status SET processing_status = 'SUPERSEDED' WHERE s3_key = '2026/week06/a.json'",
    )
    assert problems(lake) == [(Problem.ORPHANED, "2026/week06/a.json"), (Problem.ORPHANED, key_of(root, part))]
    assert mended(lake) == [(Problem.ORPHANED, True), (Problem.ORPHANED, False)]
    assert not part.exists()
    [left] = fsck(lake)
    assert "none of its records should be in quarantine, and 1 are" in left.text


@pytest.mark.parametrize("of_its_batch", [True, False])
def test_records_that_are_in_quarantine_twice_are_doubled(
    lake: Lake, root: Path, ledger_url: str, of_its_batch: bool
) -> None:
    land(root, {"2026/week07/of-another-batch.json": ndjson(DAY)})
    ingest(lake)
    (part,) = (root / "quarantine").rglob("*.parquet")
    again = part.with_name("again.parquet")
    shutil.copy2(part, again)
    run_sql(
        ledger_url,
        "INSERT INTO quarantine_file (s3_key, batch_id, rows, size_bytes, etag) "
        "SELECT :copy, batch.batch_id, file.rows, size_bytes, etag FROM quarantine_file AS file CROSS JOIN batch "
        "WHERE (file.batch_id = batch.batch_id) = :of_its_batch",
        copy=key_of(root, again),
        of_its_batch=of_its_batch,
    )
    assert problems(lake) == [(Problem.DOUBLED, "2026/week06/a.json")]
    (finding,) = fsck(lake, repair=True)
    assert finding.mended == of_its_batch
    assert ("the inconsistency remains" in finding.text) == (not of_its_batch), "a rebuild knows nothing of that copy"


@pytest.mark.parametrize("shallow", [False, True])
def test_quarantine_files_are_compared_both_ways(lake: Lake, root: Path, shallow: bool) -> None:
    (part,) = (root / "quarantine").rglob("*.parquet")
    stranger = part.with_name("stranger.parquet")
    part.rename(stranger)
    assert problems(lake, shallow=shallow) == [
        (Problem.MISSING, key_of(root, part)),
        (Problem.ORPHANED, key_of(root, stranger)),
    ]


def test_quarantined_records_that_have_expired_are_not_missing(lake: Lake, root: Path, ledger_url: str) -> None:
    (part,) = (root / "quarantine").rglob("*.parquet")
    part.unlink()
    run_sql(ledger_url, "UPDATE batch SET finished_at = now() - interval '31 days'")
    run_sql(ledger_url, "UPDATE file_processing_status SET processed_at = now() - interval '31 days'")
    expiring = replace(lake, quarantine_days=30)

    audit = Audit(lake=expiring)
    assert list(audit.findings()) == []
    assert audit.expired == 1
    assert list(Audit(lake=expiring, shallow=True).findings()) == []
    assert problems(replace(lake, quarantine_days=32)) == [(Problem.MISSING, key_of(root, part))]

    vanish(root, ledger_url)
    assert [finding.problem for finding in fsck(expiring)] == [Problem.MISSING], "rows do not expire"
    assert mended(expiring) == [(Problem.MISSING, True)]
    assert fsck(expiring) == []


def test_expired_records_whose_file_was_forgotten_by_the_ledger_are_not_missing(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    """A neighbor in their batch was rebuilt meanwhile."""
    (part,) = (root / "quarantine").rglob("*.parquet")
    part.unlink()
    run_sql(ledger_url, "DELETE FROM quarantine_file")
    run_sql(ledger_url, "UPDATE file_processing_status SET processed_at = now() - interval '31 days'")

    assert fsck(replace(lake, quarantine_days=30)) == []
    assert problems(lake) == [(Problem.WRONG_ROWS, "2026/week06/a.json")]


def test_an_original_that_left_the_archive_is_missing(lake: Lake, root: Path) -> None:
    archived = root / "raw-json-data-processed/2026/week06/a.json"
    archived.unlink()
    assert problems(lake) == [(Problem.MISSING, key_of(root, archived))]
    assert mended(lake) == [(Problem.MISSING, False)]


def test_an_original_that_changed_in_the_archive_is_reported(lake: Lake, root: Path) -> None:
    archived = root / "raw-json-data-processed/2026/week06/a.json"
    archived.write_bytes(b"{}")
    assert problems(lake) == [(Problem.WRONG_OBJECT, key_of(root, archived))]


def test_a_file_in_the_archive_that_was_never_archived_is_orphaned_and_kept(lake: Lake, root: Path) -> None:
    land(root, {"raw-json-data-processed/2026/week06/stranger.json": b"{}"})
    assert mended(lake) == [(Problem.ORPHANED, False)]
    assert (root / "raw-json-data-processed/2026/week06/stranger.json").exists()


def test_an_archived_original_that_is_in_the_landing_zone_is_moved_again(lake: Lake, root: Path) -> None:
    landed = root / "2026/week06/a.json"
    archived = root / "raw-json-data-processed/2026/week06/a.json"
    landed.parent.mkdir(parents=True, exist_ok=True)
    archived.rename(landed)
    assert problems(lake) == [(Problem.HALF_MOVED, "2026/week06/a.json")]
    assert mended(lake) == [(Problem.HALF_MOVED, True)]
    assert archived.exists()
    assert fsck(lake) == []


def test_an_original_in_landing_zone_and_archive_at_once_is_moved_again(lake: Lake, root: Path) -> None:
    landed = root / "2026/week06/a.json"
    archived = root / "raw-json-data-processed/2026/week06/a.json"
    landed.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(archived, landed)
    assert mended(lake) == [(Problem.HALF_MOVED, True)]
    assert not landed.exists()
    assert archived.read_bytes() == FILES["2026/week06/a.json"]
    assert fsck(lake) == []


@pytest.mark.parametrize("moved", [False, True], ids=["not moved", "moved and not noted"])
def test_an_original_that_waits_too_long_for_the_archive_is_reported_and_archived(
    lake: Lake, root: Path, ledger_url: str, moved: bool
) -> None:
    run_sql(
        ledger_url,
        "UPDATE file_processing_status SET archive_state = 'WAITING', archived_at = NULL "
        "WHERE s3_key = '2026/week06/a.json'",
    )
    archived = root / "raw-json-data-processed/2026/week06/a.json"
    if not moved:
        (root / "2026/week06").mkdir(parents=True, exist_ok=True)
        archived.rename(root / "2026/week06/a.json")
    assert fsck(lake) == [], "a worker may be about to move it"
    patient = replace(lake, lease_seconds=-1)
    assert problems(patient) == [(Problem.HALF_MOVED, "2026/week06/a.json")]
    assert mended(patient) == [(Problem.HALF_MOVED, True)]
    assert fsck(patient) == []
    assert lake.ledger.views.status().archived == 3


def test_a_waiting_original_that_is_in_neither_zone_is_missing(lake: Lake, root: Path, ledger_url: str) -> None:
    run_sql(
        ledger_url,
        "UPDATE file_processing_status SET archive_state = 'WAITING', archived_at = NULL "
        "WHERE s3_key = '2026/week06/a.json'",
    )
    archived = root / "raw-json-data-processed/2026/week06/a.json"
    archived.unlink()
    assert problems(lake) == [(Problem.MISSING, key_of(root, archived))]


def test_a_pending_file_that_left_the_landing_zone_is_missing(lake: Lake, root: Path) -> None:
    land(root, {"2026/week07/gone.json": ndjson(DAY)})
    discover(lake)
    (root / "2026/week07/gone.json").unlink()
    assert problems(lake) == [(Problem.MISSING, "2026/week07/gone.json")]


def test_the_batch_of_a_dead_worker_is_stuck_and_released(lake: Lake, root: Path) -> None:
    land(root, {"2026/week07/more.json": ndjson(DAY)})
    discover(lake)
    died = subprocess.run(
        [sys.executable, "-c", "from lake_pipeline.ledger.owner import this_owner; print(this_owner())"],
        capture_output=True,
        text=True,
        check=True,
    )
    claim = lake.ledger.claims.take(
        owner=died.stdout.strip(), max_files=1, max_bytes=1 << 20, lease_seconds=60, engine="in_process"
    )
    assert claim is not None
    writer = lake.store.put_pending(f"json_parsed_parquet/part-{claim.batch_id}-0.parquet")
    writer.finish()
    assert problems(lake) == [(Problem.STUCK, claim.batch_id)]
    assert mended(lake) == [(Problem.STUCK, True)]
    assert fsck(lake) == []
    assert list(lake.store.pending()) == []


def test_a_batch_that_is_half_published_is_stuck_and_finished(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(root, {"2026/week07/more.json": ndjson(DAY) + ndjson({**DAY, "mode": "new"})})
    discover(lake)

    def dies(lake: Lake, *_: object) -> None:
        lake.store.publish(next(iter(lake.store.pending())))
        raise SystemExit

    monkeypatch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", dies)
    with pytest.raises(SystemExit):
        ingest_batch(lake)
    assert fsck(lake) == [], "this worker lives: half published is where it is now"
    expire_leases(ledger_url)
    assert [finding.problem for finding in fsck(lake)] == [Problem.STUCK]
    assert mended(lake) == [(Problem.STUCK, True)]
    assert fsck(lake) == []
    assert len(published(root)) == 26


def test_pending_objects_that_no_batch_will_publish_are_removed_and_unknown_ones_kept(lake: Lake) -> None:
    (batch_id,) = {file.batch_id for file in lake.ledger.curated.files()}
    for key in (f"json_parsed_parquet/part-{batch_id}-9.parquet", "json_parsed_parquet/part-strange.parquet"):
        lake.store.put_pending(key).finish()
    assert sorted(mended(lake)) == [(Problem.ORPHANED, False), (Problem.ORPHANED, True)]
    assert [pending.key for pending in lake.store.pending()] == ["json_parsed_parquet/part-strange.parquet"]


def test_a_failed_repair_reports_the_reason(lake: Lake, root: Path) -> None:
    landed = root / "2026/week06/a.json"
    landed.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root / "raw-json-data-processed/2026/week06/a.json", landed)
    with landed.open("ab"):
        # A program that may still write to it.
        failed = [finding for finding in fsck(lake, repair=True) if finding.mend]
    assert [(finding.mended, "did not work" in finding.text) for finding in failed] == [(False, True)]


def test_a_repair_finds_another_key_if_a_file_is_where_a_folder_should_be(lake: Lake, root: Path) -> None:
    archive = root / "raw-json-data-processed/2026/week06"
    landed = root / "2026/week06"
    landed.mkdir(parents=True, exist_ok=True)
    for original in archive.iterdir():
        original.rename(landed / original.name)
    archive.rmdir()
    archive.write_bytes(b"a file where the folder should be")
    assert all(was_mended for problem, was_mended in mended(lake) if problem is Problem.HALF_MOVED)
    archive.unlink()
    assert fsck(lake) == []


def test_more_items_than_fit_into_memory_are_sorted() -> None:
    items = list(range(5_000))
    random.Random(1).shuffle(items)
    with Sorter[int](lambda item: item, run=700) as sorter:
        for item in items:
            sorter.add(item)
        assert list(sorter) == sorted(items)


def test_two_sorted_streams_are_merged_by_key() -> None:
    def same(item: Any) -> Any:
        return item

    assert list(merge_by_key("aac", same, "bcc", same)) == [
        ("a", ["a", "a"], []),
        ("b", [], ["b"]),
        ("c", ["c"], ["c", "c"]),
    ]


def test_the_checksum_of_many_records_is_that_of_its_chunks() -> None:
    import numpy as np

    from lake_pipeline.usecases.fsck.contents import MASK, checksum

    whole = np.arange(2 * CHUNK_ROWS + 5)
    assert checksum_of_first(len(whole)) == checksum(whole) == (checksum(whole[:7]) + checksum(whole[7:])) & MASK
    assert checksum(np.array([1, 4])) != checksum(np.array([2, 3]))
