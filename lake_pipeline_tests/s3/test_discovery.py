"""Discovery in a bucket: keys with any characters, archived storage classes, inventories, and events from a queue."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import logging
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_pipeline.composition import event_queue
from lake_pipeline.errors import SettingsError
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.s3.events import EventQueue
from lake_pipeline.storage.s3.inventory import BadInventory, inventory_objects
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.discovery.discover import discover, register
from lake_pipeline.usecases.discovery.notifications import register_arrivals
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.factories import ndjson
from local_aws.server import AwsServer

RECORD = ndjson({"event_time": "2026-02-03T10:00:00Z", "mode": "live"})

ODD = (
    "a b.json",
    "Ünï☃😀.json",
    "a+b.json",
    "100%.json",
    "%2F.json",
    "a//b.json",
    "a/../b.json",
    "'quote\".json",
    "back\\slash.json",
)


def states(lake: Lake) -> dict[str, int]:
    return {state.value: count for state, count in lake.ledger.views.status().files.items() if count}


def ingest(lake: Lake) -> None:
    assert [batch.error for batch in ingest_all(lake)] in ([None], [])


def test_keys_with_any_characters_are_found_converted_and_archived(lake: Lake, store: S3Store, land: Land) -> None:
    longest = "2026/week01/abc" + "ü" * 502
    assert len((store.location.prefix + longest).encode()) == 1024
    keys = [*(f"2026/week01/{name}" for name in ODD), longest]
    land({**dict.fromkeys(keys, RECORD), "2026/week01/": b"", "2026/week01/_SUCCESS": b"", "2026/week01/empty": b""})

    discovery = discover(lake)
    assert (discovery.seen, discovery.new, discovery.skipped) == (len(keys) + 1, len(keys) + 1, 2)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": len(keys) + 1}
    left = sorted(info.key for info in store.objects("") if info.key.startswith("2026/"))
    assert left == ["2026/week01/", "2026/week01/_SUCCESS"]
    archived = {info.key for info in store.objects("raw-json-data-processed/")}
    assert {f"raw-json-data-processed/{key}" for key in keys if key != longest} < archived
    assert len(archived) == len(keys) + 1


def test_a_listing_finds_late_out_of_order_and_new_files(lake: Lake, land: Land) -> None:
    land({"2026/week05/b.json": RECORD})
    assert discover(lake).new == 1
    land({"2026/week05/a.json": RECORD, "2019/week01/x.json": RECORD, "2026/week05/b.json": RECORD * 2})
    discovery = discover(lake)
    assert (discovery.seen, discovery.new, discovery.known) == (3, 3, 0)
    assert discover(lake).new == 0


def test_a_file_in_an_archived_storage_class_waits_until_it_is_restored(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land
) -> None:
    client, at = aws.client(), {"Bucket": store.location.bucket, "Key": store.location.prefix + "2026/week05/cold.json"}
    client.put_object(**at, Body=RECORD, StorageClass="DEEP_ARCHIVE")
    land({"2026/week05/warm.json": RECORD})

    discovery = discover(lake)
    assert (discovery.new, discovery.frozen) == (2, 1)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": 1, "QUARANTINED": 1}
    assert (discover(lake).new, discover(lake).thawed) == (0, 0)

    client.restore_object(**at, RestoreRequest={"Days": 1})
    # moto lists no restore status, so take it from HEAD.
    restored = store.stat("2026/week05/cold.json")
    assert restored is not None
    assert register(lake, [restored]).thawed == 1
    assert states(lake) == {"SUCCEEDED": 1, "PENDING": 1}
    assert register(lake, [restored]).thawed == 0


def test_a_file_moved_to_an_archived_storage_class_after_registration_is_rejected_by_name(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land
) -> None:
    land({"2026/week05/a.json": RECORD})
    discover(lake)
    aws.client().put_object(
        Bucket=store.location.bucket,
        Key=store.location.prefix + "2026/week05/a.json",
        Body=RECORD,
        StorageClass="GLACIER",
    )
    ingest(lake)
    assert states(lake) == {"QUARANTINED": 1}
    discovery = store.stat("2026/week05/a.json")
    assert discovery is not None
    assert register(lake, [discovery]).thawed == 0  # still in the archived storage class
    aws.client().restore_object(
        Bucket=store.location.bucket, Key=store.location.prefix + "2026/week05/a.json", RestoreRequest={"Days": 1}
    )
    discovery = store.stat("2026/week05/a.json")
    assert discovery is not None
    assert register(lake, [discovery]).thawed == 1
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": 1}


# S3 Inventory


def write_inventory(
    aws: AwsServer, store: S3Store, kind: str, keys: list[str], *, leave_out: str | None = None, spoil: bool = False
) -> str:
    """Writes an inventory in the form of S3 into the lake's bucket; returns the URI of its manifest."""
    listed = {info.key: info for info in store.objects("")}
    rows: list[dict[str, Any]] = [
        {
            "Bucket": store.location.bucket,
            "Key": store.location.prefix + key,
            "Size": listed[key].size,
            "ETag": listed[key].etag,
            "StorageClass": "GLACIER" if "cold" in key else "STANDARD",
            "IsLatest": True,
            "IsDeleteMarker": False,
        }
        for key in keys
    ]
    # An inventory of all versions has older ones and delete markers.
    rows.append({**rows[0], "ETag": "0" * 32, "IsLatest": False})
    marker: dict[str, Any] = {"Size": None, "ETag": None, "StorageClass": None, "IsDeleteMarker": True}
    rows.append({**rows[0], "Key": store.location.prefix + "2026/week05/deleted.json", **marker})
    rows.append({**rows[0], "Key": "elsewhere/2026/week05/not-ours.json"})
    names = [name for name in rows[0] if name != leave_out]
    data = _csv(rows, names) if kind == "CSV" else _parquet(rows, names)
    schema = ", ".join(names) if kind == "CSV" else _parquet_schema(names)
    client, bucket = aws.client(), store.location.bucket
    client.put_object(Bucket=bucket, Key="inventory/data/1", Body=data[:-1] if spoil else data)
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "fileFormat": kind,
        "fileSchema": schema,
        "files": [{"key": "inventory/data/1", "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}],
    }
    client.put_object(Bucket=bucket, Key="inventory/manifest.json", Body=json.dumps(manifest).encode())
    return f"s3://{bucket}/inventory/manifest.json"


def _csv(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    for row in rows:
        writer.writerow([_csv_text(name, row[name]) for name in names])
    return gzip.compress(text.getvalue().encode())


def _csv_text(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return quote_plus(value) if name == "Key" else value


_PARQUET = {
    "Bucket": "bucket",
    "Key": "key",
    "Size": "size",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}


def _parquet(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({_PARQUET[name]: [row[name] for row in rows] for name in names}), sink)
    return sink.getvalue()


def _parquet_schema(names: list[str]) -> str:
    fields = " ".join(f"optional binary {_PARQUET[name]} (UTF8);" for name in names)
    return f"message s3.inventory {{ {fields} }}"


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_an_inventory_registers_the_same_files_as_a_listing(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land, kind: str
) -> None:
    keys = [f"2026/week05/{name}" for name in (*ODD, "cold.json")]
    land(dict.fromkeys(keys, RECORD))
    manifest = write_inventory(aws, store, kind, keys)
    discovery = register(lake, inventory_objects(store.location, manifest))
    assert (discovery.seen, discovery.new, discovery.frozen) == (len(keys), len(keys), 1)
    listed = discover(lake)
    assert (listed.seen, listed.new, listed.thawed) == (len(keys), 0, 1)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": len(keys)}


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_an_inventory_without_etags_is_rejected_with_what_to_configure(
    aws: AwsServer, store: S3Store, land: Land, kind: str
) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, kind, ["2026/week05/a.json"], leave_out="ETag")
    with pytest.raises(BadInventory, match="lacks ETag"):
        list(inventory_objects(store.location, manifest))


def test_an_orc_inventory_is_rejected_with_the_supported_formats(aws: AwsServer, store: S3Store, land: Land) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, "ORC", ["2026/week05/a.json"])
    with pytest.raises(BadInventory, match="in ORC; only CSV and Parquet are supported"):
        list(inventory_objects(store.location, manifest))


def test_an_incomplete_inventory_is_rejected(aws: AwsServer, store: S3Store, land: Land) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, "CSV", ["2026/week05/a.json"], spoil=True)
    with pytest.raises(BadInventory, match="MD5 differs"):
        list(inventory_objects(store.location, manifest))
    with pytest.raises(BadInventory, match=r"manifest\.json"):
        list(inventory_objects(store.location, f"s3://{store.location.bucket}/inventory/data/1"))
    other = aws.store(aws.new_bucket())
    with pytest.raises(BadInventory, match="is an inventory of the bucket"):
        list(inventory_objects(other.location, manifest))


