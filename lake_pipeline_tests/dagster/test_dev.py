"""`lake dev`: started, used and interrupted like by a person."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lake_pipeline_tests.dagster.servers import free_port, graphql, wait_for

PARTITIONS = """{ assetNodeOrError(assetKey: {path: ["json_parsed_parquet"]}) {
    ... on AssetNode { partitionStats { numMaterialized } } } }"""

ALL_PARTITIONS = 84
"""Three weeks of four modes in the generated landing zone."""

SECONDS = 60
"""The promise, from the start of the command to the last partition. Doubled below, because tests run in parallel."""


def _materialized(port: int) -> int:
    try:
        return int(
            graphql(f"http://127.0.0.1:{port}", PARTITIONS)["assetNodeOrError"]["partitionStats"]["numMaterialized"]
        )
    except (OSError, KeyError, TypeError):
        return 0  # not up yet


def _listening(pid: int) -> set[str]:
    """The addresses on which a process and its children listen."""
    connections = []
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a run may end in the meantime
            connections += process.net_connections("inet")
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}


def _working_in(folder: Path) -> list[str]:
    """The processes that have `folder` in their command line, environment or working directory."""
    command_lines = []
    for process in psutil.process_iter():
        try:
            values = [process.cwd(), *process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(folder) in value for value in values):
                command_lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return command_lines


@pytest.mark.timeout(400)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_every_partition_is_materialized_without_a_click_and_no_process_is_left(
    tmp_path: Path, ending: signal.Signals
) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as out:
        dev = subprocess.Popen(
            [sys.executable, "-c", "from lake_pipeline.cli import main; main()", "dev", "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, "LAKE_ROOT": str(tmp_path / "lake"), "LAKE_HOME": str(tmp_path / "home")},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        if ending is signal.SIGINT:
            filled = wait_for(lambda: _materialized(port) == ALL_PARTITIONS, 2 * SECONDS)
            assert filled, f"{_materialized(port)} partitions after {2 * SECONDS} s:\n{log.read_text()}"
            # Dagster has no authentication, so it must not listen on other addresses.
            assert _listening(dev.pid) <= {"127.0.0.1", "::1"}
            assert _listening(dev.pid)
        else:
            # Killed when the UI has just started: the worst moment, because other processes are still starting.
            assert wait_for(lambda: "The Dagster UI is at" in log.read_text(), 2 * SECONDS), log.read_text()
    finally:
        dev.send_signal(ending)
        dev.wait(timeout=60)
    assert dev.returncode == (0 if ending is signal.SIGINT else -signal.SIGKILL), log.read_text()
    assert wait_for(lambda: not _working_in(tmp_path), 60), _working_in(tmp_path)
