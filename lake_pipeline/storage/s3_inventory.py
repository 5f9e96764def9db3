"""S3 Inventory: the list of a bucket that S3 writes itself, daily or weekly, as CSV or Parquet.

A list of 10 million objects is 10,000 requests; its inventory is a few files. It is a day or more old, which is no
harm: what is in the ledger already is known, and a listing finds what came since.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.errors import PermanentError
from lake_pipeline.storage.objects import ObjectInfo
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.s3 import S3Store
from lake_pipeline.storage.s3_bucket import FROZEN_CLASSES, plain_etag

NEEDED = ("Key", "Size", "ETag")
"""Fields an inventory must have been configured with, beside the ones that are always there."""

BATCH_ROWS = 10_000
_CHUNK = 1 << 20

# The names of the same fields in Parquet inventories.
_PARQUET_NAMES = {
    "key": "Key",
    "size": "Size",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
    "is_latest": "IsLatest",
    "is_delete_marker": "IsDeleteMarker",
}

Row = dict[str, Any]


class BadInventory(PermanentError):
    """The inventory is not what this lake can be filled from."""


@dataclass(frozen=True, kw_only=True)
class _File:
    key: str
    md5: str | None


def inventory_objects(lake: S3Place, manifest_uri: str) -> Iterator[ObjectInfo]:
    """Every current object of the lake's bucket and prefix that an inventory names, with bounded memory.

    `manifest_uri` is the address of its manifest.json. Raises `BadInventory` with what is wrong with it, and what
    `ObjectStore.open` raises.
    """
    store, key = _place(lake, manifest_uri)
    manifest = _read_manifest(store, key)
    if manifest["sourceBucket"] != lake.bucket:
        raise BadInventory(
            f"{manifest_uri} is an inventory of the bucket {manifest['sourceBucket']}; the lake is in {lake.bucket}."
        )
    destination = S3Store(replace(store.place, bucket=manifest["destinationBucket"].rpartition(":")[2]))
    rows = _reader(manifest, manifest_uri)
    for file in (_File(key=each["key"], md5=each.get("MD5checksum")) for each in manifest["files"]):
        _check(destination, file)
        for row in rows(destination, file.key):
            if (info := _info(row, lake.prefix)) is not None:
                yield info


def _place(lake: S3Place, uri: str) -> tuple[S3Store, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not key.endswith("manifest.json"):
        raise BadInventory(f"{uri!r} is no inventory; write the address of its manifest: s3://bucket/…/manifest.json")
    return S3Store(replace(lake, bucket=bucket, prefix="")), key


def _read_manifest(store: S3Store, key: str) -> dict[str, Any]:
    with store.open(key) as stream:
        text = stream.read()
    try:
        manifest: dict[str, Any] = json.loads(text)
        _ = manifest["sourceBucket"], manifest["destinationBucket"], manifest["fileFormat"], manifest["fileSchema"]
        _ = [each["key"] for each in manifest["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInventory(
            f"{store.uri}/{key} is no manifest of S3 Inventory: {type(error).__name__} {error}"
        ) from error
    return manifest


def _reader(manifest: dict[str, Any], uri: str) -> Callable[[S3Store, str], Iterator[Row]]:
    match manifest["fileFormat"]:
        case "CSV":
            names = [name.strip() for name in manifest["fileSchema"].split(",")]
            _need(names, uri)
            return lambda store, key: _csv_rows(store, key, names)
        case "Parquet":
            _need([shown for name, shown in _PARQUET_NAMES.items() if f" {name}" in manifest["fileSchema"]], uri)
            return _parquet_rows
        case other:
            raise BadInventory(f"{uri} is an inventory in {other}; CSV and Parquet can be read.")


def _need(names: list[str], uri: str) -> None:
    if missing := [name for name in NEEDED if name not in names]:
        raise BadInventory(
            f"{uri} lacks {' and '.join(missing)}. Add the optional fields Size, ETag and StorageClass to the "
            "configuration of the inventory, and wait for the next one."
        )


def _check(store: S3Store, file: _File) -> None:
    """An inventory that is not whole would silently leave files out."""
    if file.md5 is None:
        return
    found = hashlib.md5(usedforsecurity=False)
    with store.open(file.key) as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    if found.hexdigest() != file.md5:
        raise BadInventory(f"{store.uri}/{file.key} is not the file that its manifest names: the MD5 differs.")


def _csv_rows(store: S3Store, key: str, names: list[str]) -> Iterator[Row]:
    with store.open(key) as stream, gzip.open(stream) as plain:
        for values in csv.reader(io.TextIOWrapper(plain, encoding="utf-8", newline="")):
            row = dict(zip(names, values, strict=True))
            # Only in CSV are keys escaped, as in a query string.
            yield {**row, "Key": unquote_plus(row["Key"])}


def _parquet_rows(store: S3Store, key: str) -> Iterator[Row]:
    with store.open(key) as stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as parquet:
        wanted = [name for name in _PARQUET_NAMES if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(BATCH_ROWS, columns=wanted):
            for row in batch.to_pylist():
                yield {_PARQUET_NAMES[name]: value for name, value in row.items()}


def _info(row: Row, prefix: str) -> ObjectInfo | None:
    """None for what is no current object below the root."""
    if not _is(row.get("IsLatest", True)) or _is(row.get("IsDeleteMarker", False)):
        return None
    if not row["Key"].startswith(prefix) or row["Key"] == prefix:
        return None
    return ObjectInfo(
        key=row["Key"].removeprefix(prefix),
        etag=plain_etag(row["ETag"]),
        size=int(row["Size"]),
        frozen=row.get("StorageClass") in FROZEN_CLASSES,
    )


def _is(value: object) -> bool:
    return value in (True, "true", "True")
