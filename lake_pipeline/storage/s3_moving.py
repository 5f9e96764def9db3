"""Moving and copying an object on S3: copy it on the server, look at the copy; to move it, delete exactly the version
that was copied.

S3 has no rename. A crash between the steps leaves the original or both, never neither, and moving again ends the same.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from lake_pipeline.aws.errors import CHANGED, NOT_FOUND, code_of
from lake_pipeline.errors import ObjectChanged, ObjectFrozen, ObjectMissing, StorageUnavailable
from lake_pipeline.storage.objects import ObjectInfo
from lake_pipeline.storage.s3_bucket import ORIGIN_ETAG, Bucket, info_of_head, plain_etag

SINGLE_COPY_BYTES = 5 << 30
"""S3 copies up to here in one request."""

COPY_PART_BYTES = 512 << 20
"""Parts of a larger copy: 5 TB, the largest object, in 10,000 of them."""

COPIES_AT_ONCE = 8

_KEPT_HEADERS = ("ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl")
"""What a copy with metadata of its own would lose."""


def move_object(bucket: Bucket, source: str, target: str, *, etag: str) -> None:
    """See `ObjectStore.move`."""
    head = head_or_none(bucket, source)
    if head is None or plain_etag(head["ETag"]) != etag:
        # What stands at the source now, if anything, came later.
        if _was_moved(bucket, target, etag):
            return
        if head is None:
            raise ObjectMissing(source)
        raise ObjectChanged(source, etag, plain_etag(head["ETag"]))
    _copy(bucket, source, target, head)
    _verify(bucket, source, target, etag, head["ContentLength"])
    _delete_version(bucket, source, head)


def copy_object(bucket: Bucket, source: str, target: str, *, etag: str) -> None:
    """See `ObjectStore.copy`."""
    if _was_moved(bucket, target, etag):
        return
    head = head_or_none(bucket, source)
    if head is None:
        raise ObjectMissing(source)
    if info_of_head(source, head).etag != etag:
        raise ObjectChanged(source, etag, plain_etag(head["ETag"]))
    _copy(bucket, source, target, head)
    _verify(bucket, source, target, etag, head["ContentLength"])


def head_or_none(bucket: Bucket, key: str) -> dict[str, Any] | None:
    """What HEAD tells about an object; None where there is none."""
    with bucket.doing(f"look at {key}"):
        try:
            head: dict[str, Any] = bucket.client.head_object(**bucket.at(key))
        except ClientError as error:
            if code_of(error) in NOT_FOUND:
                return None
            raise
    return head


def _was_moved(bucket: Bucket, target: str, etag: str) -> bool:
    head = head_or_none(bucket, target)
    return head is not None and info_of_head(target, head).etag == etag


def _copy(bucket: Bucket, source: str, target: str, head: dict[str, Any]) -> None:
    kept = {name: head[name] for name in _KEPT_HEADERS if name in head}
    kept["Metadata"] = {**head.get("Metadata", {}), ORIGIN_ETAG: plain_etag(head["ETag"])}
    origin = {"CopySource": _copy_source(bucket, source, head), "CopySourceIfMatch": head["ETag"]}
    with bucket.doing(f"move {source} to {target}"):
        try:
            if head["ContentLength"] <= SINGLE_COPY_BYTES:
                bucket.client.copy_object(**bucket.at(target), **origin, **kept, MetadataDirective="REPLACE")
            else:
                _copy_in_parts(bucket, target, origin, kept, head["ContentLength"])
        except ClientError as error:
            if code_of(error) in NOT_FOUND:
                raise ObjectMissing(source) from error
            if code_of(error) in CHANGED:
                raise ObjectChanged(source, plain_etag(head["ETag"]), "a newer one") from error
            if code_of(error) in ("InvalidObjectState", "ObjectNotInActiveTierError"):
                raise ObjectFrozen(source) from error
            raise


def _copy_source(bucket: Bucket, source: str, head: dict[str, Any]) -> dict[str, str]:
    version = head.get("VersionId")
    named = {"VersionId": version} if version and version != "null" else {}
    return {"Bucket": bucket.name, "Key": bucket.full(source), **named}


def _copy_in_parts(bucket: Bucket, target: str, origin: dict[str, Any], kept: dict[str, Any], size: int) -> None:
    client, at = bucket.client, bucket.at(target)
    upload = {"UploadId": client.create_multipart_upload(**at, **kept)["UploadId"]}

    def copy(number: int) -> dict[str, Any]:
        begin = (number - 1) * COPY_PART_BYTES
        stop = min(begin + COPY_PART_BYTES, size)
        answer = client.upload_part_copy(
            **at, **upload, **origin, PartNumber=number, CopySourceRange=f"bytes={begin}-{stop - 1}"
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    try:
        with ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="copy") as pool:
            parts = list(pool.map(copy, range(1, -(-size // COPY_PART_BYTES) + 1)))
        client.complete_multipart_upload(**at, **upload, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(**at, **upload)
        raise


def _verify(bucket: Bucket, source: str, target: str, etag: str, size: int) -> None:
    """The original goes only when the copy is known to be there, whole, and of this version."""
    head = head_or_none(bucket, target)
    found = info_of_head(target, head) if head else None
    if found is None or (found.etag, found.size) != (etag, size):
        raise StorageUnavailable(
            f"{bucket.place}: the copy of {source} at {target} is not what was copied "
            f"({f'{found.size} of {size} bytes' if found else 'it is gone'}); the original stays and is tried again."
        )


def _delete_version(bucket: Bucket, source: str, head: dict[str, Any]) -> None:
    """Delete what was copied and no newer one.

    In a versioned bucket the version itself goes, so that nothing is stored twice. Where older versions of the key
    stand behind it that would bring one of them back into the landing zone; there a delete marker covers them all.
    """
    named = _copy_source(bucket, source, head)
    condition: dict[str, Any] = {"IfMatch": head["ETag"]}
    if "VersionId" in named and not _has_older_versions(bucket, source, named["VersionId"]):
        condition = {"VersionId": named["VersionId"]}
    with bucket.doing(f"delete {source}, which is archived"):
        try:
            bucket.client.delete_object(**bucket.at(source), **condition)
        except ClientError as error:
            # Gone, or a newer version came meanwhile: that one stays.
            if code_of(error) not in NOT_FOUND | CHANGED:
                raise


def _has_older_versions(bucket: Bucket, key: str, version: str) -> bool:
    full = bucket.full(key)
    with bucket.doing(f"list the versions of {key}"):
        answer = bucket.client.list_object_versions(Bucket=bucket.name, Prefix=full, MaxKeys=3)
    versions = [each["VersionId"] for each in answer.get("Versions", ()) if each["Key"] == full]
    # Newest first, so what follows the one that was copied is older. Of a newer one we only know that it stays.
    return version in versions and versions.index(version) + 1 < len(versions)


def info_or_none(bucket: Bucket, key: str) -> ObjectInfo | None:
    """The object at `key`, or None."""
    head = head_or_none(bucket, key)
    return None if head is None else info_of_head(key, head)
