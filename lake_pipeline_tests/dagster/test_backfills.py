"""Backfills as people launch them, by GraphQL and in a browser, through the real webserver, daemon and run queue.

All of them are launched before the first is waited for: the daemon looks for backfills every half minute only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.ledger.views import LakeStatus
from lake_pipeline.model.states import FileState
from lake_pipeline.opening import open_lake
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.directory import PENDING
from lake_pipeline_tests.browsers import FLAGS, found_browser
from lake_pipeline_tests.dagster.conftest import records
from lake_pipeline_tests.dagster.serving import Served, dagster_dev, wait_for
from lake_pipeline_tests.dagster.webhooks import webhook
from lake_pipeline_tests.lakes import land, published

DAYS = [f"2026-02-{day:02}" for day in range(1, 11)]
MODES = ("live", "test", "replay")

RECTANGLE = [f"{day}|{mode}" for day in DAYS[:3] for mode in ("live", "test")]
SCATTERED = [f"{day}|replay" for day in (DAYS[0], DAYS[2], DAYS[4])]
IN_BROWSER = [f"{day}|live" for day in DAYS[5:8]]
BREAKS = [f"{day}|live" for day in DAYS[8:10]]
BREAKS_TOO = [f"{DAYS[3]}|live"]
PAIRS = [
    [f"{day}|{mode}" for day in days]
    for days, mode in ((DAYS[5:7], "test"), (DAYS[5:7], "replay"), (DAYS[8:], "replay"))
]
CANCELLED = [each for pair in PAIRS for each in pair]
"""A backfill of three runs, of which two may be under way: the first partition of each is published, and then the store
does not answer until the backfill is cancelled."""

UNREADABLE = (BREAKS[1], BREAKS_TOO[0])
"""Partitions whose files the store does not give at first."""

ENDLESS = [second for _, second in PAIRS]
"""Partitions for whose files it lets everybody wait."""

REMAINDER = [f"{day}|live" for day in DAYS[2:5]]
"""A selection of which one partition is there, one failed and one was never asked for."""

FAILED_OR_MISSING = REMAINDER[1:]

ALERTS = 4
"""Two runs that fail, and their two backfills."""

PATIENCE = 90_000
"""Milliseconds that the browser is waited for: a page takes seconds, and tests run beside each other."""

OVER = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED", "FAILED"}

SETTINGS = {
    "LAKE_FIRST_DATE": DAYS[0],
    "LAKE_LAST_DATE": DAYS[-1],
    # It looks once, before there are files; then what is converted is what somebody asked for.
    "LAKE_SENSOR_SECONDS": "86400",
    "LAKE_MAX_RUNS": "2",
    "LAKE_WORKERS": "1",
}

STATES = """{ assetNodeOrError(assetKey: {path: ["json_parsed_parquet"]}) { ... on AssetNode {
    materializedPartitions: assetPartitionStatuses { ... on MultiPartitionStatuses { ranges {
        primaryDimStartKey primaryDimEndKey secondaryDim { ... on DefaultPartitionStatuses { materializedPartitions } }
    } } } } } }"""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A Dagster in which all backfills have ended, each with its runs. `status` is the ledger's afterwards."""

    served: Served
    folder: Path
    runs: dict[str, list[dict[str, Any]]]
    backfills: dict[str, str]
    after_cancel: AfterCancel
    again: Again
    alerts: list[str]


@dataclass(frozen=True, kw_only=True)
class AfterCancel:
    """What was seen of the partitions in `CANCELLED` once the cancelled backfill was over: those that Dagster shows as
    materialized, the rows that readers see, files by state, and what is written and not published."""

    materialized: set[str]
    rows: dict[str, int]
    files: Mapping[FileState, int]
    litter: list[Path]


@dataclass(frozen=True, kw_only=True)
class Again:
    """What was launched again after the store had been mended, as in `Story`."""

    runs: dict[str, list[dict[str, Any]]]
    backfills: dict[str, str]
    status: LakeStatus


def _key(partition: str) -> str:
    day, mode = partition.split("|")
    return f"2026/week06/date={day}_mode={mode}.json"


