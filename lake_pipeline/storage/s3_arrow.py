"""A bucket as pyarrow sees it: for readers of many Parquet files, in native code and on its own threads."""

from __future__ import annotations

from urllib.parse import urlsplit

from pyarrow import fs

from lake_pipeline.aws.clients import resolved_credentials
from lake_pipeline.storage.places import S3Place


def arrow_filesystem(place: S3Place) -> fs.FileSystem:
    """A file system whose paths are the keys under the root, with the credentials that the AWS SDK finds now."""
    access, credentials = place.access, resolved_credentials()
    endpoint = urlsplit(access.endpoint_url) if access.endpoint_url else None
    files = fs.S3FileSystem(
        access_key=credentials.access_key if credentials else None,
        secret_key=credentials.secret_key if credentials else None,
        session_token=credentials.token if credentials else None,
        region=access.region,
        scheme=endpoint.scheme if endpoint else "https",
        endpoint_override=endpoint.netloc if endpoint else None,
        request_timeout=access.timeout_seconds,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=8),
    )
    return fs.SubTreeFileSystem(f"{place.bucket}/{place.prefix}", files)
