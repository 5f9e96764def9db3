"""The object store on S3, or on anything that speaks its protocol. How each promise is kept is told in s3_*.py.

The store is a description with a client behind it: it travels to other processes, which make clients of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from re import Pattern
from typing import BinaryIO, cast

from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.objects import ObjectInfo
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.s3_bucket import Bucket
from lake_pipeline.storage.s3_listing import list_folders, list_objects
from lake_pipeline.storage.s3_moving import copy_object, info_or_none, move_object
from lake_pipeline.storage.s3_reading import ObjectStream
from lake_pipeline.storage.s3_writing import S3Writer, Upload, abort_upload, pending_uploads, publish_upload


class S3Store:
    """Objects under `s3://bucket/prefix`. Nothing is asked of S3 before a method is called."""

    def __init__(self, place: S3Place) -> None:
        self._bucket = Bucket(place)

    @property
    def place(self) -> S3Place:
        return self._bucket.place

    @property
    def uri(self) -> str:
        return str(self._bucket.place)

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        return list_objects(self._bucket, prefix)

    def folders(self, pattern: Pattern[str]) -> list[str]:
        return sorted(name for name in list_folders(self._bucket) if pattern.fullmatch(name))

    def stat(self, key: str) -> ObjectInfo | None:
        return info_or_none(self._bucket, key)

    def open(self, key: str, *, etag: str | None = None, start: int = 0) -> BinaryIO:
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
        with self._bucket.doing(f"delete {key}"):
            self._bucket.client.delete_object(**self._bucket.at(key))