@pytest.fixture(scope="module")
def platform_with_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path, list[str]]]:
    folder = tmp_path_factory.mktemp("served")
    land(
        folder / "lake",
        {_key(f"{day}|{mode}"): records(day, mode) for day in DAYS for mode in MODES},
    )
    with webhook() as (url, alerts), dagster_dev(folder, {**SETTINGS, "LAKE_ALERTS": url}) as served:
        served.list_landing_zones()
        served.add_modes(MODES)
        yield served, folder, alerts


@pytest.fixture(scope="module")
def story(platform_with_files: tuple[Served, Path, list[str]]) -> Story:
    served, folder, alerts = platform_with_files
    with _unreadable(folder):
        with _endless(folder):
            cancelled = served.backfill(CANCELLED, batch_files=1)
            asked = {
                "cancelled": cancelled,
                "rectangle": served.backfill(RECTANGLE),
                "scattered": served.backfill(SCATTERED),
                "breaks": served.backfill(BREAKS),
                "breaks too": served.backfill(BREAKS_TOO),
                "browser": _launch(served, DAYS[5], DAYS[7], IN_BROWSER),
            }
            assert wait_for(lambda: _is_held(served, folder, cancelled), 240), served.runs_of(cancelled)
            served.cancel_backfill(cancelled)
            # A thread that waits for the store can't be interrupted, so a run ends when the store answers or gives up.
            assert wait_for(lambda: not _statuses(served, cancelled) & {"STARTED", "QUEUED"}, 120)
        backfills = _ended(served, asked)
    after_cancel = _after_cancel(served, folder)
    # Before it is mended: runs are looked at each half minute, other troubles each minute.
    assert wait_for(lambda: len(alerts) >= ALERTS, 120), alerts
    again = {
        "failed": served.backfill_again(asked["breaks"]),
        "cancelled": served.backfill_again(cancelled),
        "all": served.backfill_again(asked["scattered"], all_steps=True),
        "failed or missing": _launch(served, DAYS[2], DAYS[4], FAILED_OR_MISSING, only_missing=True),
    }
    return Story(
        served=served,
        folder=folder,
        backfills=backfills,
        after_cancel=after_cancel,
        again=Again(
            backfills=_ended(served, again),
            runs={name: served.runs_of(each) for name, each in again.items()},
            status=_ledger_status(folder),
        ),
        runs={name: served.runs_of(each) for name, each in asked.items()},
        alerts=alerts,
    )


@contextmanager
def _unreadable(folder: Path) -> Iterator[None]:
    """Where a file of `UNREADABLE` should be is a folder, so that reading it fails as a store that is ill fails."""
    files = [folder / "lake" / _key(partition) for partition in UNREADABLE]
    for file in files:
        file.rename(folder / file.name)
        file.mkdir()
    yield
    for file in files:
        file.rmdir()
        (folder / file.name).rename(file)


@contextmanager
def _endless(folder: Path) -> Iterator[None]:
    """In the place of a file of `ENDLESS` is a pipe: who opens it waits, and learns at the end that it is another."""
    files = [folder / "lake" / _key(partition) for partition in ENDLESS]
    for file in files:
        file.rename(folder / file.name)
        os.mkfifo(file)
    yield
    for file in files:
        with suppress(OSError):  # nobody waits for this one
            os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
        (folder / file.name).rename(file)


def _is_held(served: Served, folder: Path, backfill: str) -> bool:
    """Whether as many runs of it as may be under way wait for a file, and have published one before."""
    started = [_partitions(run) for run in served.runs_of(backfill) if run["status"] == "STARTED"]
    held = _ledger_status(folder).files[FileState.PROCESSING] == len(started) == int(SETTINGS["LAKE_MAX_RUNS"])
    return held and {first for first, _ in started} <= _rows(folder).keys()


def _statuses(served: Served, backfill: str) -> set[str]:
    return {run["status"] for run in served.runs_of(backfill)}


def _rows(folder: Path) -> Counter[str]:
    """What readers see of each partition."""
    return Counter(f"{row['event_time'][:10]}|{row['mode']}" for row in published(folder / "lake"))


