"""Errors of the lake in Dagster runs: the run shows the message of the command line, and nothing of the inside."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.errors import LedgerRefused


@dg.op
@clear_failures
def refused() -> None:
    raise LedgerRefused("The ledger refuses. Grant the right.")


@dg.op(out=dg.Out(dg.Nothing))
@clear_failures
def full() -> Iterator[dg.Output[None]]:
    yield dg.Output(None)
    raise OSError(28, "No space left on device", "/lake/part")


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (refused, "The ledger refuses. Grant the right."),
        (full, "/lake/part: No space left on device. Free space on that disk, then run the command again."),
    ],
    ids=["error of the lake", "error of the machine"],
)
def test_a_failed_run_shows_the_message_and_is_not_retried(op: dg.OpDefinition, text: str) -> None:
    @dg.job
    def job() -> None:
        op()

    result = job.execute_in_process(raise_on_error=False)

    (failure,) = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == text
