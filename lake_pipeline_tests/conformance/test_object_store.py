"""The promises of every object store. The same tests run on each store, and none runs on one store only."""

from __future__ import annotations

import io
import json
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lake_pipeline.errors import ObjectChanged, ObjectMissing, OutcomeUnknown
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.factory import open_store
from lake_pipeline.storage.location import location_from_json, location_to_json
from lake_pipeline.storage.object_store import ObjectStore
from local_aws.server import AwsServer

KEY = "zone/folder/object.json"


S3 = ("s3", "s3 below a prefix", "s3 versioned")


@pytest.fixture(params=["directory", *(pytest.param(kind, marks=pytest.mark.server) for kind in S3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        store = DirectoryStore(tmp_path / "root")
        store.create_root()
        return store
    aws: AwsServer = request.getfixturevalue("aws")
    bucket = aws.new_bucket(versioned="versioned" in request.param)
    return aws.store(bucket, "a prefix/ü/" if "prefix" in request.param else "")


def pending(store: ObjectStore, key: str = KEY, content: bytes = b"content") -> PendingObject:
    writer = store.put_pending(key)
    writer.write(content)
    return writer.finish()


def put(store: ObjectStore, key: str = KEY, content: bytes = b"content") -> str:
    """A published object; returns its ETag."""
    store.publish(pending(store, key, content))
    info = store.stat(key)
    assert info is not None
    return info.etag


def read(store: ObjectStore, key: str = KEY) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def test_a_pending_object_is_invisible_until_it_is_published(store: ObjectStore) -> None:
    made = pending(store)
    assert store.stat(KEY) is None
    assert list(store.objects("zone/")) == list(store.objects("")) == []
    with pytest.raises(ObjectMissing):
        store.open(KEY)
    store.publish(made)
    assert read(store) == b"content"
    (info,) = store.objects("zone/")
    assert (info.key, info.size, info.etag) == (KEY, 7, made.etag)


@pytest.mark.parametrize(("start", "rest"), [(0, b"content"), (3, b"tent"), (7, b""), (99, b"")])
def test_an_object_is_read_from_the_requested_offset(store: ObjectStore, start: int, rest: bytes) -> None:
    etag = put(store)
    with store.open(KEY, etag=etag, start=start) as stream:
        assert stream.read() == rest


def test_publishing_twice_is_harmless(store: ObjectStore) -> None:
    made = pending(store)
    store.publish(made)
    store.publish(made)
    assert read(store) == b"content"
    assert list(store.pending()) == []


def test_publishing_an_aborted_object_is_an_unknown_outcome_never_a_success(store: ObjectStore) -> None:
    made = pending(store)
    store.abort(made)
    with pytest.raises(OutcomeUnknown, match=re.escape(KEY)):
        store.publish(made)


def test_aborting_never_touches_a_published_object(store: ObjectStore) -> None:
    made = pending(store)
    store.publish(made)
    store.abort(made)
    store.abort(made)
    assert read(store) == b"content"


def test_a_discarded_writer_leaves_nothing(store: ObjectStore) -> None:
    writer = store.put_pending(KEY)
    writer.write(b"half")
    writer.discard()
    assert list(store.pending()) == []


def test_pending_objects_are_listed_with_their_future_key(store: ObjectStore) -> None:
    long = "zone/" + "n" * 200 + "/mode=%2E.%2F/part ü~1.parquet"
    made = [pending(store), pending(store, long)]
    assert {listed.key for listed in store.pending()} == {KEY, long}
    for listed in store.pending():
        store.publish(listed)
    assert read(store, long) == b"content"
    assert list(store.pending()) == []
    assert len(made) == 2


@pytest.mark.parametrize("name", ["with space", "Ünï☃", "a+b", "100%", "a=b", "x" * 200, "'quote\"", "a~b"])
def test_unusual_names_are_listed_read_and_moved_unchanged(store: ObjectStore, name: str) -> None:
    key = f"zone/{name}/{name}"
    etag = put(store, key)
    assert [info.key for info in store.objects("zone/")] == [key]
    store.move(key, f"archive/{key}", etag=etag)
    assert read(store, f"archive/{key}") == b"content"


def test_an_object_is_created_once(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda number: store.create("_one.json", f"{number}".encode()), range(8)))
    assert sorted(created) == [False] * 7 + [True]
    assert read(store, "_one.json") == str(created.index(True)).encode()
    assert list(store.pending()) == []


@pytest.mark.parametrize("key", ["", "/", "a//b", "../x", "a/../../x", "a/.", "a\0b"])
def test_a_key_never_leaves_the_root(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="is not a valid key"):
        DirectoryStore(tmp_path / "root").path(key)


def test_a_changed_object_is_never_read_as_the_registered_version(store: ObjectStore) -> None:
    etag = put(store, content=b"one")
    put(store, content=b"other")
    with pytest.raises(ObjectChanged):
        store.open(KEY, etag=etag)


def test_moving_twice_is_harmless(store: ObjectStore) -> None:
    etag = put(store)
    store.move(KEY, "archive/object", etag=etag)
    store.move(KEY, "archive/object", etag=etag)
    assert store.stat(KEY) is None
    assert read(store, "archive/object") == b"content"


def test_a_newer_version_is_never_moved_in_place_of_the_registered_one(store: ObjectStore) -> None:
    etag = put(store, content=b"one")
    put(store, content=b"other")
    with pytest.raises(ObjectChanged):
        store.move(KEY, "archive/object", etag=etag)
    assert read(store) == b"other"


def test_a_newer_version_that_came_after_the_move_stays(store: ObjectStore) -> None:
    etag = put(store, content=b"one")
    store.move(KEY, "archive/object", etag=etag)
    put(store, content=b"other")
    store.move(KEY, "archive/object", etag=etag)
    assert (read(store), read(store, "archive/object")) == (b"other", b"one")


def test_moving_a_missing_object_is_an_error(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.move(KEY, "archive/object", etag="gone")


def test_a_copy_is_the_same_version_and_stays_when_the_source_is_replaced(store: ObjectStore) -> None:
    etag = put(store, content=b"one")
    store.copy(KEY, "retained/object", etag=etag)
    assert (read(store), read(store, "retained/object")) == (b"one", b"one")
    put(store, content=b"other")
    store.copy(KEY, "retained/object", etag=etag)
    store.delete(KEY)
    store.copy(KEY, "retained/object", etag=etag)
    info = store.stat("retained/object")
    assert info is not None
    assert (info.etag, read(store, "retained/object")) == (etag, b"one")
    assert list(store.pending()) == []


def test_another_version_is_never_copied_instead(store: ObjectStore) -> None:
    etag = put(store, content=b"one")
    put(store, content=b"other")
    with pytest.raises(ObjectChanged):
        store.copy(KEY, "retained/object", etag=etag)
    with pytest.raises(ObjectMissing):
        store.copy("zone/nothing", "retained/object", etag=etag)
    assert store.stat("retained/object") is None
    assert list(store.pending()) == []


def test_deleting_is_idempotent(store: ObjectStore) -> None:
    put(store)
    store.delete(KEY)
    store.delete(KEY)
    assert store.stat(KEY) is None


def test_top_folders_are_found_by_pattern(store: ObjectStore) -> None:
    for key in ("2025/week01/a", "2026/week01/a", "other/a", "20267/a"):
        put(store, key)
    assert store.folders(re.compile(r"\d{4}/")) == ["2025/", "2026/"]


def test_a_store_is_opened_again_from_its_location(store: ObjectStore) -> None:
    put(store)
    sent = json.loads(json.dumps(location_to_json(store.location)))
    for other in (open_store(location_from_json(sent)), pickle.loads(pickle.dumps(store))):
        assert read(other) == b"content"
        assert other.uri == store.uri


def test_a_stream_seeks_like_parquet_readers_do(store: ObjectStore) -> None:
    content = bytes(range(256)) * 8192  # more than one request fetches
    etag = put(store, content=content)
    with store.open(KEY, etag=etag) as stream:
        assert stream.read(3) == content[:3]
        assert stream.seek(-5, io.SEEK_END) == len(content) - 5
        assert stream.read() == content[-5:]
        assert stream.seek(1000) == 1000
        assert stream.read(600_000) == content[1000:601_000]
        assert stream.tell() == 601_000
        assert stream.seek(10, io.SEEK_CUR) == 601_010
        assert stream.read(1) == content[601_010:601_011]


def test_a_large_object_reads_back_unchanged(store: ObjectStore) -> None:
    content = b"0123456789abcdef" * (20 << 16)  # 20 MiB: several parts of an upload
    writer = store.put_pending(KEY)
    for start in range(0, len(content), 3 << 20):
        writer.write(memoryview(content)[start : start + (3 << 20)])
    made = writer.finish()
    assert made.size == len(content)
    store.publish(made)
    assert store.stat(KEY) == next(store.objects("zone/"))
    with store.open(KEY, etag=made.etag) as stream:
        assert stream.read() == content


def test_an_archived_object_keeps_its_registered_version(store: ObjectStore) -> None:
    content = b"x" * (9 << 20)
    etag = put(store, content=content)
    store.move(KEY, "archive/object", etag=etag)
    info = store.stat("archive/object")
    assert info is not None
    assert info.etag == etag
    with store.open("archive/object", etag=etag, start=(9 << 20) - 2) as stream:
        assert stream.read() == b"xx"


def test_an_empty_object_is_a_valid_object(store: ObjectStore) -> None:
    made = pending(store, content=b"")
    store.publish(made)
    assert read(store) == b""
    store.move(KEY, "archive/object", etag=made.etag)
    assert read(store, "archive/object") == b""


def test_an_object_is_created_once_and_never_replaced(store: ObjectStore) -> None:
    assert store.create(KEY, b"first")
    assert not store.create(KEY, b"second")
    assert read(store) == b"first"
    assert list(store.pending()) == []
