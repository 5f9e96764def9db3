"""Troubles that fail no run: who watches hears of each once, and again when it comes back."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from lake_pipeline.defs.alerts import sink_of
from lake_pipeline.defs.resources import LAKE, LakeResource
from lake_pipeline.defs.watching import Watch, watch_sensor
from lake_pipeline_tests.dagster.conftest import OpenLake, Platform, records
from lake_pipeline_tests.dagster.webhooks import webhook


def _tick(
    platform: Platform, url: str, cursor: str | None, lake: LakeResource | None = None, **settings: Any
) -> dg.SensorResult:
    changed = platform.settings.model_copy(update=settings)
    context = dg.build_sensor_context(
        instance=platform.instance, resources={LAKE: lake or OpenLake(platform.lake)}, cursor=cursor
    )
    result = watch_sensor(changed, sink_of(url))(context)
    assert isinstance(result, dg.SensorResult)
    return result


def _told(result: dg.SensorResult) -> str:
    """What the tick says in the UI."""
    reason = result.skip_reason
    return str(reason.skip_message if isinstance(reason, dg.SkipReason) else reason)


def _sensor(platform: Platform, *ticks: TickStatus) -> None:
    """What a daemon leaves of a sensor's ticks."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("lake_pipeline.definitions"), "__repository__")
    state = InstigatorState(
        RemoteInstigatorOrigin(repository_origin=repository, instigator_name="pending_files_sensor"),
        InstigatorType.SENSOR,
        InstigatorStatus.DECLARED_IN_CODE,
        SensorInstigatorData(min_interval=30),
    )
    if platform.instance.get_instigator_state(state.instigator_origin_id, state.selector_id) is None:
        platform.instance.add_instigator_state(state)
    for status in ticks:
        error = SerializableErrorInfo("the ledger is away", [], "LedgerUnavailable")
        platform.instance.create_tick(
            TickData(
                state.instigator_origin_id,
                "pending_files_sensor",
                InstigatorType.SENSOR,
                status,
                timestamp=time.time(),
                selector_id=state.selector_id,
                error=error if status is TickStatus.FAILURE else None,
            )
        )


def test_a_sensor_that_fails_again_and_again_is_told_once_and_again_after_it_was_well(platform: Platform) -> None:
    cursor = Watch.of(None).cursor()
    with webhook() as (url, told):
        for ticks, expected in [
            ([TickStatus.FAILURE] * 2, 0),
            ([TickStatus.FAILURE], 1),
            ([TickStatus.FAILURE], 1),
            ([TickStatus.SKIPPED], 1),
            ([TickStatus.FAILURE] * 3, 2),
        ]:
            _sensor(platform, *ticks)
            cursor = _tick(platform, url, cursor).cursor or ""
            assert len(told) == expected
    assert told[0].startswith("*Lake: pending_files_sensor fails again and again*")
    assert "the ledger is away" in told[0]


def test_files_that_wait_for_too_long_are_told_until_they_are_taken(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    with webhook() as (url, told):
        assert _told(_tick(platform, url, None)) == "All is well."
        first = _tick(platform, url, None, fresh_hours=1e-9)
        again = _tick(platform, url, first.cursor, fresh_hours=1e-9)
        assert "files wait for longer than" in _told(again)
        platform.run_batch()
        assert _told(_tick(platform, url, again.cursor, fresh_hours=1e-9)) == "All is well."
    assert [text.splitlines()[0] for text in told] == ["*Lake: files wait for longer than 1e-09 hours*"]


def test_what_the_sink_did_not_take_is_told_by_the_next_tick(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    with webhook(500) as (url, told):
        cursor = _tick(platform, url, None, fresh_hours=1e-9).cursor
        for _ in range(2):
            cursor = _tick(platform, url, cursor, fresh_hours=1e-9).cursor
    assert len(told) == 2, "refused once, taken once"


def test_a_ledger_that_is_away_is_told(platform: Platform) -> None:
    away = platform.settings.model_copy(update={"ledger_url": "postgresql://nobody@127.0.0.1:1/none"})
    with webhook() as (url, told):
        _tick(platform, url, None, lake=LakeResource(away))
    assert [text.splitlines()[0] for text in told] == ["*Lake: the ledger can't be asked*"]
