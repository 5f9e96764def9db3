"""Delays a run's cancellation while events are stored that belong together. Dagster cancels a run with a signal.

`conversion.op` decides what a canceled run still reports; the use cases release its claims.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

CANCELED = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
"""What a cancellation raises in the code of an op."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def cancellation_delayed() -> Iterator[Callable[[], bool]]:
    """Raise a cancellation that arrives inside after the block; the callable returns whether one has arrived.

    Events that are stored as one batch are buffered until the last of them: a cancellation between them would lose all.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals arrive in the main thread only.
        yield lambda: False
        return
    arrived = list[int]()
    # Python cannot restore a handler that was not installed from Python; `getsignal` returns None for it.
    handlers = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) is not None}
    try:
        for number in handlers:
            signal.signal(number, lambda received, _frame: arrived.append(received))
        yield lambda: bool(arrived)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if arrived:
        raise dg.DagsterExecutionInterruptedError
