"""The address space of a process: libraries hang, abort or crash if they can't start a thread for lack of it.

So commands are refused below limits that were measured, and above its limit a query starts few threads. Nothing heavy
is imported here: the checks come before the libraries are loaded.
"""

from __future__ import annotations

import resource

from lake_pipeline.errors import PermanentError

COMMAND_BYTES = 600 << 20
"""With less, NumPy or the embedded server end some commands without an error that can be reported."""

QUERY_BYTES = 3 << 30
"""A query of a few rows with few threads reserves 2.0 GB: libraries, and 64 MB for each thread."""

BASE_BYTES = 5 << 29
"""What is not available for the data of a query."""

SMALL_BYTES = 16 << 30
"""Below this limit, a thread for each core of a large machine may not fit."""


def address_space() -> int | None:
    """The limit of this process in bytes (`ulimit -v`); None if there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def check_address_space(needed: int) -> None:
    """Raises `PermanentError` if this process is limited to less than `needed` bytes."""
    limit = address_space()
    if limit is not None and limit < needed:
        raise PermanentError(
            f"The address space of this process is limited to {limit >> 20:,} MiB, and this command needs "
            f"{needed >> 20:,} MiB, most of which is only reserved. Raise the limit (`ulimit -v unlimited`); to limit "
            "memory, use a control group."
        )


def small_address_space() -> int | None:
    """The limit, if few threads have to be started because of it."""
    limit = address_space()
    return limit if limit is not None and limit < SMALL_BYTES else None
