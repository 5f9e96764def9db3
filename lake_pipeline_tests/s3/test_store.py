"""What only S3 can do to a store: break answers, keep versions, refuse access, freeze objects."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lake_pipeline.errors import ObjectChanged, ObjectFrozen, StorageRefused, StorageUnavailable
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage import s3_listing, s3_moving, s3_reading
from lake_pipeline.storage.s3 import S3Store
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.s3.conftest import Land


def put(store: S3Store, key: str, content: bytes = b"content") -> str:
    store.publish(pending(store, key, content))
    found = store.stat(key)
    assert found is not None
    return found.etag


def pending(store: S3Store, key: str, content: bytes = b"content") -> PendingObject:
    writer = store.put_pending(key)
    writer.write(content)
    return writer.finish()


def read(store: S3Store, key: str, **arguments: Any) -> bytes:
    with store.open(key, **arguments) as stream:
        return stream.read()


def versions(aws: AwsServer, store: S3Store, key: str) -> int:
    found = aws.client().list_object_versions(Bucket=store.place.bucket, Prefix=store.place.prefix + key)
    return len(found.get("Versions", ()))


def test_a_body_that_breaks_off_is_read_on_where_it_ended(aws: AwsServer, store: S3Store) -> None:
    content = os.urandom(3 << 20)
    put(store, "a", content)
    with aws.faults(rate=1.0, kinds=["truncate"], only=["GET"], most=4) as made:
        assert read(store, "a") == content
    assert made == {"truncate": 4}


def test_a_body_that_never_comes_whole_is_given_up_with_the_place(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_reading, "FIRST_PAUSE", 0.001)
    put(store, "a", b"xy" * 100)
    monkeypatch.setattr(s3_reading, "RESUMES", 0)
    with (
        aws.faults(rate=1.0, kinds=["truncate"], only=["GET"]),
        pytest.raises(StorageUnavailable, match="a breaks off"),
    ):
        read(store, "a")


def test_a_stream_never_goes_on_in_a_newer_version(store: S3Store) -> None:
    put(store, "a", b"1" * (2 << 20))
    with store.open("a") as stream:
        stream.seek(3)  # the open answer is dropped, so that another one is needed
        put(store, "a", b"2" * (2 << 20))
        with pytest.raises(ObjectChanged):
            stream.read()


@pytest.mark.parametrize("kind", ["error", "slow", "reset", "stall", "lost", "truncate"])
def test_every_fault_on_the_way_is_survived(aws: AwsServer, kind: str) -> None:
    store = aws.store(aws.new_bucket(), timeout_seconds=0.3)
    with aws.faults(rate=0.3, kinds=[kind], seed=4, stall_seconds=0.5, most=2) as made:
        for number in range(6):
            key = f"zone/{number}"
            etag = put(store, key, b"content %d" % number)
            store.move(key, f"archive/{number}", etag=etag)
            assert read(store, f"archive/{number}", etag=etag) == b"content %d" % number
    assert made[kind] > 0 or kind == "truncate"
    assert len(list(store.objects(""))) == 6
    # An upload whose beginning was not answered has an id that nobody knows: the sweep aborts it.
    assert len(list(store.pending())) <= (made["lost"] if kind == "lost" else 0)


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        ("403 Forbidden", "AccessDenied", StorageRefused, "access is denied"),
        ("400 Bad Request", "ExpiredToken", StorageRefused, "credentials have expired"),
        ("403 Forbidden", "InvalidAccessKeyId", StorageRefused, "does not know these credentials"),
        ("403 Forbidden", "RequestTimeTooSkewed", StorageRefused, "clock"),
        ("404 Not Found", "NoSuchBucket", StorageRefused, "LAKE_ROOT"),
        ("409 Conflict", "ConditionalRequestConflict", StorageUnavailable, "another write"),
        ("409 Conflict", "OperationAborted", StorageUnavailable, "another write"),
        ("418 Teapot", "SomethingNew", StorageUnavailable, "SomethingNew, HTTP 418"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(
    aws: AwsServer, store: S3Store, status: str, code: str, kind: type[Exception], told: str
) -> None:
    with aws.faults(rate=1.0, kinds=["refuse"], refusal=(status, code)), pytest.raises(kind) as refused:
        read(store, "some/key")
    assert told in str(refused.value)
    assert store.uri in str(refused.value)
    assert "some/key" in str(refused.value)


def test_a_busy_service_is_told_as_busy(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_pipeline.aws.clients.ATTEMPTS", 2)
    store = aws.store(aws.new_bucket())
    with aws.faults(rate=1.0, kinds=["slow"]), pytest.raises(StorageUnavailable, match=r"slow down.*after 2 attempts"):
        put(store, "a")


def test_a_server_that_is_not_there_is_an_outage(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_pipeline.aws.clients.ATTEMPTS", 1)
    store = aws.store("nowhere", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable, match="no answer when trying to look at a"):
        store.stat("a")


@pytest.mark.parametrize("page", [2, 3, 1000])
def test_folders_of_any_depth_are_listed_once_and_whole(
    store: S3Store, land: Land, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_KEYS", page)
    keys = {f"zone/{a}/{b}/{c}.json" for a in ("a", "a b", "ü", "z+") for b in range(3) for c in range(2)}
    keys |= {"zone/0.json", "zone/a.json", "zone/zz", "zone/a/", "zone/a//double", "zone/😀/last", "zone/%25/x"}
    land({**dict.fromkeys(keys, b"{}"), "other/x": b"", "zone2/x": b""})
    found = [info.key for info in store.objects("zone/")]
    assert sorted(found) == sorted(keys)
    assert store.folders(re.compile(".*")) == ["other/", "zone/", "zone2/"]


def test_a_listing_that_nobody_reads_to_its_end_leaves_no_thread(
    store: S3Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_KEYS", 2)
    land({f"zone/{number}/{name}": b"" for number in range(5) for name in "abcde"})
    listing = store.objects("zone/")
    assert [next(listing).size for _ in range(4)] == [0] * 4
    listing.close()  # type: ignore[attr-defined]  # it is a generator
    assert [each.name for each in threading.enumerate() if each.name.startswith("lister")] == []


def test_an_error_in_a_lister_reaches_who_lists(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_KEYS", 1)
    store = aws.store(aws.new_bucket())
    put(store, "zone/a/x")
    put(store, "zone/b/x")
    listing = store.objects("zone/")
    next(listing)
    with aws.faults(rate=1.0, kinds=["refuse"]), pytest.raises(StorageRefused):
        list(listing)


def test_a_frozen_object_is_told_as_such_until_it_is_restored(aws: AwsServer, store: S3Store) -> None:
    client, at = aws.client(), {"Bucket": store.place.bucket, "Key": store.place.prefix + "zone/a"}
    client.put_object(**at, Body=b"cold", StorageClass="GLACIER")
    assert [info.frozen for info in store.objects("zone/")] == [True]
    with pytest.raises(ObjectFrozen, match="Restore it"):
        store.open("zone/a")
    client.restore_object(**at, RestoreRequest={"Days": 1})
    found = store.stat("zone/a")
    assert found is not None
    assert not found.frozen
    assert read(store, "zone/a") == b"cold"


def test_an_object_above_the_limit_of_a_copy_is_copied_in_parts(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_moving, "SINGLE_COPY_BYTES", 6 << 20)
    monkeypatch.setattr(s3_moving, "COPY_PART_BYTES", 5 << 20)
    content = os.urandom(12 << 20)
    etag = put(store, "zone/a", content)
    with aws.recorded() as calls:
        store.move("zone/a", "archive/a", etag=etag)
        store.move("zone/a", "archive/a", etag=etag)
    assert {call["operation"]: call["count"] for call in calls}["UploadPartCopy"] == 3
    assert read(store, "archive/a", etag=etag) == content
    assert store.stat("zone/a") is None


def test_in_a_versioned_bucket_the_original_is_not_stored_twice(aws: AwsServer) -> None:
    store = aws.store(aws.new_bucket(versioned=True))
    etag = put(store, "zone/a")
    store.move("zone/a", "archive/a", etag=etag)
    assert (versions(aws, store, "zone/a"), read(store, "archive/a")) == (0, b"content")


def test_an_older_version_never_comes_back_into_the_landing_zone(aws: AwsServer) -> None:
    store = aws.store(aws.new_bucket(versioned=True))
    put(store, "zone/a", b"old")
    etag = put(store, "zone/a", b"new")
    store.move("zone/a", "archive/a", etag=etag)
    assert store.stat("zone/a") is None
    assert list(store.objects("zone/")) == []
    assert read(store, "archive/a") == b"new"


@pytest.mark.parametrize("versioned", [False, True])
def test_a_version_that_comes_between_copy_and_delete_stays(
    aws: AwsServer, versioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = aws.store(aws.new_bucket(versioned=versioned))
    etag = put(store, "zone/a", b"old")
    verify = s3_moving._verify

    def and_then_somebody_uploads(*arguments: Any) -> None:
        verify(*arguments)
        put(store, "zone/a", b"newer")

    monkeypatch.setattr(s3_moving, "_verify", and_then_somebody_uploads)
    store.move("zone/a", "archive/a", etag=etag)
    assert (read(store, "zone/a"), read(store, "archive/a")) == (b"newer", b"old")


def test_an_original_stays_where_its_copy_is_not_what_was_copied(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = put(store, "zone/a")
    monkeypatch.setattr(s3_moving, "_copy", lambda *_: put(store, "archive/a", b"something else"))
    with pytest.raises(StorageUnavailable, match="the original stays"):
        store.move("zone/a", "archive/a", etag=etag)
    assert read(store, "zone/a") == b"content"


def test_one_store_serves_many_threads(store: S3Store) -> None:
    def one(number: int) -> bytes:
        put(store, f"zone/{number}", b"%d" % number)
        return read(store, f"zone/{number}")

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(40))) == [b"%d" % number for number in range(40)]


def test_a_key_of_1024_bytes_is_a_key_and_a_longer_one_is_none(aws: AwsServer) -> None:
    store = aws.store(aws.new_bucket(), "lake/")
    key = "zone/" + "ü" * 507
    assert len(("lake/" + key).encode()) == 1024
    etag = put(store, key)
    assert read(store, key, etag=etag) == b"content"
    with pytest.raises(ValueError, match="is not a key"):
        store.put_pending(key + "x")


def test_a_small_file_is_written_in_three_requests_and_archived_in_four(aws: AwsServer, store: S3Store) -> None:
    """They are the bill; docs/s3.md states them."""
    with aws.recorded() as calls:
        store.publish(pending(store, "zone/a"))
    assert {call["operation"]: call["count"] for call in calls} == {
        "CreateMultipartUpload": 1,
        "UploadPart": 1,
        "CompleteMultipartUpload": 1,
    }
    [found] = store.objects("zone/")
    with aws.recorded() as calls:
        store.move("zone/a", "archive/a", etag=found.etag)
    assert sum(call["count"] for call in calls if call["operation"] != "CopySource") == 4
