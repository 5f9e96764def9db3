"""A bucket as a pyarrow file system, for readers of many Parquet files in native code."""

from __future__ import annotations

from urllib.parse import urlsplit

from pyarrow import fs

from lake_pipeline.aws.clients import current_credentials
from lake_pipeline.storage.location import S3Location


def arrow_filesystem(location: S3Location) -> fs.FileSystem:
    """A file system whose paths are keys under the root, with the credentials that the AWS SDK has now."""
    access, credentials = location.access, current_credentials()
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
    return fs.SubTreeFileSystem(f"{location.bucket}/{location.prefix}", files)
