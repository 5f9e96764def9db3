"""Discovery in a bucket: names of every kind, frozen objects, inventories, and events through a queue."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import logging
from dataclasses import asdict
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_pipeline.errors import SettingsError
from lake_pipeline.ingest.arrivals import Arrivals, register_arrivals
from lake_pipeline.ingest.batch import ingest_all
from lake_pipeline.ingest.discover import Discovery, discover, register
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.opening import event_queue
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.s3 import S3Store
from lake_pipeline.storage.s3_events import EventQueue
from lake_pipeline.storage.s3_inventory import BadInventory, inventory_objects
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.factories import ndjson
from lake_pipeline_tests.s3.conftest import Land

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
    "tab\there.json",
    "back\\slash.json",
)


def states(lake: Lake) -> dict[str, int]:
    return {state.value: count for state, count in lake.ledger.status().files.items() if count}


def ingest(lake: Lake) -> None:
    assert [batch.error for batch in ingest_all(lake)] in ([None], [])


def test_names_of_every_kind_are_found_converted_and_archived(lake: Lake, store: S3Store, land: Land) -> None:
    longest = "2026/week01/abc" + "ü" * 502
    assert len((store.place.prefix + longest).encode()) == 1024
    keys = [*(f"2026/week01/{name}" for name in ODD), longest]
    land({**dict.fromkeys(keys, RECORD), "2026/week01/": b"", "2026/week01/_SUCCESS": b"", "2026/week01/empty": b""})

    found = discover(lake)
    assert (found.seen, found.new, found.skipped) == (len(keys) + 1, len(keys) + 1, 2)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": len(keys) + 1}
    left = sorted(info.key for info in store.objects("") if info.key.startswith("2026/"))
    assert left == ["2026/week01/", "2026/week01/_SUCCESS"]
    archived = {info.key for info in store.objects("raw-json-data-processed/")}
    assert {f"raw-json-data-processed/{key}" for key in keys if key != longest} < archived
    assert len(archived) == len(keys) + 1


def test_a_listing_finds_what_is_late_out_of_order_and_new(lake: Lake, land: Land) -> None:
    land({"2026/week05/b.json": RECORD})
    assert discover(lake).new == 1
    land({"2026/week05/a.json": RECORD, "2019/week01/x.json": RECORD, "2026/week05/b.json": RECORD * 2})
    found = discover(lake)
    assert (found.seen, found.new, found.known) == (3, 3, 0)
    assert discover(lake).new == 0


def test_a_frozen_file_waits_until_it_is_restored(aws: AwsServer, lake: Lake, store: S3Store, land: Land) -> None:
    client, at = aws.client(), {"Bucket": store.place.bucket, "Key": store.place.prefix + "2026/week05/cold.json"}
    client.put_object(**at, Body=RECORD, StorageClass="DEEP_ARCHIVE")
    land({"2026/week05/warm.json": RECORD})

    found = discover(lake)
    assert (found.new, found.frozen) == (2, 1)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": 1, "QUARANTINED": 1}
    assert (discover(lake).new, discover(lake).thawed) == (0, 0)

    client.restore_object(**at, RestoreRequest={"Days": 1})
    # This is where moto lists no restore status, so a HEAD tells it as a listing of S3 does.
    restored = store.stat("2026/week05/cold.json")
    assert restored is not None
    assert register(lake, [restored]).thawed == 1
    assert states(lake) == {"SUCCEEDED": 1, "PENDING": 1}
    assert register(lake, [restored]).thawed == 0


def test_a_file_that_freezes_after_it_was_registered_is_refused_by_name(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land
) -> None:
    land({"2026/week05/a.json": RECORD})
    discover(lake)
    aws.client().put_object(
        Bucket=store.place.bucket,
        Key=store.place.prefix + "2026/week05/a.json",
        Body=RECORD,
        StorageClass="GLACIER",
    )
    ingest(lake)
    assert states(lake) == {"QUARANTINED": 1}
    found = store.stat("2026/week05/a.json")
    assert found is not None
    assert register(lake, [found]).thawed == 0  # still frozen
    aws.client().restore_object(
        Bucket=store.place.bucket, Key=store.place.prefix + "2026/week05/a.json", RestoreRequest={"Days": 1}
    )
    found = store.stat("2026/week05/a.json")
    assert found is not None
    assert register(lake, [found]).thawed == 1
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": 1}


# S3 Inventory


def write_inventory(
    aws: AwsServer, store: S3Store, kind: str, keys: list[str], *, leave_out: str | None = None, spoil: bool = False
) -> str:
    """An inventory as S3 writes it, in the lake's own bucket; returns the address of its manifest."""
    listed = {info.key: info for info in store.objects("")}
    rows: list[dict[str, Any]] = [
        {
            "Bucket": store.place.bucket,
            "Key": store.place.prefix + key,
            "Size": listed[key].size,
            "ETag": listed[key].etag,
            "StorageClass": "GLACIER" if "cold" in key else "STANDARD",
            "IsLatest": True,
            "IsDeleteMarker": False,
        }
        for key in keys
    ]
    # Of all versions: an older one, and a key that was deleted.
    rows.append({**rows[0], "ETag": "0" * 32, "IsLatest": False})
    marker: dict[str, Any] = {"Size": None, "ETag": None, "StorageClass": None, "IsDeleteMarker": True}
    rows.append({**rows[0], "Key": store.place.prefix + "2026/week05/deleted.json", **marker})
    rows.append({**rows[0], "Key": "elsewhere/2026/week05/not-ours.json"})
    names = [name for name in rows[0] if name != leave_out]
    data = _csv(rows, names) if kind == "CSV" else _parquet(rows, names)
    schema = ", ".join(names) if kind == "CSV" else _parquet_schema(names)
    client, bucket = aws.client(), store.place.bucket
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
def test_an_inventory_registers_what_a_listing_would(
    aws: AwsServer, lake: Lake, store: S3Store, land: Land, kind: str
) -> None:
    keys = [f"2026/week05/{name}" for name in (*ODD, "cold.json")]
    land(dict.fromkeys(keys, RECORD))
    manifest = write_inventory(aws, store, kind, keys)
    found = register(lake, inventory_objects(store.place, manifest))
    assert (found.seen, found.new, found.frozen) == (len(keys), len(keys), 1)
    listed = discover(lake)
    assert (listed.seen, listed.new, listed.thawed) == (len(keys), 0, 1)
    ingest(lake)
    assert states(lake) == {"SUCCEEDED": len(keys)}


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_an_inventory_without_etags_says_what_to_configure(
    aws: AwsServer, store: S3Store, land: Land, kind: str
) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, kind, ["2026/week05/a.json"], leave_out="ETag")
    with pytest.raises(BadInventory, match="lacks ETag"):
        list(inventory_objects(store.place, manifest))


