"""Pending objects on S3: multipart uploads that are not completed. Nobody sees them, and one request completes one.

An upload that is gone is looked up before anything is decided: the object under its key carries the upload's own mark,
or the ETag and the size that it was going to have.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lake_pipeline.aws.errors import NOT_FOUND, code_of
from lake_pipeline.errors import OutcomeUnknown
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.s3_bucket import Bucket, info_of_head, plain_etag

PART_BYTES = 8 << 20
"""A part is held in memory until it is sent, for each of up to 64 open files. S3 allows 10,000 parts: 80 GB a file."""

MARK = "lake-upload"
"""Metadata that names the upload an object came from."""

TOLD_PARTS = 100
"""Up to here the parts are in the token; those of a larger file are listed when it is published, one request more."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What a token says: the upload, its mark, and the ETags of its parts if they are few."""

    upload_id: str
    mark: str = ""
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "|".join((self.upload_id, self.mark, ",".join(self.parts)))

    @classmethod
    def parse(cls, token: str) -> Upload:
        """The inverse of `str()`; an upload id alone is a token too."""
        upload_id, _, rest = token.partition("|")
        mark, _, parts = rest.partition("|")
        return cls(upload_id=upload_id, mark=mark, parts=tuple(filter(None, parts.split(","))))


class S3Writer:
    """A pending object being uploaded part by part. See `PendingWriter`. A small object is one part."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._at = bucket.at(key)
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
        told = tuple(self._etags) if len(self._etags) <= TOLD_PARTS else ()
        upload = Upload(upload_id=self._begun(), mark=self._mark, parts=told)
        return PendingObject(key=self._key, token=str(upload), size=self._size, etag=etag_of_parts(self._etags))

    def discard(self) -> None:
        if self._upload_id is not None:
            abort_upload(self._bucket, self._key, self._upload_id)

    def _send(self, part: bytes) -> None:
        upload_id = self._begun()
        with self._bucket.doing(f"write {self._key}"):
            answer = self._bucket.client.upload_part(
                **self._at,
                UploadId=upload_id,
                PartNumber=len(self._etags) + 1,
                Body=part,
                ContentMD5=b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode(),
            )
        self._etags.append(plain_etag(answer["ETag"]))

    def _begun(self) -> str:
        if self._upload_id is None:
            with self._bucket.doing(f"write {self._key}"):
                answer = self._bucket.client.create_multipart_upload(**self._at, Metadata={MARK: self._mark})
            self._upload_id = answer["UploadId"]
        return self._upload_id


def publish_upload(bucket: Bucket, pending: PendingObject) -> None:
    """Complete the upload. See `ObjectStore.publish`."""
    upload = Upload.parse(pending.token)
    with bucket.doing(f"publish {pending.key}"):
        try:
            etags = upload.parts or tuple(_listed_parts(bucket, pending.key, upload.upload_id))
            bucket.client.complete_multipart_upload(
                **bucket.at(pending.key),
                UploadId=upload.upload_id,
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
                },
            )
        except ClientError as error:
            if code_of(error) not in ("NoSuchUpload", *NOT_FOUND):
                raise
            if not _is_published(bucket, pending, upload.mark):
                raise OutcomeUnknown(
                    f"{pending.key} is neither pending nor published as it was written: somebody removed or "
                    "replaced it, or a lifecycle rule aborted its upload. Run `lake status` and look at the batch "
                    "before anything else."
                ) from error


def abort_upload(bucket: Bucket, key: str, upload_id: str) -> None:
    """Forget an upload. Harmless when it is gone."""
    with bucket.doing(f"abort the upload of {key}"):
        try:
            bucket.client.abort_multipart_upload(**bucket.at(key), UploadId=upload_id)
        except ClientError as error:
            if code_of(error) not in ("NoSuchUpload", *NOT_FOUND):
                raise


def pending_uploads(bucket: Bucket) -> Iterator[PendingObject]:
    """Every upload under the root that is neither completed nor aborted, page by page."""
    marker: dict[str, str] = {}
    while True:
        with bucket.doing("list the pending uploads"):
            answer = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix, **marker)
        for found in answer.get("Uploads", ()):
            yield PendingObject(key=bucket.short(found["Key"]), token=found["UploadId"], size=0, etag="")
        if not answer.get("IsTruncated"):
            return
        marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def etag_of_parts(etags: list[str]) -> str:
    """The ETag that S3 gives to an object uploaded in these parts: the MD5 of their MD5s, and how many there are."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _listed_parts(bucket: Bucket, key: str, upload_id: str) -> Iterator[str]:
    marker: dict[str, int] = {}
    while True:
        answer: dict[str, Any] = bucket.client.list_parts(**bucket.at(key), UploadId=upload_id, **marker)
        yield from (plain_etag(part["ETag"]) for part in answer.get("Parts", ()))
        if not answer.get("IsTruncated"):
            return
        marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}


def _is_published(bucket: Bucket, pending: PendingObject, mark: str) -> bool:
    try:
        head = bucket.client.head_object(**bucket.at(pending.key))
    except ClientError as error:
        if code_of(error) in NOT_FOUND:
            return False
        raise
    if mark and head.get("Metadata", {}).get(MARK) == mark:
        return True
    found = info_of_head(pending.key, head)
    return (found.etag, found.size) == (pending.etag, pending.size)