def _after_cancel(served: Served, folder: Path) -> AfterCancel:
    rows = _rows(folder)
    return AfterCancel(
        materialized=_materialized(served).intersection(CANCELLED),
        rows={partition: rows[partition] for partition in CANCELLED if partition in rows},
        files=_ledger_status(folder).files,
        litter=[path for path in (folder / "lake" / PENDING).rglob("*") if path.is_file()],
    )


def _launch(served: Served, first: str, last: str, expected: Sequence[str], *, only_missing: bool = False) -> str:
    """The id of a backfill of days of the mode live, launched in a browser where there is one, else as it would."""
    before = set(served.backfills())
    if not found_browser():
        return served.backfill(expected)
    with _page() as page:
        _launch_in_browser(page, served, f"[{first}...{last}]", only_missing=only_missing)
    [launched] = set(served.backfills()) - before
    return launched


def _ended(served: Served, asked: Mapping[str, str]) -> dict[str, str]:
    """How each backfill ended."""
    assert wait_for(lambda: set(served.backfills().values()) <= OVER, 240), served.backfills()
    states = served.backfills()
    return {name: states[each] for name, each in asked.items()}


@contextmanager
def _page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found_browser(), args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            yield page
        finally:
            browser.close()


def _launch_in_browser(page: Page, served: Served, selected: str, *, only_missing: bool) -> None:
    page.goto(f"{served.url}/assets/json_parsed_parquet?view=partitions")
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    days = dialog.get_by_placeholder("ex:")
    days.fill(selected)
    days.press("Enter")
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem", name="live").click()
    page.keyboard.press("Escape")
    if only_missing:
        dialog.get_by_text("Backfill only failed and missing partitions within selection").click()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text("Launch runs to materialize")).to_be_hidden()


def _ledger_status(folder: Path) -> LakeStatus:
    with open_lake(load_settings(root=folder / "lake", home=folder / "home")) as lake:
        return lake.ledger.status()


def _materialized(served: Served) -> set[str]:
    ranges = served.ask(STATES)["assetNodeOrError"]["materializedPartitions"]["ranges"]
    found = set[str]()
    for each in ranges:
        first, last = DAYS.index(each["primaryDimStartKey"]), DAYS.index(each["primaryDimEndKey"])
        for day in DAYS[first : last + 1]:
            found.update(f"{day}|{mode}" for mode in each["secondaryDim"]["materializedPartitions"])
    return found


@pytest.mark.timeout(600)
def test_backfills_of_any_selection_make_exactly_those_partitions(story: Story) -> None:
    """One test, because tests that run beside each other would each start a Dagster of their own."""
    _assert_exactly_those_partitions(story)
    _assert_a_cancelled_backfill_leaves_the_ledger_clean(story)
    _assert_what_was_launched_again_makes_exactly_what_was_left(story)
    _assert_each_record_is_there_once(story)
    _assert_no_more_at_a_time_than_allowed(story)
    _assert_what_failed_was_told_once(story)
    if found_browser() is None:
        pytest.skip("all but the UI was seen: no Chromium is on this machine (Debian: apt install chromium)")
    _assert_green_cells_and_passed_checks_in_the_browser(story)


def _assert_exactly_those_partitions(story: Story) -> None:
    """A run for each contiguous range of a mode or of a day; a file that can't be read fails its run and no other."""
    done = dict.fromkeys(("rectangle", "scattered", "browser"), "COMPLETED_SUCCESS")
    failed = dict.fromkeys(("breaks", "breaks too"), "COMPLETED_FAILED")
    assert story.backfills == {**done, **failed, "cancelled": "CANCELED"}
    assert {name: _ranges(runs) for name, runs in story.runs.items()} == {
        "rectangle": [RECTANGLE[0::2], RECTANGLE[1::2]],
        "scattered": [[each] for each in SCATTERED],
        "browser": [IN_BROWSER],
        "breaks": [BREAKS],
        "breaks too": [BREAKS_TOO],
        "cancelled": sorted(PAIRS),
    }