# Events


@pytest.fixture
def queue(aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> EventQueue:
    """A queue with the notifications of the bucket."""
    # A variable of the SDK: the lake has no setting for the endpoint of SQS.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.endpoint)
    made = aws.client("sqs").create_queue(QueueName=store.location.bucket)
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"])
    aws.client().put_bucket_notification_configuration(
        Bucket=store.location.bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": attributes["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    return EventQueue(made["QueueUrl"], store.location)


def test_notified_files_are_registered_before_their_messages_are_deleted(
    lake: Lake, land: Land, queue: EventQueue
) -> None:
    land({**{f"2026/week05/{name}": RECORD for name in ODD}, "notes/x.json": b"{}", "2026/week05/_tmp": b""})
    discovery = register_arrivals(lake, queue)
    assert (discovery.seen, discovery.new, discovery.misunderstood) == (len(ODD), len(ODD), 0)
    assert discovery.messages >= len(ODD) + 2
    assert register_arrivals(lake, queue).messages == 0
    listed = discover(lake)
    assert (listed.new, listed.known) == (0, len(ODD))


def test_a_message_stays_in_the_queue_until_its_file_is_registered(
    lake: Lake, land: Land, queue: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_pipeline.ledger.files import Files

    land({"2026/week05/a.json": RECORD})
    deleted: list[Any] = []
    monkeypatch.setattr(EventQueue, "delete", lambda _, messages: deleted.extend(messages))
    with monkeypatch.context() as broken:
        broken.setattr(Files, "register", _breaks)
        with pytest.raises(RuntimeError):
            register_arrivals(lake, queue)
    assert deleted == []


def _breaks(*_: Any, **__: Any) -> None:
    raise RuntimeError


def test_all_known_forms_of_notification_are_understood_and_no_others(
    aws: AwsServer, lake: Lake, store: S3Store, queue: EventQueue, caplog: pytest.LogCaptureFixture
) -> None:
    bucket, prefix = store.location.bucket, store.location.prefix

    def record(name: str, key: str, of: str = bucket) -> dict[str, Any]:
        s3_object = {"key": quote_plus(prefix + key), "eTag": "e1", "size": 3}
        return {"eventName": name, "s3": {"bucket": {"name": of}, "object": s3_object}}

    direct = {"Records": [record("ObjectCreated:Put", "2026/week01/a b+.json"), record("ObjectRemoved:Delete", "x")]}
    bridge = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": f"{prefix}2026/week01/a+b%20c.json", "etag": "e1", "size": 3},
        },
    }
    bodies = [
        direct,
        {
            "Type": "Notification",
            "Message": json.dumps({"Records": [record("s3:ObjectCreated:Copy", "2026/week01/b")]}),
        },
        bridge,
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket},
        {"Records": [record("ObjectCreated:Put", "2026/week01/other", of="another-bucket")]},
        {"Records": [record("ObjectRestore:Completed", "2026/week01/thawed.json")]},
        {"hello": "world"},
    ]
    for body in bodies:
        aws.client("sqs").send_message(QueueUrl=queue._url, MessageBody=json.dumps(body))
    with caplog.at_level(logging.WARNING, "lake_pipeline"):
        discovery = register_arrivals(lake, queue)
    assert (discovery.seen, discovery.new) == (4, 4)
    assert discovery.misunderstood == 1
    claim = lake.ledger.claims.take(owner="test", max_files=10, max_bytes=1 << 30, lease_seconds=60, engine="test")
    assert claim is not None
    assert sorted(file.key for file in claim.files) == [
        "2026/week01/a b+.json",
        "2026/week01/a+b%20c.json",
        "2026/week01/b",
        "2026/week01/thawed.json",
    ]
    assert "not S3 notifications" in caplog.text


