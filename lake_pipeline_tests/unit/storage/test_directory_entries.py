"""What a directory may contain besides regular files, and files that change: nothing blocks, no link is followed."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from lake_pipeline.errors import KeyTaken, ObjectChanged, ObjectMissing, ObjectUnreadable
from lake_pipeline.model.skipped import SkippedEntry, SkipReason, printable
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ListingReport

ZONE = "2026/week05/"
KEY = f"{ZONE}a.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    (folder / ZONE).mkdir(parents=True)
    (folder / KEY).write_bytes(b'{"n": 1}\n')
    return folder


def listed(store: DirectoryStore, prefix: str = "2026/") -> tuple[list[str], dict[str, SkippedEntry]]:
    skipped: list[SkippedEntry] = []
    keys = sorted(info.key for info in store.objects(prefix, ListingReport(on_skip=skipped.append)))
    return keys, {entry.entry: entry for entry in skipped}


def etag_of(store: DirectoryStore, key: str = KEY) -> str:
    info = store.stat(key)
    assert info is not None
    return info.etag


def test_links_are_reported_and_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    zone = root / ZONE
    for name, target in (("file", tmp_path / "secret"), ("folder", tmp_path), ("loop", zone), ("gone", "nowhere")):
        (zone / name).symlink_to(target)
    (root / "2025").symlink_to(tmp_path)

    store = DirectoryStore(root)
    keys, skipped = listed(store)
    assert keys == [KEY]
    assert skipped.keys() == {f"{ZONE}{name}" for name in ("file", "folder", "loop", "gone")}
    assert {entry.reason for entry in skipped.values()} == {SkipReason.LINK}
    assert [info.key for info in store.objects("")] == [KEY], "also without a report"
    assert [*listed(store, "2025/")[1]] == ["2025"]
    assert store.stat(f"{ZONE}file") is None
    with pytest.raises(ObjectChanged, match="a link"):
        store.open(f"{ZONE}file")


def test_links_are_followed_on_request_inside_the_root_and_each_target_once(root: Path, tmp_path: Path) -> None:
    incoming = root / "incoming" / "a"
    incoming.mkdir(parents=True)
    (incoming / "b.json").write_text("{}")
    (incoming / "back").symlink_to(incoming.parent)
    (tmp_path / "secret").write_text("{}")
    (root / "quarantine").mkdir()
    zone = root / ZONE
    for name, target in {
        "first": incoming.parent,
        "again": incoming,
        "file": incoming / "b.json",
        "outside": tmp_path / "secret",
        "own": root / "quarantine",
        "listed": zone,
        "everything": root,
    }.items():
        (zone / name).symlink_to(target)

    store = DirectoryStore(root, follow_links=True)
    keys, skipped = listed(store)
    assert set(keys) == {KEY, "incoming/a/b.json"}
    assert {entry: skip.detail.partition(": ")[2] for entry, skip in skipped.items()} == {
        f"{ZONE}outside": "its target is outside LAKE_ROOT",
        f"{ZONE}everything": "its target is outside LAKE_ROOT",
        f"{ZONE}own": "its target is in a folder that the pipeline writes",
        f"{ZONE}listed": "its target is in a landing zone and is read there",
    }
    assert store.location.follow_links
    assert store.open("incoming/a/b.json").read() == b"{}"


def test_pipes_and_sockets_are_reported_and_never_block_a_reader(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / ZONE / "pipe")
    monkeypatch.chdir(root / ZONE)  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    store = DirectoryStore(root)
    keys, skipped = listed(store)
    assert keys == [KEY]
    assert {entry.reason for entry in skipped.values()} == {SkipReason.SPECIAL_FILE}
    for name in ("pipe", "socket"):
        assert store.stat(f"{ZONE}{name}") is None
        with pytest.raises(ObjectChanged, match="a pipe, socket or device"):
            store.open(f"{ZONE}{name}")


def test_a_file_that_is_swapped_after_the_listing_is_noticed(root: Path, tmp_path: Path) -> None:
    store = DirectoryStore(root)
    etag = etag_of(store)
    kept = tmp_path / "kept"
    (root / KEY).rename(kept)
    with pytest.raises(ObjectMissing):
        store.open(KEY, etag=etag)
    (root / KEY).mkdir()
    with pytest.raises(ObjectUnreadable, match="it is a folder now"):
        store.open(KEY, etag=etag)
    (root / KEY).rmdir()
    (root / KEY).symlink_to(kept)
    with pytest.raises(ObjectChanged, match="a link"):
        store.open(KEY, etag=etag)


def test_a_folder_of_the_path_that_became_a_link_is_noticed(root: Path, tmp_path: Path) -> None:
    store = DirectoryStore(root)
    etag = etag_of(store)
    (root / ZONE).rename(tmp_path / "elsewhere")
    (root / "2026" / "week05").symlink_to(tmp_path / "elsewhere")
    assert store.stat(KEY) is None
    with pytest.raises(ObjectChanged, match="behind a link"):
        store.open(KEY, etag=etag)


def test_a_file_that_grows_while_it_is_read_is_noticed(root: Path) -> None:
    (root / KEY).write_bytes(b'{"n": 1}\n' * 100_000)
    store = DirectoryStore(root)
    with store.open(KEY, etag=etag_of(store)) as stream:
        assert stream.read(10)
        with (root / KEY).open("ab") as producer:
            producer.write(b'{"n": 2}\n')
        with pytest.raises(ObjectChanged):
            stream.read()


def test_a_file_that_grows_is_not_archived(root: Path) -> None:
    store = DirectoryStore(root)
    etag = etag_of(store)
    with (root / KEY).open("ab") as producer:
        producer.write(b'{"n": 2}\n')
    with pytest.raises(ObjectChanged):
        store.move(KEY, f"archive/{KEY}", etag=etag)
    assert (root / KEY).stat().st_size == 18


def test_a_file_that_grows_while_it_is_archived_is_returned(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(root)
    etag, replace = etag_of(store), os.replace

    def replace_late(source: Path, target: Path) -> None:
        with (root / KEY).open("ab") as producer:
            producer.write(b"{}")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_late)
    with pytest.raises(ObjectChanged):
        store.move(KEY, f"archive/{KEY}", etag=etag)
    assert (root / KEY).read_bytes() == b'{"n": 1}\n{}'
    assert not (root / "archive" / KEY).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows who writes to a file")
def test_a_file_that_is_still_open_for_writing_is_not_archived(root: Path) -> None:
    store = DirectoryStore(root)
    etag = etag_of(store)
    with (root / KEY).open("ab"), pytest.raises(ObjectUnreadable, match="open for writing"):
        store.move(KEY, f"archive/{KEY}", etag=etag)
    store.move(KEY, f"archive/{KEY}", etag=etag)
    assert etag_of(store, f"archive/{KEY}") == etag


@pytest.mark.parametrize("taken", ["archive/2026/week05/a.json/b", "archive/2026"])
def test_a_key_that_a_file_and_a_folder_would_share_is_refused(root: Path, taken: str) -> None:
    store = DirectoryStore(root)
    etag = etag_of(store)
    (root / taken).parent.mkdir(parents=True)
    (root / taken).write_text("{}")
    with pytest.raises(KeyTaken):
        store.move(KEY, f"archive/{KEY}", etag=etag)
    assert etag_of(store) == etag


def test_a_folder_that_cannot_be_listed_costs_only_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may list any folder, but no one a path of more than 4,096 bytes.
    monkeypatch.chdir(root / ZONE)
    for _ in range(22):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    keys, skipped = listed(DirectoryStore(root))
    assert keys == [KEY]
    [entry] = skipped.values()
    assert entry.reason in (SkipReason.UNREADABLE_FOLDER, SkipReason.INVALID_NAME)


def test_deep_folders_need_no_recursion(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / ZONE
    for _ in range(400):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{}")
    monkeypatch.setattr("sys.setrecursionlimit", None)
    keys, skipped = listed(DirectoryStore(root))
    assert (len(keys), skipped) == (2, {})


def test_a_folder_with_an_unusable_name_is_reported_once_and_not_each_file_below_it(root: Path) -> None:
    folder = os.fsencode(root / ZONE) + b"/caf\xe9"
    os.mkdir(folder)
    for name in (b"a", b"b"):
        open(os.path.join(folder, name), "wb").close()
    keys, skipped = listed(DirectoryStore(root))
    assert keys == [KEY]
    assert [*skipped] == [f"{ZONE}caf\\xe9/"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zürich 東京.json", "zürich 東京.json"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("a\x1b]52;c;\x07\nBatch published", "a\\x1b]52;c;\\x07\\nBatch published"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
    ],
)
def test_any_name_is_shown_as_one_line_of_printable_text(name: str, text: str) -> None:
    assert printable(name) == text


def test_a_very_long_name_is_shown_shortened_and_still_unique() -> None:
    assert len(printable("x" * 5000)) < 400
    assert printable("x" * 5000) != printable("x" * 5001)
