"""Clients of AWS services: one way to make them, with the retries, time-outs and connections that this project needs.

Credentials are never settings of the lake: they come from where the AWS SDK looks (environment, profile, role of the
instance or the task) and stay inside the SDK.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, NoRegionError

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.errors import SettingsError

ATTEMPTS = 8
"""Tries of one call, with pauses between them that grow to 20 s."""

CONNECT_SECONDS = 10

_lock = threading.Lock()
"""Clients may be shared between threads once they are made; sessions may not."""


def make_client(service: str, access: AwsAccess, *, attempts: int | None = None) -> Any:
    """A client of `service`, safe to share between threads and not between processes.

    A call is tried `ATTEMPTS` times, or `attempts`: once for those that do something each time.

    Raises `SettingsError` where the region is missing or the SDK's own configuration can't be read.
    """
    try:
        with _lock:
            return _session().client(
                service,
                region_name=access.region,
                endpoint_url=access.endpoint_url,
                config=_config(access, attempts or ATTEMPTS),
            )
    except NoRegionError:
        raise SettingsError("LAKE_AWS_REGION", f"{service.upper()} needs a region, like eu-central-1") from None
    except (BotoCoreError, ValueError) as error:
        raise SettingsError("LAKE_AWS_REGION", f"no client for {service.upper()} can be made: {error}") from error


def resolved_credentials() -> ReadOnlyCredentials | None:
    """The credentials that hold now, for a library that signs requests itself. None where there are none."""
    with _lock:
        found = _session().get_credentials()
        return found.get_frozen_credentials() if found else None


@cache
def _session() -> boto3.session.Session:
    """One for the process: each loads the descriptions of the services anew, a third of a second."""
    return boto3.session.Session()


def _config(access: AwsAccess, attempts: int) -> Config:
    return Config(
        # Adaptive: a client that is told SlowDown sends fewer requests from then on, not only later ones.
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        max_pool_connections=access.connections,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=access.timeout_seconds,
        # Uploads carry Content-MD5, which every S3-compatible store checks; the newer checksums many of them refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Host names for each bucket exist on AWS only.
        s3={"addressing_style": "path" if access.endpoint_url else "auto"},
        user_agent_extra="lake_pipeline",
    )
