"""Backfills as people launch them, by GraphQL and in a browser, through the real webserver, daemon and run queue.

All are launched before the test waits for the first, because the daemon checks for backfills only from time to time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from lake_pipeline.composition import open_lake
from lake_pipeline.contract.contract import Contract
from lake_pipeline.defs.checks import CHECKS
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.ledger.views import LakeStatus
from lake_pipeline.model.files import DiscoveredFile, Lane
from lake_pipeline.model.manifest import FileOutcome, Manifest
from lake_pipeline.model.manifest import Outcome as FileOutcomeKind
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import FileState
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline.storage.directory import PENDING
from lake_pipeline_tests.dagster.conftest import records
from lake_pipeline_tests.dagster.servers import Served, dagster_dev, wait_for
from lake_pipeline_tests.dagster.webhooks import webhook
from lake_pipeline_tests.support.browsers import FLAGS, browser_path
from lake_pipeline_tests.support.lakes import land, published

DAYS = [f"2026-02-{day:02}" for day in range(1, 11)]
MODES = ("live", "test", "replay")

RECTANGLE = [f"{day}|{mode}" for day in DAYS[:3] for mode in ("live", "test")]
SCATTERED = [f"{day}|replay" for day in (DAYS[0], DAYS[2], DAYS[4])]
IN_BROWSER = [f"{day}|live" for day in DAYS[5:8]]
FAILING = [f"{day}|live" for day in DAYS[8:10]]
FAILING_TOO = [f"{DAYS[3]}|live"]
PAIRS = [
    [f"{day}|{mode}" for day in days]
    for days, mode in ((DAYS[5:7], "test"), (DAYS[5:7], "replay"), (DAYS[8:], "replay"))
]
CANCELED = [partition for pair in PAIRS for partition in pair]
"""A backfill of three runs, of which two may run: each publishes its first partition, and then waits for another
batch until the backfill is canceled."""

UNREADABLE = (FAILING[1], FAILING_TOO[0])
"""Partitions whose files cannot be read at first."""

BLOCKED = [second for _, second in PAIRS]
"""Partitions whose files have an older version that another batch, of this test, is publishing at first."""

REMAINDER = [f"{day}|live" for day in DAYS[2:5]]
"""A selection of which one partition is materialized, one failed and one was never requested."""

FAILED_OR_MISSING = REMAINDER[1:]

ALERTS = 4
"""Two failed runs and their two backfills."""

BROWSER_TIMEOUT_MS = 90_000
"""A page takes seconds, and tests run in parallel."""

PATIENCE = 400
"""Seconds for a step of many runs, each a process that takes seconds of two shared cores to start."""

ENDED = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED", "FAILED"}

SETTINGS = {
    "LAKE_FIRST_DATE": DAYS[0],
    "LAKE_LAST_DATE": DAYS[-1],
    # The sensor ticks once, before any file has landed; later runs are those of the backfills.
    "LAKE_SENSOR_SECONDS": "86400",
    "LAKE_MAX_RUNS": "2",
    "LAKE_WORKERS": "1",
}

STATES = """{ assetNodeOrError(assetKey: {path: ["json_parsed_parquet"]}) { ... on AssetNode {
    materializedPartitions: assetPartitionStatuses { ... on MultiPartitionStatuses { ranges {
        primaryDimStartKey primaryDimEndKey secondaryDim { ... on DefaultPartitionStatuses { materializedPartitions } }
    } } } } } }"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All backfills after their end, each with its runs."""

    served: Served
    folder: Path
    runs: dict[str, list[dict[str, Any]]]
    backfills: dict[str, str]
    after_cancel: AfterCancel
    relaunched: Relaunched
    alerts: list[str]


@dataclass(frozen=True, kw_only=True)
class AfterCancel:
    """The partitions in `CANCELED` after the canceled backfill ended: those that Dagster shows as materialized, their
    published rows, files by state, and pending objects."""

    materialized: set[str]
    rows: dict[str, int]
    files: Mapping[FileState, int]
    leftovers: list[Path]


@dataclass(frozen=True, kw_only=True)
class Relaunched:
    """The backfills that were launched again after the store was repaired, with the ledger's status after them."""

    runs: dict[str, list[dict[str, Any]]]
    backfills: dict[str, str]
    status: LakeStatus


def _key(partition: str) -> str:
    day, mode = partition.split("|")
    return f"2026/week06/date={day}_mode={mode}.json"


