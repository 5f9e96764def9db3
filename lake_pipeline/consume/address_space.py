"""The address space of a query: DuckDB and Arrow hang or abort if they can't start a thread for lack of it.

So a query is refused below a limit that was measured, and above it starts few threads. Nothing heavy is imported here:
the check comes before the libraries are loaded.
"""

from __future__ import annotations

import resource

from lake_pipeline.errors import PermanentError

NEEDED_BYTES = 3 << 30
"""A query of a few rows with few threads reserves 2.0 GB: libraries, and 64 MB for each thread."""

BASE_BYTES = 5 << 29
"""What is not available for the data of a query."""

SMALL_BYTES = 16 << 30
"""Below this limit, a thread for each core of a large machine may not fit."""


def address_space() -> int | None:
    """The limit of this process in bytes (`ulimit -v`); None if there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def check_address_space() -> None:
    """Raises `PermanentError` if a query could hang because of the limit."""
    limit = address_space()
    if limit is not None and limit < NEEDED_BYTES:
        raise PermanentError(
            f"The address space of this process is limited to {limit / (1 << 30):.1f} GiB, and a query needs "
            f"{NEEDED_BYTES >> 30} GiB, most of which is only reserved. Raise the limit (`ulimit -v unlimited`); to "
            "limit memory, use a control group."
        )


def small_address_space() -> int | None:
    """The limit, if few threads have to be started because of it."""
    limit = address_space()
    return limit if limit is not None and limit < SMALL_BYTES else None