def test_events_need_a_queue_and_a_bucket(queue: EventQueue) -> None:
    with pytest.raises(SettingsError, match="LAKE_EVENTS_QUEUE_URL"):
        event_queue(load_settings(root="s3://bucket"))
    with pytest.raises(SettingsError, match="needs a lake in a bucket"):
        event_queue(load_settings(events_queue_url="https://sqs.eu-central-1.amazonaws.com/1/q"))


UNUSABLE = ("a\x1b[2J.json", "tab\there.json", "line\rbreak.json")


def test_keys_with_control_characters_cost_only_themselves(lake: Lake, store: S3Store, land: Land) -> None:
    land(dict.fromkeys(["2026/week01/good.json", *(f"2026/week01/{name}" for name in UNUSABLE)], RECORD))
    discovery = discover(lake)
    assert (discovery.new, discovery.unreadable) == (1, len(UNUSABLE))
    assert all(entry.text.isprintable() for entry in discovery.problems)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": 1}
    recorded, count = lake.ledger.skipped.entries()
    assert {entry.skipped.entry for entry in recorded} == {entry.entry for entry in discovery.problems}
    assert count == len(UNUSABLE)
    for name in UNUSABLE:
        store.delete(f"2026/week01/{name}")
    discover(lake)
    assert lake.ledger.skipped.entries() == ([], 0)