def _assert_a_cancelled_backfill_leaves_the_ledger_clean(story: Story) -> None:
    """What was published is seen, and seen whole; what was held is given back and waits like the rest."""
    runs, found = story.runs["cancelled"], story.after_cancel
    assert {run["status"] for run in runs} == {"CANCELED"}
    assert len(found.materialized) == int(SETTINGS["LAKE_MAX_RUNS"]) < len(runs), "one was cancelled in the queue"
    assert found.materialized < {first for first, _ in PAIRS}
    assert found.rows == dict.fromkeys(found.materialized, 3)
    assert (found.files[FileState.PROCESSING], found.files[FileState.FAILED]) == (0, len(UNREADABLE))
    assert found.litter == []


def _assert_what_was_launched_again_makes_exactly_what_was_left(story: Story) -> None:
    assert set(story.again.backfills.values()) == {"COMPLETED_SUCCESS"}
    assert {name: _ranges(runs) for name, runs in story.again.runs.items()} == {
        "failed": [[BREAKS[1]]],
        "cancelled": _ranges_without(PAIRS, story.after_cancel.materialized),
        "all": [[each] for each in SCATTERED],
        "failed or missing": [FAILED_OR_MISSING],
    }


def _assert_each_record_is_there_once(story: Story) -> None:
    asked = {*RECTANGLE, *SCATTERED, *IN_BROWSER, *BREAKS, *REMAINDER, *CANCELLED}
    assert _materialized(story.served) == asked
    files = story.again.status.files
    assert {state: count for state, count in files.items() if count} == {
        FileState.SUCCEEDED: len(asked),
        FileState.PENDING: len(DAYS) * len(MODES) - len(asked),
    }
    assert _rows(story.folder) == dict.fromkeys(asked, 3)


def _ranges(runs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The partitions of each run, in order."""
    return sorted(_partitions(run) for run in runs)


def _ranges_without(ranges: Sequence[Sequence[str]], done: set[str]) -> list[list[str]]:
    return sorted([each for each in partitions if each not in done] for partitions in ranges)


def _partitions(run: Mapping[str, Any]) -> list[str]:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    (first, mode), (last, last_mode) = (
        tags[f"dagster/asset_partition_range_{end}"].split("|") for end in ("start", "end")
    )
    assert mode == last_mode
    return [f"{day}|{mode}" for day in DAYS[DAYS.index(first) : DAYS.index(last) + 1]]


def _assert_no_more_at_a_time_than_allowed(story: Story) -> None:
    runs = [run for runs in (*story.runs.values(), *story.again.runs.values()) for run in runs]
    never = {first for first, _ in PAIRS} - story.after_cancel.materialized
    started = [run for run in runs if run["status"] != "CANCELED" or never.isdisjoint(_partitions(run))]
    for run in started:
        beside = [each for each in started if each["startTime"] <= run["startTime"] < each["endTime"]]
        assert len(beside) <= int(SETTINGS["LAKE_MAX_RUNS"])


def _assert_what_failed_was_told_once(story: Story) -> None:
    runs = [text for text in story.alerts if text.startswith("*Lake: a run of ")]
    backfills = [text for text in story.alerts if text.startswith("*Lake: backfill ")]
    assert (len(runs), len(backfills), len(story.alerts)) == (2, 2, ALERTS), story.alerts
    assert all("1 failed and will be tried again" in text for text in runs)
    assert all("1 of its 1 runs failed" in text for text in backfills)


def _assert_green_cells_and_passed_checks_in_the_browser(story: Story) -> None:
    with _page() as page:
        page.goto(f"{story.served.url}/assets/json_parsed_parquet?view=partitions&partition=2026-02-06%7Clive")
        expect(page.get_by_text("Materialized (22)")).to_be_visible()
        expect(page.get_by_text("Missing (8)")).to_be_visible()
        page.goto(f"{story.served.url}/assets/json_parsed_parquet?view=checks")
        expect(page.get_by_text("Succeeded", exact=True)).to_have_count(len(CHECKS))
        for check in CHECKS:
            expect(page.get_by_text(check, exact=True).first).to_be_visible()
