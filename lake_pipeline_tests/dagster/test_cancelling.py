"""Runs that a person cancels: the process is interrupted, as Dagster does it, at the worst moments."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.defs.instance import lake_instance
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.model.states import FileState
from lake_pipeline_tests.dagster.conftest import Platform, records

DAYS = [f"2026-02-{day:02}" for day in range(3, 6)]
LIVE = [f"{day}|live" for day in DAYS]


class _CancelledIn:
    """An engine during whose batch with that number the run is cancelled."""

    name = "in_process"

    def __init__(self, inner: Any, number: int) -> None:
        self._inner, self._left = inner, number

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        self._left -= 1
        if self._left == 0:
            signal.raise_signal(signal.SIGINT)
        report: ConversionReport = self._inner.convert(request, on_progress=on_progress)
        return report


@pytest.fixture
def stored_together(platform: Platform, ledger_url: str) -> Iterator[Platform]:
    """The platform with the event log of a deployment, which stores events together."""
    settings = platform.settings.model_copy(update={"dagster_url": ledger_url})
    with lake_instance(settings) as instance:
        yield replace(platform, settings=settings, instance=instance)


def _land(platform: Platform) -> None:
    # Each file holds rows of another partition, too, so that one is reported that nobody asked for.
    platform.land(
        {f"2026/week05/date={day}_mode=live.json": records(day, "live") + records("2026-02-09", "b") for day in DAYS}
    )


def _assert_cancelled(result: dg.ExecuteInProcessResult) -> None:
    """Dagster calls it so where nobody told it that the run is to be cancelled."""
    (failure,) = result.filter_events(lambda event: event.is_run_failure)
    assert "Execution was interrupted" in (failure.message or "")


def _assert_reported_and_checked(platform: Platform, partitions: Collection[str]) -> None:
    assert platform.materialized() == set(partitions)
    for partition in partitions:
        assert len(platform.checks(partition)) == len(CHECKS)


@pytest.mark.parametrize("by_partition", [True, False])
def test_what_a_run_published_before_it_was_cancelled_is_reported_and_a_second_one_makes_the_rest(
    platform: Platform, by_partition: bool
) -> None:
    _land(platform)
    lake = replace(platform.lake, batch_files=1, engine=_CancelledIn(platform.lake.engine, 2))

    def run(lake: Lake) -> dg.ExecuteInProcessResult:
        return (
            platform.materialize_range(LIVE[0], LIVE[-1], lake=lake) if by_partition else platform.run_batch(lake=lake)
        )

    if not by_partition:
        assert run(lake).success
    _assert_cancelled(run(lake))
    _assert_reported_and_checked(platform, {LIVE[0], "2026-02-09|b"})
    states = platform.lake.ledger.status().files
    assert (states[FileState.SUCCEEDED], states[FileState.PENDING], states[FileState.PROCESSING]) == (1, 2, 0)

    assert run(platform.lake).success
    _assert_reported_and_checked(platform, {*LIVE, "2026-02-09|b"})
    assert len(platform.rows()) == 6 * len(DAYS)


def test_a_cancel_while_originals_are_archived_leaves_nothing_unreported(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    _land(platform)
    monkeypatch.setattr("lake_pipeline.ingest.batch.archive_originals", _cancelling)
    _assert_cancelled(platform.materialize_range(LIVE[0], LIVE[-1], lake=platform.lake))
    _assert_reported_and_checked(platform, {*LIVE, "2026-02-09|b"})


def test_a_cancel_during_the_rebuild_leaves_nothing_unreported(platform: Platform) -> None:
    _land(platform)
    platform.ingest_by_command()
    platform.land({"2026/week06/date=2026-02-03_mode=live.json": records(DAYS[0], "live")})
    lake = replace(platform.lake, engine=_CancelledIn(platform.lake.engine, 2))
    _assert_cancelled(platform.materialize_range(LIVE[0], LIVE[-1], lake=lake))
    _assert_reported_and_checked(platform, {LIVE[0]})
    assert len(platform.rows()) == 6 * len(DAYS) + 3
    assert platform.lake.ledger.status().files[FileState.PROCESSING] == 0


@pytest.mark.parametrize("by_partition", [True, False])
@pytest.mark.parametrize(
    "moment", [dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION]
)
def test_a_cancel_between_events_that_are_stored_together_loses_none(
    stored_together: Platform, moment: dg.DagsterEventType, by_partition: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = stored_together
    _land(platform)
    make = DagsterEvent.from_step
    made = list[dg.DagsterEventType]()

    def cancelled_at_the_first(event_type: dg.DagsterEventType, *arguments: Any, **named: Any) -> DagsterEvent:
        event = make(event_type, *arguments, **named)
        made.append(event_type)
        if made.count(moment) == 1 and event_type is moment:
            signal.raise_signal(signal.SIGINT)
        return event

    monkeypatch.setattr(DagsterEvent, "from_step", cancelled_at_the_first)
    run = platform.materialize_range(LIVE[0], LIVE[-1], lake=platform.lake) if by_partition else platform.run_batch()
    _assert_cancelled(run)
    _assert_reported_and_checked(platform, {*LIVE, "2026-02-09|b"})


def _cancelling(*_: Any, **__: Any) -> int:
    signal.raise_signal(signal.SIGINT)
    return 0
