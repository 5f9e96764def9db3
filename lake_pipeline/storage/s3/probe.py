"""The probe of a bucket: one request that fails if credentials, rights, bucket or network do."""

from __future__ import annotations

from lake_pipeline.aws.errors import ClientError, error_code
from lake_pipeline.storage.s3.bucket import Bucket
from lake_pipeline.storage.zones import IDENTITY


def probe_bucket(bucket: Bucket) -> None:
    """Read the identity object of the lake, which the role must be able to read. Raises `StorageUnavailable`.

    It is not an error here if there is no such object: the bucket has answered, as it would for a raw file.
    """
    with bucket.errors("read the identity of the lake"):
        try:
            bucket.client.get_object(**bucket.object_arguments(IDENTITY))["Body"].close()
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
