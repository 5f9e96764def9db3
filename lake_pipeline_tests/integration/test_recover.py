"""`lake recover`: a lost ledger, an old dump, and whatever else a disaster leaves in the store."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lake_pipeline.consume.dataset import CuratedDataset
from lake_pipeline.errors import LakeMismatch, LakeNotThere, LedgerBehind, PermanentError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import ARCHIVE, COMMITS, CURATED, ORPHANS, commit_key
from lake_pipeline.usecases.batches.forget import forget
from lake_pipeline.usecases.batches.ingest import ingest_batch
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.fsck.findings import Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import check_newest
from lake_pipeline.usecases.recovery.rebuild_ledger.recover import recover_ledger
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step
from lake_pipeline.usecases.snapshots.create import create_snapshot
from lake_pipeline.usecases.snapshots.drop import drop_snapshot
from lake_pipeline_tests.attack.sites import DirectorySite
from lake_pipeline_tests.conftest import Ledgers
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import (
    dying_half_published,
    ingest,
    is_sound,
    lake_at,
    land,
    published,
    quarantined,
)
from lake_pipeline_tests.support.ledger_builders import expire_leases


def rows(mode: str, count: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"event_time": f"2026-02-0{3 + n % 2}", "mode": mode, "n": n, "tag": {"x": mode}}
        for n in range(first, first + count)
    ]


FILES = {
    "2026/week06/live.json": ndjson(*rows("live", 12), {"mode": "live"}),
    "2026/week06/test.json": ndjson(*rows("test", 8)) + b"{broken\n" + ndjson(*rows("test", 20, first=8)),
    "2026/week06/refused.json": b"{broken\n{broken too\n",
    "all_historical_files/old.json": ndjson(*rows("old", 10)),
}


def dump(lake: Lake, ledger_url: str, ledgers: Ledgers) -> Ledger:
    """A copy of the ledger as it is now."""
    lake.ledger.close()
    return ledgers(ledger_url)


def recovered(lake: Lake) -> list[Step]:
    """Recover, assert that nothing is left, that a second recovery has nothing to do, and that the lake is sound."""
    planned = {step.action for step in recover_ledger(lake, apply=False)}
    steps = list(recover_ledger(lake, apply=True))
    assert [step for step in steps if step.action is Action.LEFT] == []
    assert {step.action for step in steps} == planned
    assert list(recover_ledger(lake, apply=True)) == []
    assert is_sound(lake)
    return steps


def actions(steps: list[Step]) -> set[Action]:
    return {step.action for step in steps}


def move_originals_back(root: Path) -> None:
    for path in sorted((root / ARCHIVE).rglob("*.json*")):
        target = root / path.relative_to(root / ARCHIVE)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def test_a_lost_ledger_is_rebuilt_and_rows_do_not_double_when_originals_were_moved_back(
    ingested: Lake, root: Path, ledgers: Ledgers
) -> None:
    before, broken = published(root), quarantined(root)
    move_originals_back(root)
    lake = replace(ingested, ledger=ledgers(None))

    discover(lake)
    with pytest.raises(LakeMismatch):
        ingest_batch(lake)
    with pytest.raises(LedgerBehind, match="lake recover"):
        check_newest(lake)
    assert published(root) == before
    recovered(lake)
    assert ingest(lake) == []
    assert (published(root), quarantined(root)) == (before, broken)
    assert is_sound(lake)


def test_an_old_ledger_is_brought_forward_and_a_forgotten_file_stays_forgotten(
    ingested: Lake, root: Path, ledger_url: str, ledgers: Ledgers
) -> None:
    old = dump(ingested, ledger_url, ledgers)
    forget(ingested, "2026/week06/live.json")
    land(root, {"2026/week07/later.json": ndjson(*rows("later", 6), {"mode": "later"})})
    land(root, {"2026/week06/test.json": ndjson(*rows("test", 5))})
    ingest(ingested)
    rebuild(ingested, {file.partition for file in ingested.ledger.curated.files() if file.partition.mode == "old"})
    before, broken = published(root), quarantined(root)
    lake = replace(ingested, ledger=old)

    land(root, {"2026/week07/new.json": ndjson(*rows("new", 3))})
    discover(lake)
    with pytest.raises(LedgerBehind):
        ingest_batch(lake)
    recovered(lake)
    assert (published(root), quarantined(root)) == (before, broken)
    ingest(lake)
    assert len(published(root)) == len(before) + 3
    with pytest.raises(PermanentError, match="already replaced or forgotten"):
        forget(lake, "2026/week06/live.json")
    assert is_sound(lake)


def test_the_rebuilt_ledger_equals_the_lost_one(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    land(root, {"2026/week06/live.json": ndjson(*[{**row, "n": 0.5} for row in rows("live", 4)])})
    ingest(ingested)
    lake = replace(ingested, ledger=ledgers(None))
    recovered(lake)

    assert account(lake) == account(ingested)


ACCOUNT = """
SELECT file_id, s3_key, etag, times_back, processing_status, archive_state, archive_key, rows_read, rows_published,
    rows_quarantined, rows_rescued, error_reason FROM file_processing_status ORDER BY 1;