@pytest.fixture(scope="module")
def platform_with_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path, list[str], str]]:
    folder = tmp_path_factory.mktemp("served")
    land(
        folder / "lake",
        {_key(f"{day}|{mode}"): records(day, mode) for day in DAYS for mode in MODES},
    )
    with webhook() as (url, alerts), dagster_dev(folder, {**SETTINGS, "LAKE_ALERTS": url}) as served:
        served.add_modes(MODES)
        batch_id = _publish_older_versions(folder)
        served.list_landing_zones()
        yield served, folder, alerts, batch_id


@pytest.fixture(scope="module")
def outcome(platform_with_files: tuple[Served, Path, list[str], str]) -> Outcome:
    served, folder, alerts, older_versions = platform_with_files
    with _unreadable(folder):
        with _blocked(folder, older_versions):
            canceled = served.backfill(CANCELED, batch_files=1)
            launched = {
                "canceled": canceled,
                "rectangle": served.backfill(RECTANGLE),
                "scattered": served.backfill(SCATTERED),
                "failing": served.backfill(FAILING),
                "failing too": served.backfill(FAILING_TOO),
                "browser": _launch(served, DAYS[5], DAYS[7], IN_BROWSER),
            }
            assert wait_for(lambda: _is_blocked(served, folder, canceled), PATIENCE), served.runs_of(canceled)
            served.cancel_backfill(canceled)
            assert wait_for(lambda: _statuses(served, canceled) == {"CANCELED"}, 120), served.runs_of(canceled)
        backfills = _final_states(served, launched)
    after_cancel = _after_cancel(served, folder)
    # Before the store is repaired: the sensors check runs every half minute, other conditions every minute.
    assert wait_for(lambda: len(alerts) >= ALERTS, 120), alerts
    relaunched = {
        "failed": served.backfill_again(launched["failing"]),
        "canceled": served.backfill_again(canceled),
        "all": served.backfill_again(launched["scattered"], all_steps=True),
        "failed or missing": _launch(served, DAYS[2], DAYS[4], FAILED_OR_MISSING, only_missing=True),
    }
    return Outcome(
        served=served,
        folder=folder,
        backfills=backfills,
        after_cancel=after_cancel,
        relaunched=Relaunched(
            backfills=_final_states(served, relaunched),
            runs={name: served.runs_of(backfill) for name, backfill in relaunched.items()},
            status=_ledger_status(folder),
        ),
        runs={name: served.runs_of(backfill) for name, backfill in launched.items()},
        alerts=alerts,
    )


@contextmanager
def _unreadable(folder: Path) -> Iterator[None]:
    """Replaces the files of `UNREADABLE` by folders, so that reading them fails like a faulty store."""
    files = [folder / "lake" / _key(partition) for partition in UNREADABLE]
    for file in files:
        file.rename(folder / file.name)
        file.mkdir()
    yield
    for file in files:
        file.rmdir()
        (folder / file.name).rename(file)


def _publish_older_versions(folder: Path) -> str:
    """Register an older version of each file of `BLOCKED`, in a batch of this process that is being published; its id.

    A batch with the newer version waits for it, for a few minutes, and can be canceled meanwhile.
    """
    with open_lake(_settings(folder)) as lake:
        lake.ledger.files.register(map(_older_version, BLOCKED))
        claim = lake.ledger.claims.take(
            owner=this_owner(), max_files=len(BLOCKED), max_bytes=1, lease_seconds=3600, engine="in_process"
        )
        assert claim is not None
        outcomes = tuple(
            FileOutcome(file_id=file.file_id, outcome=FileOutcomeKind.REFUSED, reason="changed", error="an old version")
            for file in claim.files
        )
        assert len(outcomes) == len(BLOCKED)
        lake.ledger.publication.record_manifest(claim, Manifest(curated=(), quarantine=(), files=outcomes), Contract())
        return claim.batch_id


@contextmanager
def _blocked(folder: Path, batch_id: str) -> Iterator[None]:
    """Ends the batch of the older versions of `BLOCKED` after the block."""
    yield
    with open_lake(_settings(folder)) as lake:
        assert lake.ledger.publication.finish(batch_id, max_attempts=1)


def _older_version(partition: str) -> DiscoveredFile:
    day, mode = partition.split("|")
    expected = PartitionKey(date.fromisoformat(day), mode)
    return DiscoveredFile(key=_key(partition), etag="older", size=0, lane=Lane.WEEKLY, expected=expected)


def _is_blocked(served: Served, folder: Path, backfill: str) -> bool:
    """Whether the maximum number of runs waits for the batch of this test, after each has published one partition."""
    started = [_partitions(run) for run in served.runs_of(backfill) if run["status"] == "STARTED"]
    held = _ledger_status(folder).files[FileState.PROCESSING] - len(BLOCKED)
    blocked = held == len(started) == int(SETTINGS["LAKE_MAX_RUNS"])
    return blocked and {first for first, _ in started} <= _rows(folder).keys()


