"""Promises that only S3 needs: broken responses, versions, denied access, archived storage classes."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lake_pipeline.errors import ObjectArchived, ObjectChanged, ObjectUnreadable, StorageRefused, StorageUnavailable
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.s3 import listing as s3_listing
from lake_pipeline.storage.s3 import move
from lake_pipeline.storage.s3 import read as reading
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline_tests.s3.conftest import Land
from local_aws.server import AwsServer


def put(store: S3Store, key: str, content: bytes = b"content") -> str:
    store.publish(pending(store, key, content))
    info = store.stat(key)
    assert info is not None
    return info.etag


def pending(store: S3Store, key: str, content: bytes = b"content") -> PendingObject:
    writer = store.put_pending(key)
    writer.write(content)
    return writer.finish()


def read(store: S3Store, key: str, **arguments: Any) -> bytes:
    with store.open(key, **arguments) as stream:
        return stream.read()


def versions(aws: AwsServer, store: S3Store, key: str) -> int:
    answer = aws.client().list_object_versions(Bucket=store.location.bucket, Prefix=store.location.prefix + key)
    return len(answer.get("Versions", ()))


def test_a_broken_response_is_resumed_at_the_byte_it_ended(aws: AwsServer, store: S3Store) -> None:
    content = os.urandom(3 << 20)
    put(store, "a", content)
    with aws.faults(rate=1.0, kinds=["truncate"], only=["GET"], most=4) as injected:
        assert read(store, "a") == content
    assert injected == {"truncate": 4}


def test_a_body_that_keeps_breaking_off_fails_with_its_position(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FIRST_PAUSE", 0.001)
    put(store, "a", b"xy" * 100)
    monkeypatch.setattr(reading, "MAX_RESUMES", 0)
    with (
        aws.faults(rate=1.0, kinds=["truncate"], only=["GET"]),
        pytest.raises(StorageUnavailable, match="a: reading failed repeatedly at byte"),
    ):
        read(store, "a")


def test_a_stream_never_resumes_in_a_newer_version(store: S3Store) -> None:
    put(store, "a", b"1" * (2 << 20))
    with store.open("a") as stream:
        stream.seek(3)  # drops the open response, so that another request is needed
        put(store, "a", b"2" * (2 << 20))
        with pytest.raises(ObjectChanged):
            stream.read()


@pytest.mark.parametrize("kind", ["error", "slow", "reset", "stall", "lost", "truncate"])
def test_the_store_survives_every_kind_of_fault(aws: AwsServer, kind: str) -> None:
    store = aws.store(aws.new_bucket(), timeout_seconds=0.3)
    with aws.faults(rate=0.3, kinds=[kind], seed=4, stall_seconds=0.5, most=2) as injected:
        for number in range(6):
            key = f"zone/{number}"
            etag = put(store, key, b"content %d" % number)
            store.move(key, f"archive/{number}", etag=etag)
            assert read(store, f"archive/{number}", etag=etag) == b"content %d" % number
    assert injected[kind] > 0 or kind == "truncate"
    assert len(list(store.objects(""))) == 6
    # If the answer to creating an upload is lost, its id is unknown: the sweep aborts the upload.
    assert len(list(store.pending())) <= (injected["lost"] if kind == "lost" else 0)


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        ("403 Forbidden", "AccessDenied", ObjectUnreadable, "access is denied"),
        ("400 Bad Request", "ExpiredToken", StorageRefused, "credentials have expired"),
        ("403 Forbidden", "InvalidAccessKeyId", StorageRefused, "does not know these credentials"),
        ("403 Forbidden", "RequestTimeTooSkewed", StorageRefused, "clock"),
        ("404 Not Found", "NoSuchBucket", StorageRefused, "LAKE_ROOT"),
        ("409 Conflict", "ConditionalRequestConflict", StorageUnavailable, "another write"),
        ("409 Conflict", "OperationAborted", StorageUnavailable, "another write"),
        ("418 Teapot", "SomethingNew", StorageUnavailable, "SomethingNew, HTTP 418"),
    ],
)
def test_a_refusal_names_its_cause_and_the_next_step(
    aws: AwsServer, store: S3Store, status: str, code: str, kind: type[Exception], message: str
) -> None:
    with aws.faults(rate=1.0, kinds=["refuse"], refusal=(status, code)), pytest.raises(kind) as refused:
        read(store, "some/key")
    assert message in str(refused.value)
    assert store.uri in str(refused.value)
    assert "some/key" in str(refused.value)


def test_a_throttling_service_is_reported_with_the_attempts(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_pipeline.aws.clients.MAX_ATTEMPTS", 2)
    store = aws.store(aws.new_bucket())
    with aws.faults(rate=1.0, kinds=["slow"]), pytest.raises(StorageUnavailable, match=r"throttling.*after 2 attempts"):
        put(store, "a")


def test_an_unreachable_server_is_an_outage(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_pipeline.aws.clients.MAX_ATTEMPTS", 1)
    store = aws.store("nowhere", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable, match="no answer when trying to look up a"):
        store.stat("a")


@pytest.mark.parametrize("page", [2, 3, 1000])
def test_folders_of_any_depth_are_listed_completely_and_once(
    store: S3Store, land: Land, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_KEYS", page)
    keys = {f"zone/{a}/{b}/{c}.json" for a in ("a", "a b", "ü", "z+") for b in range(3) for c in range(2)}
    keys |= {"zone/0.json", "zone/a.json", "zone/zz", "zone/a/", "zone/a//double", "zone/😀/last", "zone/%25/x"}
    land({**dict.fromkeys(keys, b"{}"), "other/x": b"", "zone2/x": b""})
    listed = [info.key for info in store.objects("zone/")]
    assert sorted(listed) == sorted(keys)
    assert store.folders(re.compile(".*")) == ["other/", "zone/", "zone2/"]


def test_a_listing_that_is_closed_early_leaves_no_thread(
    store: S3Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_KEYS", 2)
    land({f"zone/{number}/{name}": b"" for number in range(5) for name in "abcde"})
    listing = store.objects("zone/")
    assert [next(listing).size for _ in range(4)] == [0] * 4
    listing.close()  # type: ignore[attr-defined]  # it is a generator
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("lister")] == []


def test_an_error_in_a_lister_thread_is_raised_to_the_caller(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_KEYS", 1)
    store = aws.store(aws.new_bucket())
    put(store, "zone/a/x")
    put(store, "zone/b/x")
    listing = store.objects("zone/")
    next(listing)
    with aws.faults(rate=1.0, kinds=["refuse"]), pytest.raises(StorageRefused):
        list(listing)


def test_an_archived_object_needs_a_restore_before_it_can_be_read(aws: AwsServer, store: S3Store) -> None:
    client, target = aws.client(), {"Bucket": store.location.bucket, "Key": store.location.prefix + "zone/a"}
    client.put_object(**target, Body=b"cold", StorageClass="GLACIER")
    assert [info.needs_restore for info in store.objects("zone/")] == [True]
    with pytest.raises(ObjectArchived, match="Restore it"):
        store.open("zone/a")
    client.restore_object(**target, RestoreRequest={"Days": 1})
    info = store.stat("zone/a")
    assert info is not None
    assert not info.needs_restore
    assert read(store, "zone/a") == b"cold"


def test_an_object_above_the_limit_of_a_copy_is_copied_in_parts(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "SINGLE_COPY_BYTES", 6 << 20)
    monkeypatch.setattr(move, "COPY_PART_BYTES", 5 << 20)
    content = os.urandom(12 << 20)
    etag = put(store, "zone/a", content)
    with aws.recorded() as calls:
        store.move("zone/a", "archive/a", etag=etag)
        store.move("zone/a", "archive/a", etag=etag)
    assert {call["operation"]: call["count"] for call in calls}["UploadPartCopy"] == 3
    assert read(store, "archive/a", etag=etag) == content
    assert store.stat("zone/a") is None


def test_a_move_in_a_versioned_bucket_does_not_store_the_original_twice(aws: AwsServer) -> None:
    store = aws.store(aws.new_bucket(versioned=True))
    etag = put(store, "zone/a")
    store.move("zone/a", "archive/a", etag=etag)
    assert (versions(aws, store, "zone/a"), read(store, "archive/a")) == (0, b"content")


def test_a_move_never_brings_an_older_version_back_into_the_landing_zone(aws: AwsServer) -> None:
    store = aws.store(aws.new_bucket(versioned=True))
    put(store, "zone/a", b"old")
    etag = put(store, "zone/a", b"new")
    store.move("zone/a", "archive/a", etag=etag)
    assert store.stat("zone/a") is None
    assert list(store.objects("zone/")) == []
    assert read(store, "archive/a") == b"new"


@pytest.mark.parametrize("versioned", [False, True])
def test_a_version_uploaded_between_copy_and_delete_is_kept(
    aws: AwsServer, versioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = aws.store(aws.new_bucket(versioned=versioned))
    etag = put(store, "zone/a", b"old")
    verify = move._verify

    def verify_and_upload(*arguments: Any) -> None:
        verify(*arguments)
        put(store, "zone/a", b"newer")

    monkeypatch.setattr(move, "_verify", verify_and_upload)
    store.move("zone/a", "archive/a", etag=etag)
    assert (read(store, "zone/a"), read(store, "archive/a")) == (b"newer", b"old")


def test_an_original_is_kept_if_its_copy_differs(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = put(store, "zone/a")
    monkeypatch.setattr(move, "_copy", lambda *_: put(store, "archive/a", b"something else"))
    with pytest.raises(StorageUnavailable, match="the original is kept"):
        store.move("zone/a", "archive/a", etag=etag)
    assert read(store, "zone/a") == b"content"


def test_one_store_serves_many_threads(store: S3Store) -> None:
    def one(number: int) -> bytes:
        put(store, f"zone/{number}", b"%d" % number)
        return read(store, f"zone/{number}")

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(40))) == [b"%d" % number for number in range(40)]


def test_a_key_of_1024_bytes_is_valid_and_a_longer_one_is_rejected(aws: AwsServer) -> None:
    store = aws.store(aws.new_bucket(), "lake/")
    key = "zone/" + "ü" * 507
    assert len(("lake/" + key).encode()) == 1024
    etag = put(store, key)
    assert read(store, key, etag=etag) == b"content"
    with pytest.raises(ValueError, match="is not a valid key"):
        store.put_pending(key + "x")


def test_a_small_file_is_written_in_three_requests_and_archived_in_four(aws: AwsServer, store: S3Store) -> None:
    """S3 bills requests; docs/s3.md states these counts."""
    with aws.recorded() as calls:
        store.publish(pending(store, "zone/a"))
    assert {call["operation"]: call["count"] for call in calls} == {
        "CreateMultipartUpload": 1,
        "UploadPart": 1,
        "CompleteMultipartUpload": 1,
    }
    [info] = store.objects("zone/")
    with aws.recorded() as calls:
        store.move("zone/a", "archive/a", etag=info.etag)
    assert sum(call["count"] for call in calls if call["operation"] != "CopySource") == 4
