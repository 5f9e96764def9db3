"""A hostile landing zone: each odd entry costs only itself, is reported, and files that still grow lose no row."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.key_filter import KeyFilter
from lake_pipeline.model.skipped import SkipReason
from lake_pipeline.model.states import FileState
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.discovery.discover import discover, register
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.rebuild_ledger.recover import recover_ledger
from lake_pipeline_tests.conftest import Ledgers
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, is_sound, land, published

ZONE = "2026/week05"
GOOD = f"{ZONE}/good.json"


def record(number: int) -> bytes:
    return ndjson({"event_time": "2026-02-03T10:00:00Z", "mode": "live", "n": number})


def numbers(root: Path) -> list[int]:
    return sorted(row["n"] for row in published(root))


def files(lake: Lake) -> dict[FileState, int]:
    return {state: count for state, count in lake.ledger.views.status().files.items() if count}


def entries(lake: Lake) -> list[str]:
    return [entry.skipped.entry for entry in lake.ledger.skipped.entries()[0]]


def not_utf8(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/caf\xe9.json", "wb") as file:
        file.write(record(9))


def loop(folder: Path) -> None:
    (folder / "loop").symlink_to(folder.parent)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")


def control_characters(folder: Path) -> None:
    (folder / "a\x1b[2J\nBatch 1: published.json").write_bytes(record(9))


def too_long(folder: Path) -> None:
    deep = folder.joinpath(*["d" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "x.json").write_bytes(record(9))


ODD = [not_utf8, loop, pipe, control_characters, too_long]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_entry_costs_only_itself_and_is_listed_until_it_is_gone(
    empty_lake: Lake, root: Path, odd: Callable[[Path], None]
) -> None:
    land(root, {GOOD: record(1)})
    odd(root / ZONE)
    discovery = discover(empty_lake)
    assert (discovery.new, discovery.unreadable, len(discovery.problems)) == (1, 1, 1)
    assert discovery.problems[0].text.isprintable()
    assert entries(empty_lake) == [discovery.problems[0].entry]
    discover(empty_lake)
    assert len(entries(empty_lake)) == 1

    list(ingest_all(empty_lake))
    assert numbers(root) == [1]
    assert is_sound(empty_lake)

    (root / ZONE).rename(root / "elsewhere")
    land(root, {f"{ZONE}/more.json": record(2)})
    assert discover(empty_lake).unreadable == 0
    assert entries(empty_lake) == []


def test_hidden_files_and_other_folders_are_counted_with_examples_and_are_no_problem(
    empty_lake: Lake, root: Path
) -> None:
    land(root, {GOOD: record(1), f"{ZONE}/_SUCCESS": b"", f"{ZONE}/.part": b"", "2026/notes.txt": b""})
    discovery = discover(empty_lake)
    assert discovery.skipped_by_reason == {SkipReason.HIDDEN: 2, SkipReason.OUTSIDE: 1}
    assert {entry.entry for entry in discovery.examples} == {f"{ZONE}/_SUCCESS", f"{ZONE}/.part", "2026/notes.txt"}
    assert (discovery.unreadable, entries(empty_lake)) == (0, [])


def test_temporary_folders_and_what_is_odd_in_them_are_skipped_and_no_problem(empty_lake: Lake, root: Path) -> None:
    hidden = (f"{ZONE}/export/_temporary/0/a.json", f"{ZONE}/.git/config.json", f"{ZONE}/_delta_log/0.json")
    land(root, {GOOD: record(1), **{key: record(2) for key in hidden}})
    loop(root / ZONE / ".git")
    control_characters(root / ZONE / ".git")
    discovery = discover(empty_lake)
    assert (discovery.new, discovery.unreadable) == (1, 0)
    assert discovery.skipped_by_reason == {SkipReason.HIDDEN: 5}
    list(ingest_all(empty_lake))
    assert numbers(root) == [1]
    assert is_sound(empty_lake)


def test_listings_and_notifications_register_the_same_names(empty_lake: Lake, root: Path) -> None:
    names = ("a.json", "a.json.md5", "manifest.json", "b.csv", ".git/c.json")
    land(root, {f"{ZONE}/{name}": record(1) for name in names})
    lake = replace(empty_lake, key_filter=KeyFilter(include=("*.json", "*.md5")))
    reasons = {SkipReason.HIDDEN: 1, SkipReason.EXCLUDED: 2, SkipReason.NOT_INCLUDED: 1}
    announced = register(lake, lake.store.objects("2026/"))
    assert (announced.new, announced.skipped_by_reason) == (1, reasons)
    listed = discover(lake)
    assert (listed.new, listed.known, listed.skipped_by_reason) == (0, 1, reasons)


def test_a_long_name_that_comes_twice_is_archived_under_a_shorter_one(empty_lake: Lake, root: Path) -> None:
    long = f"{ZONE}/{'x' * 250}.json"
    land(root, {long: record(1)})
    ingest(empty_lake)
    land(root, {long: record(22)})
    ingest(empty_lake)
    land(root, {GOOD: record(3)})
    ingest(empty_lake)

    assert numbers(root) == [3, 22]
    assert files(empty_lake) == {FileState.SUCCEEDED: 2, FileState.SUPERSEDED: 1}
    assert not list((root / ZONE).iterdir()), "all are archived"
    assert is_sound(empty_lake)
    archived = sorted(path.read_bytes() for path in (root / "raw-json-data-processed").rglob("*x*"))
    assert archived == [record(1), record(22)]


@pytest.mark.parametrize("first", ["same", "same/b.json"])
def test_a_file_and_later_a_folder_of_the_same_name_are_both_archived(empty_lake: Lake, root: Path, first: str) -> None:
    land(root, {f"{ZONE}/{first}": record(1)})
    ingest(empty_lake)
    if first != "same":
        (root / ZONE / "same").rmdir()
    second = "same/b.json" if first == "same" else "same"
    land(root, {f"{ZONE}/{second}": record(2), GOOD: record(3)})
    ingest(empty_lake)

    assert numbers(root) == [1, 2, 3]
    assert not [path for path in (root / ZONE).rglob("*") if path.is_file()], "all are archived"
    assert is_sound(empty_lake)
    conflicts = root / "raw-json-data-processed" / "_name-conflicts"
    assert [path.read_bytes() for path in conflicts.rglob("*") if path.is_file()] == [record(2)]


def test_a_lost_ledger_is_rebuilt_although_names_in_the_archive_conflict_or_are_long(
    empty_lake: Lake, root: Path, ledgers: Ledgers
) -> None:
    land(root, {f"{ZONE}/same": record(1), f"{ZONE}/{'x' * 250}.json": record(2)})
    ingest(empty_lake)
    land(root, {f"{ZONE}/same/b.json": record(3), f"{ZONE}/{'x' * 250}.json": record(4)})
    ingest(empty_lake)
    lake = replace(empty_lake, ledger=ledgers(None))
    list(recover_ledger(lake, apply=True))
    assert list(recover_ledger(lake, apply=True)) == []
    assert ingest(lake) == []
    assert numbers(root) == [1, 3, 4]
    assert is_sound(lake)


def test_a_file_that_becomes_a_folder_before_it_is_read_costs_only_itself(empty_lake: Lake, root: Path) -> None:
    land(root, {f"{ZONE}/same": record(1), GOOD: record(2)})
    discover(empty_lake)
    (root / ZONE / "same").unlink()
    land(root, {f"{ZONE}/same/b.json": record(3)})
    ingest(empty_lake)
    assert numbers(root) == [2, 3]
    assert files(empty_lake) == {FileState.SUCCEEDED: 2, FileState.FAILED: 1}


def test_a_file_that_becomes_a_link_is_not_read_and_is_pending_again_once_it_is_back(
    empty_lake: Lake, root: Path, tmp_path: Path
) -> None:
    land(root, {f"{ZONE}/swapped.json": record(1), GOOD: record(2)})
    discover(empty_lake)
    (root / ZONE / "swapped.json").rename(tmp_path / "kept.json")
    (root / ZONE / "swapped.json").symlink_to(tmp_path / "kept.json")
    ingest(empty_lake)
    assert numbers(root) == [2]
    assert files(empty_lake) == {FileState.SUCCEEDED: 1, FileState.QUARANTINED: 1}

    (tmp_path / "kept.json").rename(root / ZONE / "swapped.json")
    assert discover(empty_lake).thawed == 1
    ingest(empty_lake)
    assert numbers(root) == [1, 2]
    assert is_sound(empty_lake)


def test_linked_files_are_read_once_and_archived_by_their_own_name(empty_lake: Lake, root: Path) -> None:
    land(root, {"incoming/a.json": record(1), GOOD: record(2)})
    (root / ZONE / "linked").symlink_to(root / "incoming")
    (root / ZONE / "again.json").symlink_to(root / "incoming" / "a.json")
    store = DirectoryStore(root, follow_links=True)
    lake = replace(empty_lake, store=store)
    assert discover(lake).unreadable == 0
    list(ingest_all(lake))
    assert numbers(root) == [1, 2]
    assert discover(lake).unreadable == 0, "links without a target are no problem"
    assert (root / "raw-json-data-processed" / "incoming" / "a.json").exists()
    assert is_sound(lake)


def test_the_commands_print_what_was_not_read_and_why(
    root: Path, tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(root))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    land(root, {GOOD: record(1), f"{ZONE}/_SUCCESS": b"", "2026/notes.txt": b""})
    control_characters(root / ZONE)
    loop(root / ZONE)

    def run(*arguments: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(main, arguments)

    discovered = run("discover")
    assert discovered.exit_code == 1
    assert "1 files seen, 1 of them new" in discovered.stdout
    assert f"Not read: {ZONE}/loop: a link, which is not followed (LAKE_FOLLOW_LINKS)" in discovered.stdout
    assert (
        "1 skipped (the name of the file or of a folder begins with . or _): 2026/week05/_SUCCESS" in discovered.stdout
    )
    assert "2026/notes.txt" in discovered.stdout
    assert "2 entries of the landing zones can't be read; everything else was." in discovered.stderr
    assert "\x1b" not in discovered.output
    as_json = json.loads(run("discover", "--json").stdout)
    assert as_json["skipped_by_reason"] == {"link": 1, "invalid_name": 1, "hidden": 1, "outside": 1}
    status = run("status")
    assert (status.exit_code, "\x1b[2J" in status.stdout, f"{ZONE}/loop" in status.stdout) == (0, False, True)
    assert json.loads(run("status", "--json").stdout)["unreadable"] == 2
    assert run("ingest").exit_code == 0
    assert numbers(root) == [1]


# Files that are still being written


def test_a_young_file_is_registered_after_it_has_settled(empty_lake: Lake, root: Path) -> None:
    lake = replace(empty_lake, min_age_seconds=0.4)
    land(root, {GOOD: record(1), f"{ZONE}/old.json": record(2)})
    os.utime(root / ZONE / "old.json", (1, 1))
    waits: list[int] = []
    discovery = discover(lake, on_wait=lambda files, _: waits.append(files))
    assert (discovery.new, discovery.young, waits) == (2, 0, [1])


def test_a_file_that_changes_while_discovery_waits_is_left_to_the_next_listing(empty_lake: Lake, root: Path) -> None:
    lake = replace(empty_lake, min_age_seconds=0.4)
    land(root, {GOOD: record(1)})
    discovery = discover(lake, on_wait=lambda *_: land(root, {GOOD: record(1) + record(2)}))
    assert (discovery.new, discovery.young) == (0, 1)
    time.sleep(0.4)
    ingest(lake)
    assert numbers(root) == [1, 2]


def test_discovery_does_not_wait_for_minutes(empty_lake: Lake, root: Path) -> None:
    land(root, {GOOD: record(1)})
    discovery = discover(replace(empty_lake, min_age_seconds=3600), on_wait=lambda *_: pytest.fail("waits"))
    assert (discovery.seen, discovery.new, discovery.young) == (0, 0, 1)


def test_a_time_in_the_future_is_no_reason_to_wait(empty_lake: Lake, root: Path) -> None:
    land(root, {GOOD: record(1)})
    os.utime(root / GOOD, (time.time() + 90_000,) * 2)
    assert discover(replace(empty_lake, min_age_seconds=3600), on_wait=lambda *_: pytest.fail("waits")).new == 1


def test_what_grows_before_it_is_archived_becomes_a_new_version_and_no_row_is_lost_or_doubled(
    empty_lake: Lake, root: Path
) -> None:
    land(root, {GOOD: record(1)})
    discover(empty_lake)
    engine, grown = empty_lake.engine, record(1) + record(2)

    class Growing:
        name = engine.name

        def convert(self, request, *, on_progress=None):  # type: ignore[no-untyped-def]
            report = engine.convert(request, on_progress=on_progress)
            (root / GOOD).write_bytes(grown)
            return report

    list(ingest_all(replace(empty_lake, engine=Growing()), max_batches=1))
    assert numbers(root) == [1]
    ingest(empty_lake)
    assert numbers(root) == [1, 2]
    assert files(empty_lake) == {FileState.SUCCEEDED: 1, FileState.SUPERSEDED: 1}
    assert is_sound(empty_lake)


@pytest.mark.parametrize("interrupted", [False, True])
def test_fsck_returns_a_file_that_grew_after_it_was_archived(empty_lake: Lake, root: Path, interrupted: bool) -> None:
    land(root, {GOOD: record(1)})
    ingest(empty_lake)
    archived = root / "raw-json-data-processed" / GOOD
    with archived.open("ab") as producer:
        producer.write(record(2))
    if interrupted:
        archived.rename(root / GOOD)

    [finding] = Audit(lake=empty_lake).findings()
    assert finding.is_mendable
    assert "still being written" in finding.text
    assert [finding.mended for finding in Audit(lake=empty_lake, repair=True).findings()] == [True]
    assert files(empty_lake) == {FileState.SUCCEEDED: 1, FileState.PENDING: 1}
    ingest(empty_lake)
    assert numbers(root) == [1, 2]
    assert files(empty_lake) == {FileState.SUCCEEDED: 1, FileState.SUPERSEDED: 1}
    assert is_sound(empty_lake)


def test_fsck_does_not_return_a_grown_file_if_its_rows_would_not_be_replaced(empty_lake: Lake, root: Path) -> None:
    land(root, {GOOD: record(1)})
    ingest(empty_lake)
    with (root / "raw-json-data-processed" / GOOD).open("ab") as producer:
        producer.write(record(2))
    [finding] = Audit(lake=replace(empty_lake, new_version=NewVersion.APPEND)).findings()
    assert not finding.is_mendable
