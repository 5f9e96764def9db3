"""A running Dagster as users have it: webserver, daemon and code server over a lake, queried by GraphQL."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_pipeline.defs.local.child_process import child
from lake_pipeline_tests.support.repository import REPOSITORY

BACKFILL = """mutation($partitions: [String!], $config: RunConfigData) { launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["json_parsed_parquet"]}], partitionNames: $partitions, runConfigData: $config}) {
    __typename ... on LaunchBackfillSuccess { backfillId } } }"""

BACKFILLS = """{ partitionBackfillsOrError { ... on PartitionBackfills {
    results { id status } } } }"""

RUNS_OF = """query($id: String!) { runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
    ... on Runs { results { runId status startTime endTime tags { key value } } } } }"""

CANCEL = """mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"""

AGAIN = """mutation($id: String!, $strategy: ReexecutionStrategy!) {
    reexecutePartitionBackfill(reexecutionParams: {parentRunId: $id, strategy: $strategy}) {
    __typename ... on LaunchBackfillSuccess { backfillId } } }"""

ADD_MODE = """mutation($mode: String!) { addDynamicPartition(partitionsDefName: "lake_modes", partitionKey: $mode,
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "lake_pipeline.definitions"}) {
    __typename } }"""

LAUNCH_LISTING = """mutation { launchRun(executionParams: {selector: {jobName: "landing_files_job",
    repositoryName: "__repository__", repositoryLocationName: "lake_pipeline.definitions"}}) {
    __typename ... on LaunchRunSuccess { run { runId } } } }"""

RUN_STATUS = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""

SENSOR_TICKS = """{ sensorOrError(sensorSelector: {sensorName: "pending_files_sensor",
    repositoryName: "__repository__", repositoryLocationName: "lake_pipeline.definitions"}) {
    ... on Sensor { sensorState { ticks { status } } } } }"""


IMPATIENT_DAEMON = """\
import sys

if "dagster._daemon" in sys.orig_argv:
    from dagster._daemon import controller

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 5
"""
"""A `sitecustomize` for the daemon, which checks for backfills every half minute and has no setting for that."""

UNSCHEDULED = dict.fromkeys(("LAKE_LISTING_CRON", "LAKE_FSCK_CRON", "LAKE_UPKEEP_CRON"), "0 0 29 2 *")
"""Schedules that start nothing while a test runs, whatever the time of day."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A Dagster that responds at `url`."""

    url: str

    def query(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL response. Raises OSError if the server does not respond, AssertionError for errors."""
        return graphql(self.url, query, variables)

    def backfill(self, partitions: Sequence[str], **config: Any) -> str:
        """Launch a backfill of these partitions, whose runs have this `config`; returns its id."""
        run_config = {"ops": {"run_conversion": {"config": config}}} if config else None
        return str(
            self.query(BACKFILL, partitions=partitions, config=run_config)["launchPartitionBackfill"]["backfillId"]
        )

    def cancel_backfill(self, backfill: str) -> None:
        """What "Cancel" at a backfill does; the daemon handles it within seconds."""
        assert self.query(CANCEL, id=backfill)["cancelPartitionBackfill"]["__typename"] == "CancelBackfillSuccess"

    def backfill_again(self, backfill: str, *, all_steps: bool = False) -> str:
        """What "Re-execute" at a backfill does, for the failed rest or everything; returns the new id."""
        strategy = "ALL_STEPS" if all_steps else "FROM_FAILURE"
        return str(self.query(AGAIN, id=backfill, strategy=strategy)["reexecutePartitionBackfill"]["backfillId"])

    def backfills(self) -> dict[str, str]:
        """The status of each backfill by its id, the newest first."""
        backfills = self.query(BACKFILLS)["partitionBackfillsOrError"]["results"]
        return {backfill["id"]: backfill["status"] for backfill in backfills}

    def runs_of(self, backfill: str) -> list[dict[str, Any]]:
        """The runs of a backfill."""
        return list(self.query(RUNS_OF, id=backfill)["runsOrError"]["results"])

    def list_landing_zones(self) -> None:
        """Do what the button at `landing_files` does; returns after the run."""
        run = self.query(LAUNCH_LISTING)["launchRun"]["run"]["runId"]
        assert wait_for(lambda: self._status(run) in ("SUCCESS", "FAILURE"), 180), "the listing takes too long"
        assert self._status(run) == "SUCCESS"

    def add_modes(self, modes: Sequence[str]) -> None:
        """Do what "Add a partition" in the UI does."""
        for mode in modes:
            self.query(ADD_MODE, mode=mode)

    def has_ticked(self) -> bool:
        """Whether `pending_files_sensor` has ticked once, to the end."""
        ticks = self.query(SENSOR_TICKS)["sensorOrError"]["sensorState"]["ticks"]
        return any(tick["status"] != "STARTED" for tick in ticks)

    def _status(self, run: str) -> str:
        return str(self.query(RUN_STATUS, id=run)["runOrError"]["status"])


@contextmanager
def dagster_dev(folder: Path, settings: Mapping[str, str]) -> Iterator[Served]:
    """Plain `dagster dev` with the project's workspace.yaml and dagster.yaml, on a lake in `folder`."""
    home, port, startup = folder / "dagster", free_port(), folder / "startup"
    home.mkdir()
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(IMPATIENT_DAEMON)
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml")]
    command += ["-h", "127.0.0.1", "-p", str(port), "--log-level", "warning"]
    environment = {"DAGSTER_HOME": str(home), "LAKE_ROOT": str(folder / "lake"), "LAKE_HOME": str(folder / "home")}
    with child(command, {**os.environ, **UNSCHEDULED, "PYTHONPATH": str(startup), **environment, **settings}):
        served = Served(url=f"http://127.0.0.1:{port}")
        assert wait_for(lambda: _responds(served), 180), "Dagster does not respond"
        yield served


def graphql(url: str, query: str, variables: Mapping[str, Any] | None = None) -> Any:
    """The data of a response of the Dagster at `url`."""
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        result = json.load(response)
    assert not result.get("errors"), result["errors"]
    return result["data"]


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _responds(served: Served) -> bool:
    try:
        return served.has_ticked()
    except (OSError, KeyError):
        return False