def test_an_inventory_in_orc_is_refused_with_what_can_be_read(aws: AwsServer, store: S3Store, land: Land) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, "ORC", ["2026/week05/a.json"])
    with pytest.raises(BadInventory, match="in ORC; CSV and Parquet can be read"):
        list(inventory_objects(store.place, manifest))


def test_an_inventory_that_is_not_whole_is_refused(aws: AwsServer, store: S3Store, land: Land) -> None:
    land({"2026/week05/a.json": RECORD})
    manifest = write_inventory(aws, store, "CSV", ["2026/week05/a.json"], spoil=True)
    with pytest.raises(BadInventory, match="MD5 differs"):
        list(inventory_objects(store.place, manifest))
    with pytest.raises(BadInventory, match=r"manifest\.json"):
        list(inventory_objects(store.place, f"s3://{store.place.bucket}/inventory/data/1"))
    other = aws.store(aws.new_bucket())
    with pytest.raises(BadInventory, match="is an inventory of the bucket"):
        list(inventory_objects(other.place, manifest))


# Events


@pytest.fixture
def queue(aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> EventQueue:
    """A queue that the bucket tells its arrivals to."""
    # The SDK's own variable: the lake has no setting for where SQS is.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.endpoint)
    made = aws.client("sqs").create_queue(QueueName=store.place.bucket)
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"])
    aws.client().put_bucket_notification_configuration(
        Bucket=store.place.bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": attributes["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    return EventQueue(made["QueueUrl"], store.place)


def test_what_the_bucket_tells_is_registered_and_then_taken_from_the_queue(
    lake: Lake, land: Land, queue: EventQueue
) -> None:
    land({**{f"2026/week05/{name}": RECORD for name in ODD}, "notes/x.json": b"{}", "2026/week05/_tmp": b""})
    found = register_arrivals(lake, queue)
    assert (found.seen, found.new, found.misunderstood) == (len(ODD), len(ODD), 0)
    assert found.messages >= len(ODD) + 2
    assert register_arrivals(lake, queue).messages == 0
    listed = discover(lake)
    assert (listed.new, listed.known) == (0, len(ODD))


def test_a_message_stays_in_the_queue_until_its_file_is_registered(
    lake: Lake, land: Land, queue: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_pipeline.ledger.ledger import Ledger

    land({"2026/week05/a.json": RECORD})
    deleted: list[Any] = []
    monkeypatch.setattr(EventQueue, "delete", lambda _, messages: deleted.extend(messages))
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "register", _breaks)
        with pytest.raises(RuntimeError):
            register_arrivals(lake, queue)
    assert deleted == []


def _breaks(*_: Any, **__: Any) -> None:
    raise RuntimeError


def test_every_form_of_notification_is_understood_and_no_other(
    aws: AwsServer, lake: Lake, store: S3Store, queue: EventQueue, caplog: pytest.LogCaptureFixture
) -> None:
    bucket, prefix = store.place.bucket, store.place.prefix

    def record(name: str, key: str, of: str = bucket) -> dict[str, Any]:
        told = {"key": quote_plus(prefix + key), "eTag": "e1", "size": 3}
        return {"eventName": name, "s3": {"bucket": {"name": of}, "object": told}}

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
        found = register_arrivals(lake, queue)
    assert (found.seen, found.new) == (4, 4)
    assert found.misunderstood == 1
    claim = lake.ledger.claim(owner="test", max_files=10, max_bytes=1 << 30, lease_seconds=60, engine="test")
    assert claim is not None
    assert sorted(file.key for file in claim.files) == [
        "2026/week01/a b+.json",
        "2026/week01/a+b%20c.json",
        "2026/week01/b",
        "2026/week01/thawed.json",
    ]
    assert "no notifications of S3" in caplog.text


def test_events_need_a_queue_and_a_bucket(queue: EventQueue) -> None:
    with pytest.raises(SettingsError, match="LAKE_EVENTS_QUEUE_URL"):
        event_queue(load_settings(root="s3://bucket"))
    with pytest.raises(SettingsError, match="needs a lake in a bucket"):
        event_queue(load_settings(events_queue_url="https://sqs.eu-central-1.amazonaws.com/1/q"))


def test_arrivals_are_counted_like_a_listing() -> None:
    arrivals = set(asdict(Arrivals(**dict.fromkeys(Arrivals.__dataclass_fields__, 0))))
    assert arrivals - {"messages", "misunderstood"} < set(Discovery.__dataclass_fields__)
