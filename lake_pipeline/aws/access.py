"""How AWS is reached, as a value without secrets. Free of the AWS SDK, which takes a third of a second to load."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AwsAccess:
    """How AWS, or what stands in for it, is reached. It holds no credentials and travels to where tasks run.

    `endpoint_url` is that of an S3-compatible store; None means AWS. `connections` is how many calls may be under way
    at once, `timeout_seconds` how long a silent connection is waited for.
    """

    region: str | None = None
    endpoint_url: str | None = None
    connections: int = 16
    timeout_seconds: float = 60.0
