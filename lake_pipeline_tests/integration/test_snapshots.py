"""Snapshots: the same rows after any later ingest, rebuild or replacement, and no row twice on the plain path."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sqlalchemy.exc import IntegrityError

from lake_pipeline.cli import main
from lake_pipeline.consume.file_version import open_version
from lake_pipeline.errors import PermanentError, RetainedBySnapshots, StorageUnavailable
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.zones import retained_key
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.fsck.findings import Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots import create as use_cases
from lake_pipeline.usecases.snapshots.create import create_snapshot
from lake_pipeline.usecases.snapshots.diff import diff_snapshots
from lake_pipeline.usecases.snapshots.drop import drop_snapshot
from lake_pipeline_tests.support.factories import OPTIONS, ndjson
from lake_pipeline_tests.support.lakes import dying_half_published, ingest, is_sound, lake_at, land, published
from lake_pipeline_tests.support.ledger_builders import expire_leases, run_sql

LIVE, TEST = PartitionKey(date(2026, 2, 1), "live"), PartitionKey(date(2026, 2, 2), "test")

FIRST = "2026/week06/first.json"
SECOND = "2026/week06/second.json"
FILES = {
    FIRST: ndjson(
        *[{"event_time": "2026-02-01", "mode": "live", "n": n} for n in range(3)],
        {"event_time": "2026-02-02", "mode": "test", "n": 10},
    ),
    SECOND: ndjson({"event_time": "2026-02-02", "mode": "test", "n": 20}),
}

ALL = Selection()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(root: Path, ledger: Ledger) -> Lake:
    land(root, FILES)
    lake = lake_at(root, ledger)
    ingest(lake)
    return lake


def rows_of(lake: Lake, name: str) -> list[tuple[int, int, Any]]:
    """Every row of a snapshot: file, record and value."""
    result: list[tuple[int, int, Any]] = []
    for file in lake.ledger.snapshots.files(lake.ledger.snapshots.get(name)):
        with open_version(lake.store, file.key, file.etag) as opened:
            table = pq.read_table(opened, columns=["_file_id", "_record", "n"])
            assert table.num_rows == file.rows
            result += [(row["_file_id"], row["_record"], row["n"]) for row in table.to_pylist()]
    return sorted(result)


def retained(root: Path) -> list[Path]:
    return sorted((root / "retained").rglob("*.parquet"))


def replace_first(lake: Lake, root: Path) -> None:
    land(root, {FIRST: ndjson({"event_time": "2026-02-01", "mode": "live", "n": 99})})
    ingest(lake)


def widen(lake: Lake, root: Path) -> None:
    land(root, {"2026/week06/fraction.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 0.5})})
    ingest(lake)


def rebuild_all(lake: Lake, _root: Path) -> None:
    rebuild(lake, [LIVE, TEST])


def come(lake: Lake, root: Path) -> None:
    land(root, {"2026/week06/late.json": ndjson({"event_time": "2026-02-01", "mode": "live", "n": 7, "new": "x"})})
    ingest(lake)


@pytest.mark.parametrize("happens", [replace_first, widen, rebuild_all, come])
def test_a_snapshot_has_the_same_rows_whatever_happens(
    lake: Lake, root: Path, happens: Callable[[Lake, Path], None]
) -> None:
    made = create_snapshot(lake, "s", ALL)
    before = rows_of(lake, "s")
    assert (made.rows, made.files, made.contract_version) == (5, 2, 1)

    happens(lake, root)

    assert rows_of(lake, "s") == before
    assert lake.ledger.snapshots.get("s") == made
    assert is_sound(lake), "plain readers see each record once, and fsck knows what is retained"


def test_a_file_in_two_snapshots_is_retained_until_the_last_one_is_dropped(lake: Lake, root: Path) -> None:
    create_snapshot(lake, "one", ALL)
    create_snapshot(lake, "two", Selection(modes=("live",)))
    rebuild_all(lake, root)
    assert len(retained(root)) == 2

    assert drop_snapshot(lake, "one") == 1
    assert len(retained(root)) == 1
    assert [row[2] for row in rows_of(lake, "two")] == [0, 1, 2]
    assert is_sound(lake)
    assert drop_snapshot(lake, "two") == 1
    assert retained(root) == []
    assert is_sound(lake)
    create_snapshot(lake, "one", ALL)


def test_without_a_snapshot_nothing_is_retained(lake: Lake, root: Path) -> None:
    create_snapshot(lake, "s", Selection(last=date(2026, 2, 1)))
    drop_snapshot(lake, "s")
    rebuild_all(lake, root)
    assert retained(root) == []


def test_a_selection_finds_its_days_and_modes_and_nothing_else(lake: Lake) -> None:
    create_snapshot(lake, "day", Selection(first=date(2026, 2, 2), last=date(2026, 2, 2)))
    assert [row[2] for row in rows_of(lake, "day")] == [10, 20]
    create_snapshot(lake, "mode", Selection(modes=("live",), columns=("n", "mode")))
    assert [row[2] for row in rows_of(lake, "mode")] == [0, 1, 2]
    for wrong, problem in (
        (Selection(modes=("none",)), "No published file matches"),
        (Selection(columns=("x",)), "column x"),
    ):
        with pytest.raises(PermanentError, match=problem):
            create_snapshot(lake, "wrong", wrong)
    with pytest.raises(PermanentError, match="a snapshot day already"):
        create_snapshot(lake, "day", ALL)
    with pytest.raises(PermanentError, match="not a valid snapshot name"):
        create_snapshot(lake, "../x", ALL)


def test_a_batch_that_dies_half_published_keeps_the_files_of_snapshots(lake: Lake, root: Path, ledger_url: str) -> None:
    create_snapshot(lake, "s", ALL)
    before, seen = rows_of(lake, "s"), published(root)
    with dying_half_published(lake):
        rebuild(lake, [LIVE, TEST])
    assert published(root) == []
    assert rows_of(lake, "s") == before, "also while the ledger still calls these files published"
    expire_leases(ledger_url)

    list(ingest_all(lake))

    assert rows_of(lake, "s") == before
    assert published(root) == seen
    assert is_sound(lake)


def test_a_batch_that_dies_before_the_copy_keeps_them_when_it_is_rolled_forward(
    lake: Lake, root: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_snapshot(lake, "s", ALL)
    before = rows_of(lake, "s")
    copy = type(lake.store).copy
    copied: list[str] = []

    def dies_at_the_second(self: Any, source: str, target: str, *, etag: str) -> None:
        if copied:
            raise StorageUnavailable("busy")
        copied.append(source)
        copy(self, source, target, etag=etag)

    with monkeypatch.context() as patch:
        patch.setattr(type(lake.store), "copy", dies_at_the_second)
        with pytest.raises(StorageUnavailable):
            rebuild(lake, [LIVE, TEST])
    assert len(retained(root)) == 1
    expire_leases(ledger_url)
    list(ingest_all(lake))
    assert rows_of(lake, "s") == before
    assert is_sound(lake)


def test_a_snapshot_is_not_created_of_files_that_are_being_replaced(lake: Lake, root: Path, ledger_url: str) -> None:
    with dying_half_published(lake):
        rebuild(lake, [LIVE, TEST])
    expire_leases(ledger_url)

    create_snapshot(lake, "s", ALL)

    assert [row[2] for row in rows_of(lake, "s")] == [0, 1, 2, 10, 20]
    assert is_sound(lake)


def test_files_published_between_the_checks_and_the_commit_are_checked(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = verify
    looks: list[int] = []

    def others_come(lake: Lake, partitions: Any) -> Any:
        verdicts = checked(lake, partitions)
        if not looks:
            come(lake, root)
        looks.append(len(partitions))
        return verdicts

    monkeypatch.setattr(use_cases, "verify", others_come)
    made = create_snapshot(lake, "s", ALL)
    assert looks == [2, 1], "only what changed is checked again"
    assert made.rows == 6


def test_a_partition_that_fails_a_check_gets_no_snapshot(lake: Lake, root: Path) -> None:
    [file] = lake.ledger.curated.files([LIVE])
    (root / file.key).write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(PermanentError, match=r"2026-02-01\|live: check row_count failed"):
        create_snapshot(lake, "s", ALL)
    made = create_snapshot(lake, "s", Selection(modes=("test",)))
    assert made.checks["row_count"] == {"passed": 1, "warned": 0}


def test_a_file_in_snapshots_is_not_forgotten_before_they_are_dropped(lake: Lake, root: Path) -> None:
    create_snapshot(lake, "one", ALL)
    before = published(root)
    with pytest.raises(RetainedBySnapshots, match="lake snapshot drop one"):
        forget(lake, FIRST)
    assert published(root) == before
    # A version that was replaced has its rows in the snapshot still.
    replace_first(lake, root)
    with pytest.raises(RetainedBySnapshots):
        forget(lake, FIRST)
    drop_snapshot(lake, "one")
    forget(lake, FIRST)
    assert [row["n"] for row in published(root)] == [20]
    assert retained(root) == []


def test_a_snapshot_created_while_a_file_is_forgotten_stops_that(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = lake.ledger.claims.open_empty

    def made_meanwhile(*arguments: Any, **named: Any) -> Any:
        create_snapshot(lake, "s", ALL)
        return opened(*arguments, **named)

    monkeypatch.setattr(lake.ledger.claims, "open_empty", made_meanwhile)
    with pytest.raises(RetainedBySnapshots):
        forget(lake, FIRST)
    monkeypatch.undo()
    assert len(rows_of(lake, "s")) == 5
    assert is_sound(lake)


def test_fsck_reports_what_a_snapshot_lost_and_removes_what_no_snapshot_needs(lake: Lake, root: Path) -> None:
    create_snapshot(lake, "s", ALL)
    files = lake.ledger.snapshots.files(lake.ledger.snapshots.get("s"))
    rebuild_all(lake, root)
    lost, changed = (root / retained_key(file.key, file.etag) for file in files)
    lost.unlink()
    changed.write_bytes(b"other")
    stray = root / retained_key("json_parsed_parquet/year=2026/month=01/day=01/mode=x/part.parquet", "e")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left behind")

    result = {(root / finding.key): finding for finding in Audit(lake=lake).findings()}
    assert {path: finding.problem for path, finding in result.items()} == {
        lost: Problem.MISSING,
        changed: Problem.WRONG_OBJECT,
        stray: Problem.ORPHANED,
    }
    assert "It is in s," in result[lost].text
    mended = [finding.key for finding in Audit(lake=lake, repair=True).findings() if finding.mended]
    assert [root / key for key in mended] == [stray]
    with pytest.raises(PermanentError, match="no longer exists"):
        rows_of(lake, "s")
    drop_snapshot(lake, "s")
    assert is_sound(lake)


def test_a_drop_that_stops_half_way_is_finished_by_the_next_one(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_snapshot(lake, "one", ALL)
    create_snapshot(lake, "two", ALL)
    rebuild_all(lake, root)
    drop_snapshot(lake, "one")

    def busy(*_: Any) -> None:
        raise StorageUnavailable("busy")

    with monkeypatch.context() as patch:
        patch.setattr(type(lake.store), "delete", busy)
        with pytest.raises(StorageUnavailable):
            drop_snapshot(lake, "two")
    assert len(retained(root)) == 2
    assert {finding.problem for finding in Audit(lake=lake).findings()} == {Problem.ORPHANED}
    create_snapshot(lake, "three", ALL)
    assert drop_snapshot(lake, "three") == 2
    assert is_sound(lake)


def test_the_database_refuses_changes_of_a_snapshot(lake: Lake, ledger_url: str) -> None:
    create_snapshot(lake, "s", ALL)
    with pytest.raises(IntegrityError, match="can only be dropped"):
        run_sql(ledger_url, "UPDATE snapshot SET rows = rows + 1")


def test_the_same_files_and_columns_have_the_same_digest(lake: Lake, root: Path) -> None:
    one = create_snapshot(lake, "one", ALL)
    same = create_snapshot(lake, "same", Selection(first=date(2026, 1, 1)))
    other = create_snapshot(lake, "columns", Selection(columns=("n",)))
    come(lake, root)
    later = create_snapshot(lake, "later", ALL)
    assert one.digest == same.digest
    assert len({one.digest, other.digest, later.digest}) == 3

    result = diff_snapshots(lake, "one", "later")
    assert (result.files_added, result.files_removed, dict(result.rows)) == (1, 0, {LIVE: (3, 4)})
    assert result.columns_added == ("new",)


def test_the_commands_print_what_snapshots_contain(
    lake: Lake, root: Path, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ROOT": str(root), "HOME": str(tmp_path), "LEDGER_URL": ledger_url}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["snapshot", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    output = json.loads(run("create", "a", "--from", "2026-02-02", "--mode", "test", "--column", "n", "--json"))
    assert (output["rows"], output["from"], output["modes"], output["columns"]) == (2, "2026-02-02", ["test"], ["n"])
    assert "5 rows in 2 files" in run("create", "b")
    assert [json.loads(line)["name"] for line in run("list", "--json").splitlines()] == ["b", "a"]
    assert "2026-02-02 to …" in run("list")
    assert len(json.loads(run("show", "b", "--json"))["held"]) == 2
    assert "2026-02-01|live  3 rows" in run("show", "b")
    assert "1 files added, 0 removed" in run("diff", "a", "b")
    assert json.loads(run("diff", "a", "b", "--json"))["same"] is False
    assert "was dropped" in run("drop", "a")
    assert "no snapshot a" in run("drop", "a", code=1)
    assert "is before the first day" in run("create", "c", "--from", "2026-02-02", "--to", "2026-02-01", code=2)


def test_a_lake_under_other_options_reads_a_snapshot_as_it_was(lake: Lake, root: Path) -> None:
    create_snapshot(lake, "s", ALL)
    before = rows_of(lake, "s")
    moved = replace(lake, options=replace(OPTIONS, mode_field="kind", default_mode="other"))
    rebuild(moved, [LIVE, TEST, PartitionKey(LIVE.day, "other"), PartitionKey(TEST.day, "other")])
    assert rows_of(lake, "s") == before
