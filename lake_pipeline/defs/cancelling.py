"""How a run meets a person's cancel: Dagster interrupts its process, and what must not be torn apart holds that back.

What a cancelled run still tells is for `conversion` to say; what becomes of its claims, for the use cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt, pop_captured_interrupt

CANCELLED = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
"""What a cancel raises in the code of an op, wherever it is."""


@contextmanager
def cancel_held_back() -> Iterator[Callable[[], bool]]:
    """A cancel that arrives inside is raised when the block is done; the callable tells whether one has.

    Events that are stored together are kept in memory until the last of them: a cancel between them would lose all.
    """
    with capture_interrupts():
        yield check_captured_interrupt
        # Dagster forgets it at the end of its own block.
        arrived = pop_captured_interrupt()
    if arrived:
        raise dg.DagsterExecutionInterruptedError