def test_an_object_and_a_folder_of_the_same_name_are_both_archived(lake: Lake, store: S3Store, land: Land) -> None:
    land({"2026/week01/a": RECORD, "2026/week01/a/b": RECORD})
    discover(lake)
    ingest(lake)
    assert {info.key for info in store.objects("raw-json-data-processed/")} == {
        "raw-json-data-processed/2026/week01/a",
        "raw-json-data-processed/2026/week01/a/b",
    }


def test_events_that_lie_cost_only_themselves(aws: AwsServer, lake: Lake, store: S3Store, queue: EventQueue) -> None:
    prefix = store.location.prefix

    def event(key: str, **fields: Any) -> dict[str, Any]:
        s3_object = {"key": key, "eTag": "e1", "size": 3, **fields}
        bucket = {"name": store.location.bucket}
        return {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": bucket, "object": s3_object}}]}

    for body in (
        event(f"{prefix}2026/week01/good.json"),
        event(f"{prefix}2026/week01/caf%E9.json"),
        event(f"{prefix}2026/week01/%00.json"),
        event(f"{prefix}2026/week01/{'x' * 1020}"),
        event(f"{prefix}../2026/week01/x.json"),
        event(prefix),
        event(f"{prefix}2026/week01/size.json", size="many"),
        event(f"{prefix}2026/week01/negative.json", size=-1),
        event(f"{prefix}2026/week01/etag.json", eTag="\0"),
        event(f"{prefix}2026/week01/long.json", eTag="e" * 5000),
    ):
        aws.client("sqs").send_message(QueueUrl=queue._url, MessageBody=json.dumps(body))
    arrivals = register_arrivals(lake, queue)
    assert (arrivals.new, arrivals.misunderstood, arrivals.unreadable) == (1, 4, 3)
    assert lake.ledger.skipped.entries()[1] == 3


def test_an_inventory_row_that_describes_no_object_is_named(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land
) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, "CSV", ["2026/week05/a.json"])
    bucket, _, key = manifest.removeprefix("s3://").partition("/")
    body = json.loads(aws.client().get_object(Bucket=bucket, Key=key)["Body"].read())
    body["fileSchema"] = body["fileSchema"].replace("Size", "Was").replace("ETag", "Size").replace("Was", "ETag")
    aws.client().put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode())
    with pytest.raises(BadInventory, match="describes no object"):
        register(lake, inventory_objects(store.location, manifest))