SELECT s3_key, etag, rows, contract_version, removed_commit IS NULL FROM curated_file ORDER BY 1, 2;
SELECT file_id, s3_key, etag, lineage.rows FROM lineage JOIN curated_file USING (curated_file_id) ORDER BY 1, 2, 3;
SELECT s3_key, rows, etag FROM quarantine_file ORDER BY 1;
SELECT path, kind, rows, first_file, last_file FROM path_evidence ORDER BY 1, 2;
SELECT path, CAST(shape AS text), is_lossy FROM requested_widening ORDER BY 1;
SELECT version, CAST(contract AS text), batch_id FROM contract_version ORDER BY 1;
SELECT processing_status, sum(files), sum(rows_published) FROM file_tally GROUP BY 1 HAVING sum(files) <> 0 ORDER BY 1
"""


def account(lake: Lake) -> list[list[tuple[Any, ...]]]:
    """What the ledger says about files, published files, lineage, evidence and contract."""
    with lake.ledger.database.transaction() as connection:
        return [[tuple(row) for row in connection.execute(text(sql))] for sql in ACCOUNT.split(";")]


def test_a_half_published_batch_is_finished_if_its_objects_are_pending(
    empty_lake: Lake, root: Path, ledgers: Ledgers
) -> None:
    land(root, FILES)
    discover(empty_lake)
    with dying_half_published(empty_lake):
        ingest_batch(empty_lake)
    assert published(root) == []
    lake = replace(empty_lake, ledger=ledgers(None))
    recovered(lake)
    assert len(published(root)) == 50
    assert [*lake.store.pending()] == []


def test_a_half_published_batch_without_pending_objects_is_converted_again(
    empty_lake: Lake, root: Path, ledgers: Ledgers
) -> None:
    land(root, FILES)
    discover(empty_lake)
    with dying_half_published(empty_lake):
        ingest_batch(empty_lake)
    shutil.rmtree(root / ".pending")
    lake = replace(empty_lake, ledger=ledgers(None))
    assert Action.TAKE_BACK in actions(recovered(lake))
    ingest(lake)
    assert (len(published(root)), len(quarantined(root))) == (50, 2)
    assert is_sound(lake)
    recovered(replace(empty_lake, ledger=ledgers(None)))
    assert len(published(root)) == 50
    with pytest.raises(LakeMismatch):  # the one that was replaced
        ingest_batch(lake)


def test_what_no_commit_explains_is_set_aside_or_converted_again(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    before = published(root)
    [part, *_] = sorted((root / CURATED).rglob("*.parquet"))
    stray = part.with_name("stray.parquet")
    shutil.copy2(part, stray)
    original = root / ARCHIVE / "2026/week08/unknown.json"
    original.parent.mkdir(parents=True)
    original.write_bytes(ndjson(*rows("unknown", 2)))
    (root / ".pending" / CURATED).mkdir(parents=True, exist_ok=True)
    (root / ".pending" / CURATED / "left.parquet~abc").write_bytes(b"x")

    lake = replace(ingested, ledger=ledgers(None))
    steps = recovered(lake)
    assert actions(steps) >= {Action.SET_ASIDE, Action.RETURN, Action.ABORT, Action.REGISTER}
    assert (root / ORPHANS / stray.relative_to(root)).exists()
    ingest(lake)
    assert len(published(root)) == len(before) + 2
    assert is_sound(lake)


def test_a_data_file_that_is_gone_is_rebuilt_and_a_replaced_one_is_deleted(
    ingested: Lake, root: Path, ledgers: Ledgers
) -> None:
    before = published(root)
    parts = sorted((root / CURATED).rglob("*.parquet"))
    parts[0].unlink()
    rebuild(ingested, {file.partition for file in ingested.ledger.curated.files() if str(parts[0]).endswith(file.key)})
    shutil.copy2(parts[1], parts[0])
    parts[1].unlink()
    steps = recovered(replace(ingested, ledger=ledgers(None)))
    assert actions(steps) >= {Action.DELETE, Action.CONVERT_AGAIN}
    assert published(root) == before


def test_an_interrupted_recovery_continues(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    land(root, {"2026/week07/later.json": ndjson(*rows("later", 6))})
    ingest(ingested)
    before = published(root)
    lake = replace(ingested, ledger=ledgers(None))

    def stop(done: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        list(recover_ledger(lake, apply=True, on_progress=stop))
    assert lake.ledger.commit_log.last_number() == 1
    with pytest.raises(LedgerBehind, match="number 2"):
        ingest_batch(lake)
    recovered(lake)
    assert published(root) == before


def test_a_batch_that_an_old_ledger_recorded_at_the_same_moment_is_taken_back(
    ingested: Lake, root: Path, ledger_url: str, ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = dump(ingested, ledger_url, ledgers)
    land(root, {"2026/week07/later.json": ndjson(*rows("later", 6))})
    ingest(ingested)
    land(root, {"2026/week07/other.json": ndjson(*rows("other", 4))})
    before = published(root)
    lake = replace(ingested, ledger=old, new_version=NewVersion.REPLACE)
    with monkeypatch.context() as patch:
        patch.setattr("lake_pipeline.usecases.recovery.reconcile.check_newest", lambda _: None)
        discover(lake)
        result = ingest_batch(lake)
    assert result is not None
    assert "lake recover" in (result.error or "")
    assert published(root) == before
    with pytest.raises(PermanentError, match=r"Stop this worker, or run `lake release"):
        list(recover_ledger(lake, apply=True))
    expire_leases(lake.ledger.database._url.render_as_string(hide_password=False))
    assert Action.TAKE_BACK in actions(recovered(lake))
    ingest(lake)
    assert len(published(root)) == len(before) + 4
    assert is_sound(lake)


def test_an_unmounted_root_and_the_ledger_of_another_lake_are_refused(
    ingested: Lake, root: Path, tmp_path: Path, ledgers: Ledgers
) -> None:
    empty = DirectoryStore(tmp_path / "empty")
    with pytest.raises(LakeNotThere):
        list(recover_ledger(replace(ingested, store=empty), apply=True))
    assert list(empty.objects("")) == []
    other = lake_at(tmp_path / "other", ledgers(None))
    land(tmp_path / "other", {"2026/week06/a.json": ndjson(*rows("a", 2))})
    ingest(other)
    with pytest.raises(LakeMismatch):
        list(recover_ledger(replace(other, store=ingested.store), apply=True))
    assert is_sound(ingested)


def test_snapshots_are_in_the_rebuilt_ledger(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    create_snapshot(ingested, "kept", Selection(modes=("live",), columns=("n",)))
    create_snapshot(ingested, "dropped", Selection())
    rebuild(ingested, {file.partition for file in ingested.ledger.curated.files()})
    drop_snapshot(ingested, "dropped")
    lake = replace(ingested, ledger=ledgers(None))
    assert Action.ADOPT in actions(recovered(lake))
    [snapshot] = lake.ledger.snapshots.all()
    [before] = ingested.ledger.snapshots.all()
    assert lake.ledger.snapshots.record(snapshot) == ingested.ledger.snapshots.record(before)
    assert CuratedDataset.of_snapshot(lake, "kept").table().num_rows == 12


def test_a_snapshot_that_was_dropped_after_the_dump_is_dropped(
    ingested: Lake, ledger_url: str, ledgers: Ledgers
) -> None:
    create_snapshot(ingested, "dropped", Selection())
    rebuild(ingested, {file.partition for file in ingested.ledger.curated.files()})
    old = dump(ingested, ledger_url, ledgers)
    drop_snapshot(ingested, "dropped")
    lake = replace(ingested, ledger=old)
    assert Action.DROP in actions(recovered(lake))
    assert lake.ledger.snapshots.all() == []


def test_the_plan_drops_a_snapshot_whose_files_were_replaced_after_the_dump_too(
    ingested: Lake, ledger_url: str, ledgers: Ledgers
) -> None:
    create_snapshot(ingested, "dropped", Selection())
    old = dump(ingested, ledger_url, ledgers)
    rebuild(ingested, {file.partition for file in ingested.ledger.curated.files()})
    drop_snapshot(ingested, "dropped")
    steps = recovered(replace(ingested, ledger=old))
    assert Action.DROP in actions(steps)
    assert old.snapshots.all() == []


def test_originals_that_were_copied_back_are_no_new_files(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    land(root, {"2026/week06/live.json": ndjson(*rows("new", 3))})
    ingest(ingested)
    before = published(root)
    shutil.copytree(root / ARCHIVE, root, dirs_exist_ok=True)
    (root / "2026/week06/live.json").unlink()  # the older version: it would count as uploaded again
    assert any("~" in path.name for path in root.glob("2026/**/*")), "a copy has its name in the archive"

    lake = replace(ingested, ledger=ledgers(None))
    recovered(lake)

    assert ingest(lake) == []
    assert published(root) == before


def test_an_older_version_that_was_copied_back_counts_as_uploaded_again(
    ingested: Lake, root: Path, ledgers: Ledgers
) -> None:
    before = published(root)
    land(root, {"2026/week06/live.json": ndjson(*rows("new", 3))})
    ingest(ingested)
    shutil.copy2(root / ARCHIVE / "2026/week06/live.json", root / "2026/week06/live.json")

    lake = replace(ingested, ledger=ledgers(None))
    assert Action.REGISTER in actions(recovered(lake))
    ingest(lake)

    assert published(root) == before
    assert is_sound(lake)


def test_a_missing_commit_is_a_finding_and_is_written_again(ingested: Lake, root: Path) -> None:
    (root / commit_key(1)).unlink()
    [finding] = Audit(lake=ingested).findings()
    assert (finding.problem, finding.key) == (Problem.MISSING, commit_key(1))
    assert [finding.mended for finding in Audit(lake=ingested, repair=True).findings()] == [True]
    assert is_sound(ingested)


def test_a_damaged_commit_is_written_again(ingested: Lake, root: Path) -> None:
    (root / commit_key(1)).write_bytes(b"no gzip")
    assert [finding.problem for finding in Audit(lake=ingested).findings()] == [Problem.WRONG_OBJECT]
    list(Audit(lake=ingested, repair=True).findings())
    assert is_sound(ingested)


def test_a_commit_that_the_ledger_lacks_is_a_finding(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    lake = replace(ingested, ledger=ledgers(None))
    findings = [finding for finding in Audit(lake=lake, shallow=True).findings() if finding.key.startswith(COMMITS)]
    assert [(finding.problem, finding.key) for finding in findings] == [(Problem.ORPHANED, commit_key(1))]


def test_a_missing_commit_stops_the_recovery_of_a_lost_ledger(ingested: Lake, root: Path, ledgers: Ledgers) -> None:
    land(root, {"2026/week07/later.json": ndjson(*rows("later", 6))})
    ingest(ingested)
    (root / commit_key(1)).unlink()
    with pytest.raises(PermanentError, match="is missing, and later commits build on it"):
        list(recover_ledger(replace(ingested, ledger=ledgers(None)), apply=True))


def test_an_exported_ledger_is_restored_elsewhere_and_works_on(
    ingested: Lake, root: Path, tmp_path: Path, ledgers: Ledgers
) -> None:
    rebuild(ingested, {file.partition for file in ingested.ledger.curated.files() if file.partition.mode == "old"})
    file = tmp_path / "ledger.zip"
    with file.open("wb") as target:
        rows_written = ingested.ledger.transfer.export(target, None)
    lake = replace(ingested, ledger=ledgers(None))
    with file.open("rb") as source:
        assert lake.ledger.transfer.restore(source) == rows_written
    assert account(lake) == account(ingested)
    assert is_sound(lake)
    land(root, {"2026/week07/later.json": ndjson(*rows("later", 6))})
    [result] = ingest(lake)
    assert (result.error, result.rows_published) == (None, 6)
    assert is_sound(lake)
    with file.open("rb") as source, pytest.raises(PermanentError, match="has files already"):
        lake.ledger.transfer.restore(source)


def test_a_file_that_is_no_export_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "ledger.zip"
    file.write_bytes(b"something else")
    with file.open("rb") as source, pytest.raises(PermanentError, match="not a file of `lake ledger export`"):
        ledger.transfer.restore(source)


def test_the_commands_export_restore_and_recover(root: Path, ledger_url: str, ledgers: Ledgers, tmp_path: Path) -> None:
    site = DirectorySite(ledger_url, tmp_path / "home", root)
    land(root, FILES)
    ingest(site.lake)
    file = tmp_path / "ledger.zip"
    exported = site.run("ledger", "export", str(file), "--json")
    assert json.loads(exported.stdout)["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    assert "exists already" in site.run("ledger", "export", str(file)).stderr
    land(root, {"2026/week07/later.json": ndjson(*rows("later", 6))})
    ingest(site.lake)
    empty = ledgers(None)
    url = {"LAKE_LEDGER_URL": empty.database._url.render_as_string(hide_password=False)}

    assert site.run("ledger", "restore", str(file), **url).exit_code == 0
    refused = site.run("ingest", **url)
    assert (refused.exit_code, "lake recover" in refused.stderr) == (1, True)
    plan = site.run("recover", **url)
    assert "REPLAY: commits 2 to 2" in plan.stdout
    assert "Nothing was changed" in plan.stdout
    applied = [json.loads(line) for line in site.run("recover", "--apply", "--json", **url).stdout.splitlines()]
    assert applied[-1] == {"applied": True, "steps": {"REPLAY": 1, "ADOPT": 1}, "clean": True}
    assert "nothing to recover" in site.run("recover", **url).stdout
    assert len(published(root)) == 56
