"""`ObjectStore` on S3 or an S3-compatible service. The other modules of this package explain each operation.

A store is picklable: it consists of its location, and each process makes its own client.
"""

from __future__ import annotations

from collections.abc import Iterator
from re import Pattern
from typing import BinaryIO, cast

from lake_pipeline.errors import ObjectMissing
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.object_store import ListingReport, ObjectInfo
from lake_pipeline.storage.s3.bucket import Bucket
from lake_pipeline.storage.s3.create import create_object
from lake_pipeline.storage.s3.listing import list_folders, list_objects
from lake_pipeline.storage.s3.move import copy_object, info_or_none, move_object
from lake_pipeline.storage.s3.multipart import S3Writer, Upload, abort_upload, pending_uploads, publish_upload
from lake_pipeline.storage.s3.probe import probe_bucket
from lake_pipeline.storage.s3.read import ObjectStream


class S3Store:
    """Objects under `s3://bucket/prefix`. Sends no request before a method is called."""

    def __init__(self, location: S3Location) -> None:
        self._bucket = Bucket(location)

    @property
    def location(self) -> S3Location:
        return self._bucket.location

    @property
    def uri(self) -> str:
        return str(self._bucket.location)

    def probe(self) -> None:
        probe_bucket(self._bucket)

    def objects(self, prefix: str, report: ListingReport | None = None) -> Iterator[ObjectInfo]:
        # A bucket has nothing but objects.
        del report
        return list_objects(self._bucket, prefix)

    def folders(self, pattern: Pattern[str]) -> list[str]:
        return sorted(name for name in list_folders(self._bucket) if pattern.fullmatch(name))

    def stat(self, key: str) -> ObjectInfo | None:
        return info_or_none(self._bucket, key)

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO:
        try:
            self._bucket.full_key(key)
        except ValueError as error:
            # An event may announce anything.
            raise ObjectMissing(key) from error
        return cast(BinaryIO, ObjectStream(self._bucket, key, etag, start))

    def put_pending(self, key: str) -> S3Writer:
        return S3Writer(self._bucket, key)

    def publish(self, pending: PendingObject) -> None:
        publish_upload(self._bucket, pending)

    def abort(self, pending: PendingObject) -> None:
        abort_upload(self._bucket, pending.key, Upload.parse(pending.token).upload_id)

    def pending(self) -> Iterator[PendingObject]:
        return pending_uploads(self._bucket)

    def move(self, source: str, target: str, *, etag: str) -> None:
        move_object(self._bucket, source, target, etag=etag)

    def copy(self, source: str, target: str, *, etag: str) -> None:
        copy_object(self._bucket, source, target, etag=etag)

    def delete(self, key: str) -> None:
        with self._bucket.errors(f"delete {key}"):
            self._bucket.client.delete_object(**self._bucket.object_arguments(key))

    def create(self, key: str, data: bytes) -> bool:
        return create_object(self._bucket, key, data)

    def create_root(self) -> None:
        """`lake provision` creates buckets."""
