"""Tokens to sign in to RDS with, instead of a password: valid for 15 minutes, and made without asking anybody."""

from __future__ import annotations

import re

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import translated

_REGION = re.compile(r"\.([a-z0-9-]+)\.rds\.amazonaws\.com(?:\.cn)?$")


def rds_token(*, host: str, port: int, user: str, region: str | None) -> str:
    """A fresh token for `user`. The region is that of the host's name where it has one.

    Raises `SettingsError` without a region, and `StorageRefused` without AWS credentials.
    """
    named = _REGION.search(host)
    client = make_client("rds", AwsAccess(region=named.group(1) if named else region))
    with translated(host, f"sign in as {user}"):
        token: str = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return token
