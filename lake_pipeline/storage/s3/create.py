"""Creating a small object unless it exists: one conditional request, exact under races."""

from __future__ import annotations

from lake_pipeline.aws.errors import CHANGED, ClientError, error_code
from lake_pipeline.storage.s3.bucket import Bucket


def create_object(bucket: Bucket, key: str, data: bytes) -> bool:
    """See `ObjectStore.create`. Raises `StorageUnavailable` if another write to the key is in progress."""
    with bucket.errors(f"create {key}"):
        try:
            bucket.client.put_object(**bucket.object_arguments(key), Body=data, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) in CHANGED:
                return False
            raise
    return True
