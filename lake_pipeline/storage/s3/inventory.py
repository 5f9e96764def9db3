"""S3 Inventory: the list of a bucket's objects that S3 writes daily or weekly, as CSV or Parquet.

Listing 10 million objects takes 10,000 requests; their inventory is a few files. It is a day or more old, which is
harmless: registering an object again changes nothing, and a listing finds what landed since.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.errors import PermanentError
from lake_pipeline.model.json_document import parse_document
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.storage.s3.bucket import ARCHIVED_CLASSES, announced_object
from lake_pipeline.storage.s3.store import S3Store

REQUIRED = ("Key", "Size", "ETag")
"""Fields that an inventory must have. Size and ETag are optional in its configuration."""

BATCH_ROWS = 10_000
_CHUNK = 1 << 20

# Names of the fields in Parquet inventories.
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
    """The inventory can't be read, or does not describe the bucket of this lake."""


@dataclass(frozen=True, kw_only=True)
class _File:
    key: str
    md5: str | None


def inventory_objects(lake: S3Location, manifest_uri: str) -> Iterator[ObjectInfo]:
    """Every current object of the lake's bucket and prefix in an inventory, with bounded memory.

    `manifest_uri` is the URI of its manifest.json. Raises `BadInventory`, and what `ObjectStore.open` raises.
    """
    store, key = _manifest_object(lake, manifest_uri)
    manifest = _read_manifest(store, key)
    if manifest["sourceBucket"] != lake.bucket:
        raise BadInventory(
            f"{manifest_uri} is an inventory of the bucket {manifest['sourceBucket']}; the lake is in {lake.bucket}."
        )
    destination = S3Store(replace(store.location, bucket=manifest["destinationBucket"].rpartition(":")[2]))
    rows = _reader(manifest, manifest_uri)
    for file in (_File(key=entry["key"], md5=entry.get("MD5checksum")) for entry in manifest["files"]):
        _check(destination, file)
        try:
            for row in rows(destination, file.key):
                if (info := _info(row, lake.prefix)) is not None:
                    yield info
        except (ValueError, KeyError, TypeError) as error:
            raise BadInventory(
                f"{destination.uri}/{file.key} has a row that describes no object: {error}. Use another inventory, or "
                "list the landing zones: `lake discover`."
            ) from error


def _manifest_object(lake: S3Location, uri: str) -> tuple[S3Store, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not key.endswith("manifest.json"):
        raise BadInventory(f"{uri!r} is not an inventory; use the URI of its manifest: s3://bucket/…/manifest.json")
    return S3Store(replace(lake, bucket=bucket, prefix="")), key


def _read_manifest(store: S3Store, key: str) -> dict[str, Any]:
    with store.open(key) as stream:
        text = stream.read()
    try:
        manifest: dict[str, Any] = parse_document(text)
        _ = manifest["sourceBucket"], manifest["destinationBucket"], manifest["fileFormat"], manifest["fileSchema"]
        _ = [entry["key"] for entry in manifest["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInventory(
            f"{store.uri}/{key} is not a manifest of S3 Inventory: {type(error).__name__} {error}"
        ) from error
    return manifest


def _reader(manifest: dict[str, Any], uri: str) -> Callable[[S3Store, str], Iterator[Row]]:
    match manifest["fileFormat"]:
        case "CSV":
            names = [name.strip() for name in manifest["fileSchema"].split(",")]
            _require_fields(names, uri)
            return lambda store, key: _csv_rows(store, key, names)
        case "Parquet":
            _require_fields(
                [field for name, field in _PARQUET_NAMES.items() if f" {name}" in manifest["fileSchema"]], uri
            )
            return _parquet_rows
        case other:
            raise BadInventory(f"{uri} is an inventory in {other}; only CSV and Parquet are supported.")


def _require_fields(names: list[str], uri: str) -> None:
    if missing := [name for name in REQUIRED if name not in names]:
        raise BadInventory(
            f"{uri} lacks {' and '.join(missing)}. Add the optional fields Size, ETag and StorageClass to the "
            "inventory's configuration and wait for the next one."
        )


def _check(store: S3Store, file: _File) -> None:
    """An incomplete inventory would silently omit files."""
    if file.md5 is None:
        return
    md5 = hashlib.md5(usedforsecurity=False)
    with store.open(file.key) as stream:
        while chunk := stream.read(_CHUNK):
            md5.update(chunk)
    if md5.hexdigest() != file.md5:
        raise BadInventory(f"{store.uri}/{file.key} does not match its manifest: the MD5 differs.")


def _csv_rows(store: S3Store, key: str, names: list[str]) -> Iterator[Row]:
    with store.open(key) as stream, gzip.open(stream) as plain:
        for values in csv.reader(io.TextIOWrapper(plain, encoding="utf-8", newline="")):
            row = dict(zip(names, values, strict=True))
            # CSV inventories escape keys as in a query string; Parquet inventories do not.
            yield {**row, "Key": unquote_plus(row["Key"], errors="surrogateescape")}


def _parquet_rows(store: S3Store, key: str) -> Iterator[Row]:
    with store.open(key) as stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as parquet:
        columns = [name for name in _PARQUET_NAMES if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                yield {_PARQUET_NAMES[name]: value for name, value in row.items()}


def _info(row: Row, prefix: str) -> ObjectInfo | None:
    """None for an older version, a delete marker, or an object outside the root."""
    if not _is_true(row.get("IsLatest", True)) or _is_true(row.get("IsDeleteMarker", False)):
        return None
    if not row["Key"].startswith(prefix) or row["Key"] == prefix:
        return None
    needs_restore = row.get("StorageClass") in ARCHIVED_CLASSES
    return announced_object(row["Key"].removeprefix(prefix), row["ETag"], row["Size"], needs_restore=needs_restore)


def _is_true(value: object) -> bool:
    return value in (True, "true", "True")
