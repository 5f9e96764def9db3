"""Pending objects on S3: multipart uploads that are not completed. They are invisible, and one request publishes one.

If an upload no longer exists, it may have been completed before. It was if the object under its key has the upload's
mark in its metadata, or the expected ETag and size.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lake_pipeline.aws.errors import NOT_FOUND, ClientError, error_code
from lake_pipeline.errors import OutcomeUnknown
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.s3.bucket import Bucket, info_from_head, plain_etag

PART_BYTES = 8 << 20
"""A part stays in memory until it is sent, for each of up to 64 open files. S3 allows 10,000 parts: 80 GB per file."""

MARK = "lake-upload"
"""Metadata that identifies the upload an object came from."""

MAX_TOKEN_PARTS = 100
"""The token has the ETags of up to 100 parts. More are listed when the object is published, with one more request."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The content of a token: the upload id, its mark, and the ETags of its parts (if at most `MAX_TOKEN_PARTS`)."""

    upload_id: str
    mark: str = ""
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "|".join((self.upload_id, self.mark, ",".join(self.parts)))

    @classmethod
    def parse(cls, token: str) -> Upload:
        """The inverse of `str()`; also accepts an upload id alone."""
        upload_id, _, rest = token.partition("|")
        mark, _, parts = rest.partition("|")
        return cls(upload_id=upload_id, mark=mark, parts=tuple(filter(None, parts.split(","))))


class S3Writer:
    """A `PendingWriter` that uploads part by part. A small object is one part."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._object = bucket.object_arguments(key)
        self._mark = uuid.uuid4().hex
        self._upload_id: str | None = None
        self._buffer = bytearray()
        self._etags: list[str] = []
        self._size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        self._buffer += data
        self._size += len(data)
        while len(self._buffer) >= PART_BYTES:
            self._send(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]
        return len(data)

    def finish(self) -> PendingObject:
        if self._buffer or not self._etags:
            self._send(bytes(self._buffer))
        parts = tuple(self._etags) if len(self._etags) <= MAX_TOKEN_PARTS else ()
        upload = Upload(upload_id=self._started(), mark=self._mark, parts=parts)
        return PendingObject(key=self._key, token=str(upload), size=self._size, etag=etag_of_parts(self._etags))

    def discard(self) -> None:
        if self._upload_id is not None:
            abort_upload(self._bucket, self._key, self._upload_id)

    def _send(self, part: bytes) -> None:
        upload_id = self._started()
        with self._bucket.errors(f"write {self._key}"):
            answer = self._bucket.client.upload_part(
                **self._object,
                UploadId=upload_id,
                PartNumber=len(self._etags) + 1,
                Body=part,
                ContentMD5=b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode(),
            )
        self._etags.append(plain_etag(answer["ETag"]))

    def _started(self) -> str:
        if self._upload_id is None:
            with self._bucket.errors(f"write {self._key}"):
                answer = self._bucket.client.create_multipart_upload(**self._object, Metadata={MARK: self._mark})
            self._upload_id = answer["UploadId"]
        return self._upload_id


def publish_upload(bucket: Bucket, pending: PendingObject) -> None:
    """Complete the upload. See `ObjectStore.publish`."""
    upload = Upload.parse(pending.token)
    with bucket.errors(f"publish {pending.key}"):
        try:
            etags = upload.parts or tuple(_listed_parts(bucket, pending.key, upload.upload_id))
            bucket.client.complete_multipart_upload(
                **bucket.object_arguments(pending.key),
                UploadId=upload.upload_id,
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
                },
            )
        except ClientError as error:
            if error_code(error) not in ("NoSuchUpload", *NOT_FOUND):
                raise
            if not _is_published(bucket, pending, upload.mark):
                raise OutcomeUnknown(
                    f"{pending.key} is neither pending nor published as it was written: it was removed or replaced "
                    "by something else, or a lifecycle rule aborted its upload. Run `lake status` and check the batch "
                    "before anything else."
                ) from error


def abort_upload(bucket: Bucket, key: str, upload_id: str) -> None:
    """Abort an upload. Idempotent."""
    with bucket.errors(f"abort the upload of {key}"):
        try:
            bucket.client.abort_multipart_upload(**bucket.object_arguments(key), UploadId=upload_id)
        except ClientError as error:
            if error_code(error) not in ("NoSuchUpload", *NOT_FOUND):
                raise


def pending_uploads(bucket: Bucket) -> Iterator[PendingObject]:
    """Every upload under the root that is neither completed nor aborted, page by page."""
    marker: dict[str, str] = {}
    while True:
        with bucket.errors("list the pending uploads"):
            answer = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix, **marker)
        for upload in answer.get("Uploads", ()):
            yield PendingObject(key=bucket.relative_key(upload["Key"]), token=upload["UploadId"], size=0, etag="")
        if not answer.get("IsTruncated"):
            return
        marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def etag_of_parts(etags: list[str]) -> str:
    """The ETag of S3 for an object uploaded in these parts: the MD5 of their MD5s, and their number."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _listed_parts(bucket: Bucket, key: str, upload_id: str) -> Iterator[str]:
    marker: dict[str, int] = {}
    while True:
        answer: dict[str, Any] = bucket.client.list_parts(**bucket.object_arguments(key), UploadId=upload_id, **marker)
        yield from (plain_etag(part["ETag"]) for part in answer.get("Parts", ()))
        if not answer.get("IsTruncated"):
            return
        marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}


def _is_published(bucket: Bucket, pending: PendingObject, mark: str) -> bool:
    try:
        head = bucket.client.head_object(**bucket.object_arguments(pending.key))
    except ClientError as error:
        if error_code(error) in NOT_FOUND:
            return False
        raise
    if mark and head.get("Metadata", {}).get(MARK) == mark:
        return True
    published = info_from_head(pending.key, head)
    return (published.etag, published.size) == (pending.etag, pending.size)
