"""Clients of AWS services, all made in one way: with the retries, timeouts and connections that this project needs.

The lake has no setting for credentials. The AWS SDK finds them (environment, profile, role of the instance or the task)
and keeps them.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, NoRegionError

from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.aws.retries import retry_beyond_quota
from lake_pipeline.errors import SettingsError

MAX_ATTEMPTS = 8
"""Attempts of one call, with pauses between them that grow to 20 s."""

CONNECT_SECONDS = 10

_lock = threading.Lock()
"""Threads may share clients, but not the session that makes them."""


def make_client(service: str, access: AwsAccess, *, attempts: int | None = None) -> Any:
    """A client of `service`. Threads may share it, processes may not.

    A call gets `attempts` attempts (default: `MAX_ATTEMPTS`). Use 1 if repeating the call would repeat its effect.

    Raises `SettingsError` if there is no region or the SDK can't read its own configuration.
    """
    attempts = attempts or MAX_ATTEMPTS
    try:
        with _lock:
            client = _session().client(
                service,
                region_name=access.region,
                endpoint_url=access.endpoint_url,
                config=_config(access, attempts),
            )
    except NoRegionError:
        raise SettingsError("LAKE_AWS_REGION", f"{service.upper()} needs a region, like eu-central-1") from None
    except (BotoCoreError, ValueError) as error:
        raise SettingsError("LAKE_AWS_REGION", f"no client for {service.upper()} can be made: {error}") from error
    retry_beyond_quota(client, attempts)
    return client


def current_credentials() -> ReadOnlyCredentials | None:
    """The credentials valid now, for a library that signs requests itself. None if there are none."""
    with _lock:
        credentials = _session().get_credentials()
        return credentials.get_frozen_credentials() if credentials else None


@cache
def _session() -> boto3.session.Session:
    """One for the process: each session loads the service descriptions again, which takes a third of a second."""
    return boto3.session.Session()


def _config(access: AwsAccess, attempts: int) -> Config:
    return Config(
        # Adaptive: after a SlowDown the client sends fewer requests of every kind, not only fewer retries.
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        max_pool_connections=access.connections,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=access.timeout_seconds,
        # Uploads carry Content-MD5, which every S3-compatible store checks. Many of them reject the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Only AWS has a host name for each bucket.
        s3={"addressing_style": "path" if access.endpoint_url else "auto"},
        user_agent_extra="lake_pipeline",
    )
