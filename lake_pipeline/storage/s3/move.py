"""Moving and copying an object on S3: copy it on the server and verify the copy. A move then deletes exactly the
version that was copied.

S3 has no rename. A crash between the steps leaves the original or both objects, and repeating the move completes it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lake_pipeline.aws.errors import CHANGED, NOT_FOUND, ClientError, error_code
from lake_pipeline.errors import ObjectArchived, ObjectChanged, ObjectMissing, StorageUnavailable
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.storage.s3.bucket import ORIGIN_ETAG, Bucket, info_from_head, plain_etag

SINGLE_COPY_BYTES = 5 << 30
"""The largest object that S3 copies in one request."""

COPY_PART_BYTES = 512 << 20
"""Part size of a larger copy: 10,000 parts, the limit of S3, hold the largest object (5 TB)."""

CONCURRENT_COPIES = 8

_KEPT_HEADERS = ("ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl")
"""Headers that a copy with new metadata would lose."""


def move_object(bucket: Bucket, source: str, target: str, *, etag: str) -> None:
    """See `ObjectStore.move`."""
    head = head_or_none(bucket, source)
    if head is None or plain_etag(head["ETag"]) != etag:
        # Missing, or replaced by a newer version: the move may have been done before.
        if _has_version(bucket, target, etag):
            return
        if head is None:
            raise ObjectMissing(source)
        raise ObjectChanged(source, etag, plain_etag(head["ETag"]))
    _copy(bucket, source, target, head)
    _verify(bucket, source, target, etag, head["ContentLength"])
    _delete_version(bucket, source, head)


def copy_object(bucket: Bucket, source: str, target: str, *, etag: str) -> None:
    """See `ObjectStore.copy`."""
    if _has_version(bucket, target, etag):
        return
    head = head_or_none(bucket, source)
    if head is None:
        raise ObjectMissing(source)
    if info_from_head(source, head).etag != etag:
        raise ObjectChanged(source, etag, plain_etag(head["ETag"]))
    _copy(bucket, source, target, head)
    _verify(bucket, source, target, etag, head["ContentLength"])


def head_or_none(bucket: Bucket, key: str) -> dict[str, Any] | None:
    """The answer of HEAD, or None if there is no object."""
    with bucket.errors(f"look up {key}"):
        try:
            head: dict[str, Any] = bucket.client.head_object(**bucket.object_arguments(key))
        except ClientError as error:
            if error_code(error) in NOT_FOUND:
                return None
            raise
    return head


def _has_version(bucket: Bucket, key: str, etag: str) -> bool:
    head = head_or_none(bucket, key)
    return head is not None and info_from_head(key, head).etag == etag


def _copy(bucket: Bucket, source: str, target: str, head: dict[str, Any]) -> None:
    headers = {name: head[name] for name in _KEPT_HEADERS if name in head}
    headers["Metadata"] = {**head.get("Metadata", {}), ORIGIN_ETAG: plain_etag(head["ETag"])}
    origin = {"CopySource": _copy_source(bucket, source, head), "CopySourceIfMatch": head["ETag"]}
    with bucket.errors(f"move {source} to {target}"):
        try:
            if head["ContentLength"] <= SINGLE_COPY_BYTES:
                arguments = {**bucket.object_arguments(target), **origin, **headers}
                bucket.client.copy_object(**arguments, MetadataDirective="REPLACE")
            else:
                _copy_in_parts(bucket, target, origin, headers, head["ContentLength"])
        except ClientError as error:
            if error_code(error) in NOT_FOUND:
                raise ObjectMissing(source) from error
            if error_code(error) in CHANGED:
                raise ObjectChanged(source, plain_etag(head["ETag"]), "a newer one") from error
            if error_code(error) in ("InvalidObjectState", "ObjectNotInActiveTierError"):
                raise ObjectArchived(source) from error
            raise


def _copy_source(bucket: Bucket, source: str, head: dict[str, Any]) -> dict[str, str]:
    version = head.get("VersionId")
    version_argument = {"VersionId": version} if version and version != "null" else {}
    return {**bucket.object_arguments(source), **version_argument}


def _copy_in_parts(bucket: Bucket, target: str, origin: dict[str, Any], headers: dict[str, Any], size: int) -> None:
    client, target_object = bucket.client, bucket.object_arguments(target)
    upload = {**target_object, "UploadId": client.create_multipart_upload(**target_object, **headers)["UploadId"]}

    def copy(number: int) -> dict[str, Any]:
        begin = (number - 1) * COPY_PART_BYTES
        stop = min(begin + COPY_PART_BYTES, size)
        answer = client.upload_part_copy(
            **upload, **origin, PartNumber=number, CopySourceRange=f"bytes={begin}-{stop - 1}"
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    try:
        with ThreadPoolExecutor(CONCURRENT_COPIES, thread_name_prefix="copy") as pool:
            parts = list(pool.map(copy, range(1, -(-size // COPY_PART_BYTES) + 1)))
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(**upload)
        raise


def _verify(bucket: Bucket, source: str, target: str, etag: str, size: int) -> None:
    """Raises `StorageUnavailable` unless the copy exists, is complete, and is of this version."""
    head = head_or_none(bucket, target)
    copied = info_from_head(target, head) if head else None
    if copied is None or (copied.etag, copied.size) != (etag, size):
        raise StorageUnavailable(
            f"{bucket.location}: the copy of {source} at {target} differs from its source "
            f"({f'{copied.size} of {size} bytes' if copied else 'it is missing'}); the original is kept and the move "
            "will be retried."
        )


def _delete_version(bucket: Bucket, source: str, head: dict[str, Any]) -> None:
    """Delete the version that was copied, and no newer one.

    In a versioned bucket the version itself is deleted, so that nothing is stored twice. If the key has older versions,
    that would bring one of them back into the landing zone, so a delete marker hides them all instead.
    """
    version = _copy_source(bucket, source, head)
    condition: dict[str, Any] = {"IfMatch": head["ETag"]}
    if "VersionId" in version and not _has_older_versions(bucket, source, version["VersionId"]):
        condition = {"VersionId": version["VersionId"]}
    with bucket.errors(f"delete {source}, which is archived"):
        try:
            bucket.client.delete_object(**bucket.object_arguments(source), **condition)
        except ClientError as error:
            # Already deleted, or replaced by a newer version, which is kept.
            if error_code(error) not in NOT_FOUND | CHANGED:
                raise


def _has_older_versions(bucket: Bucket, key: str, version: str) -> bool:
    full = bucket.full_key(key)
    with bucket.errors(f"list the versions of {key}"):
        answer = bucket.client.list_object_versions(Bucket=bucket.name, Prefix=full, MaxKeys=3)
    versions = [entry["VersionId"] for entry in answer.get("Versions", ()) if entry["Key"] == full]
    # Newest first, so versions after the copied one are older. Newer ones are not deleted anyway.
    return version in versions and versions.index(version) + 1 < len(versions)


def info_or_none(bucket: Bucket, key: str) -> ObjectInfo | None:
    """The object at `key`, or None."""
    head = head_or_none(bucket, key)
    return None if head is None else info_from_head(key, head)
