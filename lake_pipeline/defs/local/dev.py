"""`lake dev`: Dagster's UI and daemon on this machine, over the lake of the settings, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request

import click

from lake_pipeline.defs.instance.instance import dagster_home
from lake_pipeline.defs.local.child_process import Ended, child, signals_as_exceptions
from lake_pipeline.defs.local.demo_run import run_discovery
from lake_pipeline.errors import PermanentError
from lake_pipeline.settings import Settings
from lake_pipeline.settings.environment import lake_environment

HOST = "127.0.0.1"
"""Dagster has no authentication, so the UI listens on this machine only."""

DEV_SENSOR_SECONDS = 30
"""Someone is watching the UI, and with the default of five minutes nothing would seem to happen."""

POLL_SECONDS = 0.5


class PortInUse(PermanentError):
    """The port of the UI is in use."""


def run_dev(settings: Settings, *, port: int) -> int:
    """Register the files of the landing zones, then serve the UI on `port` until Ctrl-C or SIGTERM.

    Returns the exit code: 0 after Ctrl-C or SIGTERM, else that of Dagster. Raises `PortInUse` and what `run_discovery`
    raises.
    """
    _check_port(port)
    run_discovery(settings)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "lake_pipeline.definitions", "-h", HOST, "-p", str(port)]
    command += ["--log-level", "warning"]
    try:
        with signals_as_exceptions(), child(command, _environment(settings)) as process:
            try:
                return _serve(process, f"http://{HOST}:{port}")
            except (KeyboardInterrupt, Ended):
                click.echo("\nStopping Dagster, about 10 seconds …")
                raise
    except (KeyboardInterrupt, Ended):
        click.echo("Stopped; no process is left running.")
        return 0


def _serve(process: subprocess.Popen[bytes], url: str) -> int:
    click.echo("Starting Dagster …")
    while not _answers(url):
        if _exited(process):
            return process.returncode
    click.echo(f"The Dagster UI is at {url} (Ctrl-C stops it).")
    while not _exited(process):
        pass
    return process.returncode


def _exited(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _environment(settings: Settings) -> dict[str, str]:
    """What the lake needs of this process's environment, and every setting: all Dagster processes use the same."""
    variables = settings.variables()
    if "sensor_seconds" not in settings.dagster.model_fields_set:
        variables[settings.dagster.variable("sensor_seconds")] = str(DEV_SENSOR_SECONDS)
    return lake_environment(
        **variables,
        DAGSTER_HOME=str(dagster_home(settings)),
        # Silences `dagster dev`, which says that `dg dev` supersedes it; `dg dev` needs another project layout.
        PYTHONWARNINGS="ignore",
    )


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUse(
                f"Port {port} is in use, perhaps by another `lake dev`. Stop it, or choose another port: "
                f"lake dev --port {port + 1}"
            ) from error