def _statuses(served: Served, backfill: str) -> set[str]:
    return {run["status"] for run in served.runs_of(backfill)}


def _rows(folder: Path) -> Counter[str]:
    """The published rows by partition."""
    return Counter(f"{row['event_time'][:10]}|{row['mode']}" for row in published(folder / "lake"))


def _after_cancel(served: Served, folder: Path) -> AfterCancel:
    rows = _rows(folder)
    return AfterCancel(
        materialized=_materialized(served).intersection(CANCELED),
        rows={partition: rows[partition] for partition in CANCELED if partition in rows},
        files=_ledger_status(folder).files,
        leftovers=[path for path in (folder / "lake" / PENDING).rglob("*") if path.is_file()],
    )


def _launch(served: Served, first: str, last: str, expected: Sequence[str], *, only_missing: bool = False) -> str:
    """The id of a backfill of mode live, launched in a browser if one is installed, else by GraphQL."""
    before = set(served.backfills())
    if not browser_path():
        return served.backfill(expected)
    with _page() as page:
        _launch_in_browser(page, served, f"[{first}...{last}]", only_missing=only_missing)
    [backfill] = set(served.backfills()) - before
    return backfill


def _final_states(served: Served, launched: Mapping[str, str]) -> dict[str, str]:
    """The final state of each backfill."""
    assert wait_for(lambda: set(served.backfills().values()) <= ENDED, PATIENCE), served.backfills()
    states = served.backfills()
    return {name: states[backfill] for name, backfill in launched.items()}


@contextmanager
def _page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(BROWSER_TIMEOUT_MS)
            expect.set_options(timeout=BROWSER_TIMEOUT_MS)
            yield page
        finally:
            browser.close()


def _launch_in_browser(page: Page, served: Served, days: str, *, only_missing: bool) -> None:
    page.goto(f"{served.url}/assets/json_parsed_parquet?view=partitions")
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_placeholder("ex:")
    field.fill(days)
    field.press("Enter")
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem", name="live").click()
    page.keyboard.press("Escape")
    if only_missing:
        dialog.get_by_text("Backfill only failed and missing partitions within selection").click()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text("Launch runs to materialize")).to_be_hidden()


def _ledger_status(folder: Path) -> LakeStatus:
    with open_lake(_settings(folder)) as lake:
        return lake.ledger.views.status()


def _settings(folder: Path) -> Settings:
    return load_settings(root=folder / "lake", home=folder / "home")


def _materialized(served: Served) -> set[str]:
    ranges = served.query(STATES)["assetNodeOrError"]["materializedPartitions"]["ranges"]
    partitions = set[str]()
    for block in ranges:
        first, last = DAYS.index(block["primaryDimStartKey"]), DAYS.index(block["primaryDimEndKey"])
        for day in DAYS[first : last + 1]:
            partitions.update(f"{day}|{mode}" for mode in block["secondaryDim"]["materializedPartitions"])
    return partitions


@pytest.mark.timeout(3 * PATIENCE)
def test_backfills_of_any_selection_materialize_exactly_those_partitions(outcome: Outcome) -> None:
    """One test, because parallel tests would each start their own Dagster."""
    _assert_exactly_those_partitions(outcome)
    _assert_a_canceled_backfill_leaves_the_ledger_clean(outcome)
    _assert_relaunched_backfills_convert_exactly_the_rest(outcome)
    _assert_each_record_is_published_once(outcome)
    _assert_concurrent_runs_are_limited(outcome)
    _assert_each_failure_was_reported_once(outcome)
    if browser_path() is None:
        pytest.skip("all but the UI was tested: Chromium is not installed (Debian: apt install chromium)")
    _assert_green_cells_and_passed_checks_in_the_browser(outcome)


def _assert_exactly_those_partitions(outcome: Outcome) -> None:
    """A run for each contiguous range of a mode or a day; a file that can't be read fails only its own run."""
    succeeded = dict.fromkeys(("rectangle", "scattered", "browser"), "COMPLETED_SUCCESS")
    failed = dict.fromkeys(("failing", "failing too"), "COMPLETED_FAILED")
    assert outcome.backfills == {**succeeded, **failed, "canceled": "CANCELED"}
    assert {name: _ranges(runs) for name, runs in outcome.runs.items()} == {
        "rectangle": [RECTANGLE[0::2], RECTANGLE[1::2]],
        "scattered": [[partition] for partition in SCATTERED],
        "browser": [IN_BROWSER],
        "failing": [FAILING],
        "failing too": [FAILING_TOO],
        "canceled": sorted(PAIRS),
    }


