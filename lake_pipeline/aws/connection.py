"""How to reach AWS, as a value without secrets. Does not import the AWS SDK, which takes 0.3 s to load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AwsAccess:
    """How to reach AWS or a compatible service. Holds no credentials, so it can be sent to other machines.

    `endpoint_url` is the address of an S3-compatible store; None means AWS. `connections` limits concurrent calls,
    `timeout_seconds` is how long to wait for data on an open connection.
    """

    region: str | None = None
    endpoint_url: str | None = None
    connections: int = 16
    timeout_seconds: float = 60.0
