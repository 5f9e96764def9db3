"""IAM authentication tokens for RDS: a token replaces the password, is valid for 15 minutes, and is signed locally."""

from __future__ import annotations

import re

from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.aws.errors import translate_errors

_REGION_IN_HOST = re.compile(r"\.([a-z0-9-]+)\.rds\.amazonaws\.com(?:\.cn)?$")


def rds_token(*, host: str, port: int, user: str, region: str | None) -> str:
    """A new token for `user`. A region in the host name takes precedence over `region`.

    Raises `SettingsError` without a region, and `StorageRefused` without AWS credentials.
    """
    match = _REGION_IN_HOST.search(host)
    client = make_client("rds", AwsAccess(region=match.group(1) if match else region))
    with translate_errors(host, f"sign in as {user}"):
        token: str = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return token
