"""Retries of a client that do not depend on the retry quota of the AWS SDK.

The SDK gives each client a quota of about a hundred retries. If many threads are throttled at once, it is used up
within seconds, and then every throttled call fails at its first attempt. Here each call has its own attempts.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError

from lake_pipeline.aws.errors import BUSY

MAX_PAUSE_SECONDS = 20.0
"""The longest pause between two attempts, as in the SDK."""

_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_CODES = BUSY | {"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "InternalError"}


def retry_beyond_quota(client: Any, attempts: int) -> None:
    """Let `client` retry also after the SDK's quota is used up, up to `attempts` attempts for each call."""
    service = client.meta.service_model.service_id.hyphenize()
    # After the SDK's own handler: its answer is taken if it has one.
    client.meta.events.register(f"needs-retry.{service}", partial(_pause, attempts), unique_id="lake-retries")


def _pause(
    limit: int, *, response: tuple[Any, dict[str, Any]] | None, attempts: int, caught_exception: Any, **_: Any
) -> float | None:
    """The seconds until the next attempt; None for no retry."""
    if attempts >= limit or not _is_transient(response, caught_exception):
        return None
    return random.uniform(0.5, 1.0) * min(MAX_PAUSE_SECONDS, 2.0 ** (attempts - 1))


def _is_transient(response: tuple[Any, dict[str, Any]] | None, caught: Any) -> bool:
    if response is None:
        return isinstance(caught, BotoConnectionError | HTTPClientError)
    http, parsed = response
    return http.status_code in _TRANSIENT_STATUS or parsed.get("Error", {}).get("Code") in _TRANSIENT_CODES
