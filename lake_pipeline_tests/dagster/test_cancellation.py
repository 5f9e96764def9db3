"""Canceled runs: the process is interrupted, as by Dagster, at the worst moments."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.defs.instance.instance import lake_instance
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.support.settings import changed_settings

DAYS = [f"2026-02-{day:02}" for day in range(3, 6)]
LIVE = [f"{day}|live" for day in DAYS]


class _CanceledIn:
    """An engine that cancels the run during the batch with this number."""

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
def batched_platform(platform: Platform, ledger_url: str) -> Iterator[Platform]:
    """The platform with the event log of a deployment, which stores events in batches."""
    settings = changed_settings(platform.settings, dagster_url=ledger_url)
    with lake_instance(settings) as instance:
        yield replace(platform, settings=settings, instance=instance)


def _land(platform: Platform) -> None:
    # Each file also has rows of another partition, so that a partition outside of the selection is reported.
    platform.land(
        {f"2026/week05/date={day}_mode=live.json": records(day, "live") + records("2026-02-09", "b") for day in DAYS}
    )


def _assert_canceled(result: dg.ExecuteInProcessResult) -> None:
    """Dagster calls it a failure, because the run was not canceled through the instance."""
    (failure,) = result.filter_events(lambda event: event.is_run_failure)
    assert "Execution was interrupted" in (failure.message or "")


def _assert_reported_and_checked(platform: Platform, partitions: Collection[str]) -> None:
    assert platform.materialized() == set(partitions)
    for partition in partitions:
        assert len(platform.checks(partition)) == len(CHECKS)


@pytest.mark.parametrize("by_partition", [True, False])
def test_a_canceled_run_reports_what_it_published_and_a_second_one_converts_the_rest(
    platform: Platform, by_partition: bool
) -> None:
    _land(platform)
    lake = replace(platform.lake, batch_files=1, engine=_CanceledIn(platform.lake.engine, 2))

    def run(lake: Lake) -> dg.ExecuteInProcessResult:
        return (
            platform.materialize_range(LIVE[0], LIVE[-1], lake=lake) if by_partition else platform.run_batch(lake=lake)
        )

    if not by_partition:
        assert run(lake).success
    _assert_canceled(run(lake))
    _assert_reported_and_checked(platform, {LIVE[0], "2026-02-09|b"})
    states = platform.lake.ledger.views.status().files
    assert (states[FileState.SUCCEEDED], states[FileState.PENDING], states[FileState.PROCESSING]) == (1, 2, 0)

    assert run(platform.lake).success
    _assert_reported_and_checked(platform, {*LIVE, "2026-02-09|b"})
    assert len(platform.rows()) == 6 * len(DAYS)


def test_a_cancellation_while_originals_are_archived_leaves_nothing_unreported(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    _land(platform)
    monkeypatch.setattr("lake_pipeline.usecases.batches.ingest.archive_originals", _canceling)
    _assert_canceled(platform.materialize_range(LIVE[0], LIVE[-1], lake=platform.lake))
    _assert_reported_and_checked(platform, {*LIVE, "2026-02-09|b"})


def test_a_cancellation_during_the_rebuild_leaves_nothing_unreported(platform: Platform) -> None:
    _land(platform)
    platform.ingest_by_command()
    platform.land({"2026/week06/date=2026-02-03_mode=live.json": records(DAYS[0], "live")})
    lake = replace(platform.lake, engine=_CanceledIn(platform.lake.engine, 2))
    _assert_canceled(platform.materialize_range(LIVE[0], LIVE[-1], lake=lake))
    _assert_reported_and_checked(platform, {LIVE[0]})
    assert len(platform.rows()) == 6 * len(DAYS) + 3
    assert platform.lake.ledger.views.status().files[FileState.PROCESSING] == 0


@pytest.mark.parametrize("by_partition", [True, False])
@pytest.mark.parametrize(
    "moment", [dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION]
)
def test_a_cancellation_between_events_of_a_batch_loses_none(
    batched_platform: Platform, moment: dg.DagsterEventType, by_partition: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = batched_platform
    _land(platform)
    from_step = dg.DagsterEvent.from_step
    logged = list[dg.DagsterEventType]()

    def canceled_at_the_first(event_type: dg.DagsterEventType, *arguments: Any, **named: Any) -> dg.DagsterEvent:
        event = from_step(event_type, *arguments, **named)
        logged.append(event_type)
        if logged.count(moment) == 1 and event_type is moment:
            signal.raise_signal(signal.SIGINT)
        return event

    monkeypatch.setattr(dg.DagsterEvent, "from_step", canceled_at_the_first)
    run = platform.materialize_range(LIVE[0], LIVE[-1], lake=platform.lake) if by_partition else platform.run_batch()
    _assert_canceled(run)
    _assert_reported_and_checked(platform, {*LIVE, "2026-02-09|b"})


def _canceling(*_: Any, **__: Any) -> int:
    signal.raise_signal(signal.SIGINT)
    return 0
