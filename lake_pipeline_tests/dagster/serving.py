"""A running Dagster as a user has it: webserver, daemon and code server over a lake, asked by GraphQL."""

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

from lake_pipeline.defs.supervision import child

REPOSITORY = Path(__file__).parents[2]

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


@dataclass(frozen=True, kw_only=True)
class Served:
    """A Dagster that answers at `url`."""

    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer. Raises OSError where nobody answers, AssertionError for a wrong query."""
        return ask(self.url, query, variables)

    def backfill(self, partitions: Sequence[str], **config: Any) -> str:
        """The id of a backfill of these partitions, whose runs have this `config`."""
        given = {"ops": {"run_conversion": {"config": config}}} if config else None
        return str(self.ask(BACKFILL, partitions=partitions, config=given)["launchPartitionBackfill"]["backfillId"])

    def cancel_backfill(self, backfill: str) -> None:
        """What "Cancel" at a backfill does; the daemon comes to it within half a minute."""
        assert self.ask(CANCEL, id=backfill)["cancelPartitionBackfill"]["__typename"] == "CancelBackfillSuccess"

    def backfill_again(self, backfill: str, *, all_steps: bool = False) -> str:
        """What "Re-execute" at a backfill does, of what failed or of everything; the id of the new one."""
        strategy = "ALL_STEPS" if all_steps else "FROM_FAILURE"
        return str(self.ask(AGAIN, id=backfill, strategy=strategy)["reexecutePartitionBackfill"]["backfillId"])

    def backfills(self) -> dict[str, str]:
        """The status of each backfill by its id, the newest first."""
        found = self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
        return {each["id"]: each["status"] for each in found}

    def runs_of(self, backfill: str) -> list[dict[str, Any]]:
        """The runs of a backfill."""
        return list(self.ask(RUNS_OF, id=backfill)["runsOrError"]["results"])

    def list_landing_zones(self) -> None:
        """What the button at `landing_files` does; returns when it is done."""
        run = self.ask(LAUNCH_LISTING)["launchRun"]["run"]["runId"]
        assert wait_for(lambda: self._status(run) in ("SUCCESS", "FAILURE"), 180), "the listing takes too long"
        assert self._status(run) == "SUCCESS"

    def add_modes(self, modes: Sequence[str]) -> None:
        """What "Add a partition" in the UI does."""
        for mode in modes:
            self.ask(ADD_MODE, mode=mode)

    def has_ticked(self) -> bool:
        """Whether the sensor for pending files has looked once."""
        return bool(self.ask(SENSOR_TICKS)["sensorOrError"]["sensorState"]["ticks"])

    def _status(self, run: str) -> str:
        return str(self.ask(RUN_STATUS, id=run)["runOrError"]["status"])


@contextmanager
def dagster_dev(folder: Path, settings: Mapping[str, str]) -> Iterator[Served]:
    """Plain `dagster dev` with the project's workspace.yaml and dagster.yaml, on a lake in `folder`."""
    home, port = folder / "dagster", free_port()
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml")]
    command += ["-h", "127.0.0.1", "-p", str(port), "--log-level", "warning"]
    here = {"DAGSTER_HOME": str(home), "LAKE_ROOT": str(folder / "lake"), "LAKE_HOME": str(folder / "home")}
    with child(command, {**os.environ, **here, **settings}):
        served = Served(url=f"http://127.0.0.1:{port}")
        assert wait_for(lambda: _answers(served), 180), "Dagster does not answer"
        yield served


def ask(url: str, query: str, variables: Mapping[str, Any] | None = None) -> Any:
    """The data of the answer of the Dagster at `url`."""
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    assert not told.get("errors"), told["errors"]
    return told["data"]


def wait_for(what: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(served: Served) -> bool:
    try:
        return served.has_ticked()
    except (OSError, KeyError):
        return False