def _assert_a_canceled_backfill_leaves_the_ledger_clean(outcome: Outcome) -> None:
    """What was published is complete; claims are released, and their files are pending like the rest."""
    runs, state = outcome.runs["canceled"], outcome.after_cancel
    assert {run["status"] for run in runs} == {"CANCELED"}
    assert len(state.materialized) == int(SETTINGS["LAKE_MAX_RUNS"]) < len(runs), "one was canceled in the queue"
    assert state.materialized < {first for first, _ in PAIRS}
    assert state.rows == dict.fromkeys(state.materialized, 3)
    assert (state.files[FileState.PROCESSING], state.files[FileState.FAILED]) == (0, len(UNREADABLE))
    assert state.leftovers == []


def _assert_relaunched_backfills_convert_exactly_the_rest(outcome: Outcome) -> None:
    assert set(outcome.relaunched.backfills.values()) == {"COMPLETED_SUCCESS"}
    assert {name: _ranges(runs) for name, runs in outcome.relaunched.runs.items()} == {
        "failed": [[FAILING[1]]],
        "canceled": _ranges_without(PAIRS, outcome.after_cancel.materialized),
        "all": [[partition] for partition in SCATTERED],
        "failed or missing": [FAILED_OR_MISSING],
    }


def _assert_each_record_is_published_once(outcome: Outcome) -> None:
    requested = {*RECTANGLE, *SCATTERED, *IN_BROWSER, *FAILING, *REMAINDER, *CANCELED}
    assert _materialized(outcome.served) == requested
    files = outcome.relaunched.status.files
    assert {state: count for state, count in files.items() if count} == {
        FileState.SUCCEEDED: len(requested),
        FileState.PENDING: len(DAYS) * len(MODES) - len(requested),
        FileState.SUPERSEDED: len(BLOCKED),
    }
    assert _rows(outcome.folder) == dict.fromkeys(requested, 3)


def _ranges(runs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The partitions of each run, in order."""
    return sorted(_partitions(run) for run in runs)


def _ranges_without(ranges: Sequence[Sequence[str]], done: set[str]) -> list[list[str]]:
    return sorted([partition for partition in partitions if partition not in done] for partitions in ranges)


def _partitions(run: Mapping[str, Any]) -> list[str]:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    (first, mode), (last, last_mode) = (
        tags[f"dagster/asset_partition_range_{end}"].split("|") for end in ("start", "end")
    )
    assert mode == last_mode
    return [f"{day}|{mode}" for day in DAYS[DAYS.index(first) : DAYS.index(last) + 1]]


def _assert_concurrent_runs_are_limited(outcome: Outcome) -> None:
    runs = [run for runs in (*outcome.runs.values(), *outcome.relaunched.runs.values()) for run in runs]
    never = {first for first, _ in PAIRS} - outcome.after_cancel.materialized
    started = [run for run in runs if run["status"] != "CANCELED" or never.isdisjoint(_partitions(run))]
    for run in started:
        concurrent = [other for other in started if other["startTime"] <= run["startTime"] < other["endTime"]]
        assert len(concurrent) <= int(SETTINGS["LAKE_MAX_RUNS"])


def _assert_each_failure_was_reported_once(outcome: Outcome) -> None:
    runs = [text for text in outcome.alerts if text.startswith("*Lake: a run of ")]
    backfills = [text for text in outcome.alerts if text.startswith("*Lake: backfill ")]
    assert (len(runs), len(backfills), len(outcome.alerts)) == (2, 2, ALERTS), outcome.alerts
    assert all("1 failed and will be retried automatically" in text for text in runs)
    assert all("1 of its 1 runs failed" in text for text in backfills)


def _assert_green_cells_and_passed_checks_in_the_browser(outcome: Outcome) -> None:
    with _page() as page:
        page.goto(f"{outcome.served.url}/assets/json_parsed_parquet?view=partitions&partition=2026-02-06%7Clive")
        expect(page.get_by_text("Materialized (22)")).to_be_visible()
        expect(page.get_by_text("Missing (8)")).to_be_visible()
        page.goto(f"{outcome.served.url}/assets/json_parsed_parquet?view=checks")
        expect(page.get_by_text("Succeeded", exact=True)).to_have_count(len(CHECKS))
        for check in CHECKS:
            expect(page.get_by_text(check, exact=True).first).to_be_visible()
