"""What every object store promises. Each store runs the same tests: a fixture for each, no test for one alone."""

from __future__ import annotations

import io
import json
import pickle
import re
from pathlib import Path

import pytest

from lake_pipeline.errors import ObjectChanged, ObjectMissing, OutcomeUnknown
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.opening import open_store
from lake_pipeline.storage.places import place_from_json, place_to_json
from lake_pipeline_tests.aws.server import AwsServer

KEY = "zone/folder/object.json"


@pytest.fixture(params=["directory", "s3", "s3 below a prefix", "s3 versioned"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "root")
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
def test_an_object_is_read_from_where_it_is_asked_for(store: ObjectStore, start: int, rest: bytes) -> None:
    etag = put(store)
    with store.open(KEY, etag=etag, start=start) as stream:
        assert stream.read() == rest


def test_publishing_twice_is_harmless(store: ObjectStore) -> None:
    made = pending(store)
    store.publish(made)
    store.publish(made)
    assert read(store) == b"content"
    assert list(store.pending()) == []


def test_publishing_what_was_aborted_is_an_unknown_outcome_never_a_success(store: ObjectStore) -> None:
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


def test_pending_objects_are_listed_with_the_key_they_are_for(store: ObjectStore) -> None:
    long = "zone/" + "n" * 200 + "/mode=%2E.%2F/part ü~1.parquet"
    made = [pending(store), pending(store, long)]
    assert {each.key for each in store.pending()} == {KEY, long}
    for each in store.pending():
        store.publish(each)
    assert read(store, long) == b"content"
    assert list(store.pending()) == []
    assert len(made) == 2


@pytest.mark.parametrize("name", ["with space", "Ünï☃", "a+b", "100%", "a=b", "x" * 200, "'quote\"", "a~b"])
def test_odd_names_are_listed_read_and_moved_as_they_are(store: ObjectStore, name: str) -> None:
    key = f"zone/{name}/{name}"
    etag = put(store, key)
    assert [info.key for info in store.objects("zone/")] == [key]
    store.move(key, f"archive/{key}", etag=etag)
    assert read(store, f"archive/{key}") == b"content"


@pytest.mark.parametrize("key", ["", "/", "a//b", "../x", "a/../../x", "a/.", "a\0b"])
def test_a_key_never_leaves_the_root(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        DirectoryStore(tmp_path / "root").path(key)


def test_a_changed_object_is_never_read_as_the_version_that_was_registered(store: ObjectStore) -> None:
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


def test_moving_what_is_nowhere_tells_so(store: ObjectStore) -> None:
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
    found = store.stat("retained/object")
    assert found is not None
    assert (found.etag, read(store, "retained/object")) == (etag, b"one")
    assert list(store.pending()) == []


def test_another_version_is_never_copied_in_its_place(store: ObjectStore) -> None:
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


def test_a_store_is_opened_again_from_its_place(store: ObjectStore) -> None:
    put(store)
    travelled = json.loads(json.dumps(place_to_json(store.place)))
    for other in (open_store(place_from_json(travelled)), pickle.loads(pickle.dumps(store))):
        assert read(other) == b"content"
        assert other.uri == store.uri


def test_a_stream_seeks_as_readers_of_parquet_do(store: ObjectStore) -> None:
    content = bytes(range(256)) * 8192  # more than is fetched at once
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


def test_a_large_object_is_the_same_when_it_comes_back(store: ObjectStore) -> None:
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


def test_an_archived_object_keeps_the_version_it_was_registered_with(store: ObjectStore) -> None:
    content = b"x" * (9 << 20)
    etag = put(store, content=content)
    store.move(KEY, "archive/object", etag=etag)
    found = store.stat("archive/object")
    assert found is not None
    assert found.etag == etag
    with store.open("archive/object", etag=etag, start=(9 << 20) - 2) as stream:
        assert stream.read() == b"xx"


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    made = pending(store, content=b"")
    store.publish(made)
    assert read(store) == b""
    store.move(KEY, "archive/object", etag=made.etag)
    assert read(store, "archive/object") == b""
