"""Alert conditions other than failed runs: each is reported once, and again if it comes back."""

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

from lake_pipeline.defs.alerts.conditions import SensorState, alert_on_trouble
from lake_pipeline.defs.alerts.sinks import sink_of
from lake_pipeline.defs.resources import LAKE, LakeResource
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.dagster.conftest import OpenLake, Platform, records
from lake_pipeline_tests.dagster.webhooks import webhook
from lake_pipeline_tests.support.settings import changed_settings


def _tick(
    platform: Platform, url: str, cursor: str | None, lake: LakeResource | None = None, **settings: Any
) -> dg.SensorResult:
    changed = changed_settings(platform.settings, **settings)
    context = dg.build_sensor_context(
        instance=platform.instance, resources={LAKE: lake or OpenLake(platform.lake)}, cursor=cursor
    )
    result = alert_on_trouble(changed, sink_of(url))(context)
    assert isinstance(result, dg.SensorResult)
    return result


def _message(result: dg.SensorResult) -> str:
    """The message of the tick in the UI."""
    reason = result.skip_reason
    return str(reason.skip_message if isinstance(reason, dg.SkipReason) else reason)


def _sensor(platform: Platform, *ticks: TickStatus) -> None:
    """Store a sensor's ticks as the daemon does."""
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
        error = SerializableErrorInfo("the ledger is unreachable", [], "LedgerUnavailable")
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


def test_a_sensor_that_fails_repeatedly_is_reported_once_and_again_after_it_recovered(platform: Platform) -> None:
    cursor = SensorState.of(None).cursor()
    with webhook() as (url, alerts):
        for ticks, expected in [
            ([TickStatus.FAILURE] * 2, 0),
            ([TickStatus.FAILURE], 1),
            ([TickStatus.FAILURE], 1),
            ([TickStatus.SKIPPED], 1),
            ([TickStatus.FAILURE] * 3, 2),
        ]:
            _sensor(platform, *ticks)
            cursor = _tick(platform, url, cursor).cursor or ""
            assert len(alerts) == expected
    assert alerts[0].startswith("*Lake: pending_files_sensor fails repeatedly*")
    assert "the ledger is unreachable" in alerts[0]


def test_files_that_wait_for_too_long_are_reported_until_they_are_converted(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    with webhook() as (url, alerts):
        assert _message(_tick(platform, url, None)) == "No alert conditions."
        first = _tick(platform, url, None, fresh_hours=1e-9)
        again = _tick(platform, url, first.cursor, fresh_hours=1e-9)
        assert "files wait for longer than" in _message(again)
        platform.run_batch()
        assert _message(_tick(platform, url, again.cursor, fresh_hours=1e-9)) == "No alert conditions."
    assert [text.splitlines()[0] for text in alerts] == ["*Lake: files wait for longer than 1e-09 hours*"]


def test_what_a_listing_can_not_read_is_reported_until_it_is_gone(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    link = platform.settings.storage.directory / "2026/week05/loop"
    link.symlink_to("..")
    discover(platform.lake)
    with webhook() as (url, alerts):
        first = _tick(platform, url, None)
        discover(platform.lake)
        again = _tick(platform, url, first.cursor)
        link.unlink()
        discover(platform.lake)
        assert _message(_tick(platform, url, again.cursor)) == "No alert conditions."
    [alert] = alerts
    assert "1 entries of the landing zones can't be read" in alert
    assert "2026/week05/loop: a link, which is not followed" in alert


def test_an_alert_that_could_not_be_sent_is_sent_by_the_next_tick(platform: Platform) -> None:
    platform.land({"2026/week05/a.json": records("2026-02-03", "live")})
    with webhook(500) as (url, alerts):
        cursor = _tick(platform, url, None, fresh_hours=1e-9).cursor
        for _ in range(2):
            cursor = _tick(platform, url, cursor, fresh_hours=1e-9).cursor
    assert len(alerts) == 2, "refused once, accepted once"


def test_an_unreachable_ledger_is_reported(platform: Platform) -> None:
    unreachable = changed_settings(platform.settings, ledger_url="postgresql://nobody@127.0.0.1:1/none")
    with webhook() as (url, alerts):
        _tick(platform, url, None, lake=LakeResource(unreachable))
    assert [text.splitlines()[0] for text in alerts] == ["*Lake: the ledger is unreachable*"]
