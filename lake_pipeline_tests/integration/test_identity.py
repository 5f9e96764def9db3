"""One lake, one ledger: root and ledger share an identity, and nothing is written if they do not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from lake_pipeline.consume.file_version import open_version
from lake_pipeline.consume.query import query
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.errors import LakeError, LakeMismatch, LakeNotThere, ObjectMissing
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.states import FileState
from lake_pipeline.storage.directory import DirectoryStore, DirectoryWriter
from lake_pipeline.storage.identity import read_identity
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.identity import adopt, check
from lake_pipeline.usecases.identity.adopt import adopt_root
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.rewrites.lost_files import replaced_or_lost
from lake_pipeline_tests.support.factories import OPTIONS
from lake_pipeline_tests.support.lakes import Interrupted, ingest, is_sound, lake_at, land, published

FILES = {"2026/week06/a.json": b'{"event_time": "2026-02-03T10:00:00Z", "mode": "live", "n": 1}\n'}
MORE = {"2026/week06/b.json": b'{"event_time": "2026-02-03T11:00:00Z", "mode": "live", "n": 2}\n'}


def opened(root: Path, ledger: Ledger) -> Lake:
    """A lake whose identity is not checked yet."""
    store = DirectoryStore(root)
    return Lake(store=store, ledger=ledger, engine=InProcessEngine(store), options=OPTIONS)


def paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def killed(*_: object) -> None:
    raise SystemExit


def test_a_second_ledger_does_not_publish_rows_again(root: Path, ledger: Ledger, other_ledger: Ledger) -> None:
    land(root, FILES)
    first = lake_at(root, ledger)
    discover(first)
    second = opened(root, other_ledger)
    with pytest.raises(LakeMismatch, match="belongs to another ledger"):
        check_identity(second)
    discover(second)
    with pytest.raises(LakeMismatch, match="belongs to another ledger"):
        list(ingest_all(second))
    list(ingest_all(first))
    assert len(published(root)) == 1
    assert is_sound(first)


def test_a_ledger_that_was_lost_at_the_same_place_is_told_from_another_place(
    root: Path, ledger: Ledger, other_ledger: Ledger
) -> None:
    ledger.location = other_ledger.location = "embedded in /home/lake on laptop"
    land(root, FILES)
    ingest(lake_at(root, ledger))
    with pytest.raises(LakeMismatch, match=r"whose ledger was embedded in /home/lake on laptop.*`lake recover`"):
        check_identity(opened(root, other_ledger))


def test_the_id_in_the_root_is_that_of_the_ledger(root: Path, ledger: Ledger) -> None:
    lake = opened(root, ledger)
    lake_id = check_identity(lake)
    of_root = read_identity(lake.store)
    assert of_root is not None
    assert (of_root.lake_id, of_root.ledger_id) == (lake_id, ledger.identity.read().ledger_id)
    assert ledger.identity.read().lake_id == lake_id
    assert check_identity(lake) == lake_id


def test_of_two_ledgers_that_use_a_root_for_the_first_time_at_once_one_gets_it(
    root: Path, ledger: Ledger, other_ledger: Ledger
) -> None:
    results = at_once([lambda: opened(root, ledger), lambda: opened(root, other_ledger)] * 2)
    winners = {result for result in results if isinstance(result, str)}
    assert len(winners) == 1
    assert sum(isinstance(result, LakeMismatch) for result in results) == 2


def test_of_two_roots_that_use_a_ledger_for_the_first_time_at_once_one_gets_it(tmp_path: Path, ledger: Ledger) -> None:
    results = at_once([lambda: opened(tmp_path / "a", ledger), lambda: opened(tmp_path / "b", ledger)] * 2)
    winners = {result for result in results if isinstance(result, str)}
    assert winners == {ledger.identity.read().lake_id}
    # Which one depends on when the loser looks: before or after the ledger is bound.
    assert sum(isinstance(result, (LakeMismatch, LakeNotThere)) for result in results) == 2


def at_once(lakes: list[Callable[[], Lake]]) -> list[str | LakeError]:
    start = threading.Barrier(len(lakes))

    def use(open_one: Callable[[], Lake]) -> str | LakeError:
        lake = open_one()
        start.wait()
        try:
            return check_identity(lake)
        except LakeError as error:
            return error

    with ThreadPoolExecutor(len(lakes)) as pool:
        return list(pool.map(use, lakes))


@pytest.mark.parametrize("step", ["before the object is created", "before the ledger is bound"])
def test_a_first_use_that_was_killed_is_completed_by_the_next(
    root: Path, ledger: Ledger, other_ledger: Ledger, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: dict[str, tuple[object, str]] = {
        "before the object is created": (check, "create_identity"),
        "before the ledger is bound": (type(ledger.identity), "bind"),
    }
    lake = opened(root, ledger)
    with monkeypatch.context() as patch:
        patch.setattr(*steps[step], killed)
        with pytest.raises(SystemExit):
            check_identity(lake)
    assert ledger.identity.read().lake_id is None
    if step == "before the ledger is bound":
        with pytest.raises(LakeMismatch):
            check_identity(opened(root, other_ledger))
    lake_id = check_identity(lake)
    of_root = read_identity(lake.store)
    assert of_root is not None
    assert of_root.lake_id == lake_id == ledger.identity.read().lake_id


@pytest.mark.parametrize("mount_point", [True, False], ids=["empty mount point", "missing directory"])
def test_nothing_is_created_in_a_root_that_is_not_there(tmp_path: Path, ledger: Ledger, mount_point: bool) -> None:
    root, elsewhere = tmp_path / "lake", tmp_path / "elsewhere"
    land(root, FILES)
    ingest(lake_at(root, ledger))
    land(root, MORE)
    discover(lake_at(root, ledger))
    root.rename(elsewhere)
    if mount_point:
        root.mkdir()
    lake = opened(root, ledger)
    with pytest.raises(LakeNotThere, match=r"has no _lake\.json.*mounted.*adopt-root"):
        ingest_batch(lake)
    assert paths(root) == []
    assert root.exists() is mount_point

    if mount_point:
        root.rmdir()
    elsewhere.rename(root)
    assert [batch.files for batch in ingest_all(lake)] == [1]
    assert is_sound(lake)


@pytest.mark.parametrize("table", ["json_parsed_parquet", "quarantine"])
def test_a_reader_of_a_root_that_is_not_there_is_told_so_and_not_that_files_are_lost(
    tmp_path: Path, ledger: Ledger, table: str
) -> None:
    root = tmp_path / "lake"
    land(root, FILES)
    lake = lake_at(root, ledger)
    ingest(lake)
    file = ledger.curated.files()[0]
    root.rename(tmp_path / "elsewhere")
    root.mkdir()

    with pytest.raises(LakeNotThere, match="is mounted"):
        query(lake, f"SELECT count(*) FROM {table}")
    with pytest.raises(LakeNotThere, match="is mounted"):
        open_version(lake.store, file.key, file.etag)
    with pytest.raises(LakeNotThere, match="is mounted"):
        replaced_or_lost(lake, (file.key, file.etag), ObjectMissing(file.key))


def test_a_volume_that_disappears_during_a_conversion_stays_empty_and_costs_no_file(
    root: Path, ledger: Ledger, tmp_path: Path
) -> None:
    land(root, FILES)
    lake = lake_at(root, ledger)
    discover(lake)

    def unmount() -> None:
        root.rename(tmp_path / "elsewhere")
        root.mkdir()

    ingest_batch(replace(lake, engine=Interrupted(lake.engine, unmount)))
    assert paths(root) == []
    files = ledger.views.status().files
    assert (files[FileState.QUARANTINED], files[FileState.SUCCEEDED]) == (0, 0)


def test_a_ledger_is_not_used_with_the_root_of_another_lake(
    tmp_path: Path, ledger: Ledger, other_ledger: Ledger
) -> None:
    lake_at(tmp_path / "a", ledger)
    lake_at(tmp_path / "b", other_ledger)
    before = paths(tmp_path)
    with pytest.raises(LakeMismatch, match="belongs to the lake"):
        check_identity(opened(tmp_path / "b", ledger))
    assert paths(tmp_path) == before


def test_a_root_that_was_moved_with_its_ledger_needs_nothing(tmp_path: Path, ledger: Ledger) -> None:
    lake_id = check_identity(lake_at(tmp_path / "a", ledger))
    (tmp_path / "a").rename(tmp_path / "b")
    assert check_identity(opened(tmp_path / "b", ledger)) == lake_id


def test_a_lake_from_before_identities_is_adopted_if_its_files_are_there(
    tmp_path: Path, ledger: Ledger, other_ledger: Ledger
) -> None:
    root = tmp_path / "lake"
    land(root, FILES)
    ingest(lake_at(root, ledger))
    forget_identity(root, ledger)
    with pytest.raises(LakeNotThere, match="has none of the files"):
        check_identity(opened(tmp_path / "empty", ledger))
    assert not (tmp_path / "empty").exists()
    with pytest.raises(LakeMismatch, match="already has data files"):
        check_identity(opened(root, other_ledger))
    lake = opened(root, ledger)
    assert check_identity(lake) == ledger.identity.read().lake_id
    assert is_sound(lake)


def forget_identity(root: Path, ledger: Ledger) -> None:
    (root / "_lake.json").unlink()
    with ledger.database.transaction() as connection:
        connection.execute(text("DELETE FROM lake_identity"))


def test_a_damaged_identity_is_reported(root: Path, ledger: Ledger) -> None:
    lake = lake_at(root, ledger)
    (root / "_lake.json").write_bytes(b'{"format": 2}')
    with pytest.raises(LakeMismatch, match=r"_lake\.json is damaged"):
        check_identity(lake)


def test_the_identity_is_no_raw_file(root: Path, empty_lake: Lake) -> None:
    shutil.copy(root / "_lake.json", root / "copy.json")
    land(root, {**FILES, "2026/week06/_lake.json": (root / "_lake.json").read_bytes()})
    discovery = discover(empty_lake)
    assert (discovery.seen, discovery.skipped) == (1, 1)
    ingest(empty_lake)
    assert is_sound(empty_lake)


def test_a_root_is_adopted_after_its_identity_was_deleted(root: Path, ledger: Ledger) -> None:
    land(root, FILES)
    lake = lake_at(root, ledger)
    ingest(lake)
    (root / "_lake.json").unlink()
    with pytest.raises(LakeNotThere):
        check_identity(lake)
    adoption = adopt_root(lake)
    assert check_identity(lake) == adoption.lake_id
    assert not adopt_root(lake).is_changed
    assert is_sound(lake)


def test_an_empty_root_is_not_adopted_by_a_ledger_with_files(tmp_path: Path, ledger: Ledger) -> None:
    land(tmp_path / "lake", FILES)
    ingest(lake_at(tmp_path / "lake", ledger))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LakeNotThere, match="has none of the files"):
        adopt_root(opened(tmp_path / "empty", ledger))
    assert paths(tmp_path / "empty") == []
    check_identity(opened(tmp_path / "lake", ledger))


def test_an_empty_ledger_does_not_adopt_a_root_with_data_files(
    root: Path, ledger: Ledger, other_ledger: Ledger
) -> None:
    land(root, FILES)
    lake = lake_at(root, ledger)
    ingest(lake)
    with pytest.raises(LakeMismatch, match="already has data files"):
        adopt_root(opened(root, other_ledger))
    check_identity(lake)


def test_a_copy_with_a_new_id_is_locked_out_of_the_original(root: Path, tmp_path: Path, ledger: Ledger) -> None:
    land(root, FILES)
    ingest(lake_at(root, ledger))
    shutil.copytree(root, tmp_path / "copy")
    copy = opened(tmp_path / "copy", ledger)
    assert not adopt_root(copy).is_changed
    assert adopt_root(copy, new_id=True).is_changed
    check_identity(copy)
    with pytest.raises(LakeMismatch):
        check_identity(opened(root, ledger))


def test_an_adoption_that_was_killed_is_completed_by_the_next(
    root: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(root, FILES)
    lake = lake_at(root, ledger)
    ingest(lake)
    with monkeypatch.context() as patch:
        patch.setattr(adopt, "replace_identity", killed)
        with pytest.raises(SystemExit):
            adopt_root(lake, new_id=True)
    with pytest.raises(LakeMismatch):
        check_identity(lake)
    adopt_root(lake)
    check_identity(lake)
    assert is_sound(lake)


def test_what_a_killed_first_use_left_is_swept(root: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = opened(root, ledger)
    with monkeypatch.context() as patch:
        patch.setattr("os.link", killed)
        patch.setattr(DirectoryWriter, "discard", lambda _writer: None)
        with pytest.raises(SystemExit):
            check_identity(lake)
    assert [pending.key for pending in lake.store.pending()] == ["_lake.json"]
    land(root, FILES)
    ingest(lake)
    assert list(lake.store.pending()) == []
    assert is_sound(lake)
