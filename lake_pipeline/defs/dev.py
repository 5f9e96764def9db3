"""`lake dev`: Dagster's UI and daemon on this machine, over the lake of the settings, until somebody ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

import click

from lake_pipeline.defs.demo_run import run_discovery
from lake_pipeline.defs.instance import dagster_home
from lake_pipeline.defs.supervision import Ended, child, signals_as_exceptions
from lake_pipeline.errors import PermanentError
from lake_pipeline.settings import Settings
from lake_pipeline.settings.settings import PREFIX

HOST = "127.0.0.1"
"""Dagster has no login, so the UI is for this machine only."""

DEV_SENSOR_SECONDS = 30
"""Somebody is watching; five minutes would look like nothing happens."""

LOOK_SECONDS = 0.5


class PortTaken(PermanentError):
    """Something else listens where the UI should."""


def run_dev(settings: Settings, *, port: int) -> int:
    """Register what is in the landing zones, then serve the UI on `port` until Ctrl-C or SIGTERM.

    Returns the exit code: 0 when somebody ended it, Dagster's own when it ended by itself. Raises `PortTaken`
    and whatever `run_discovery` raises.
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
                click.echo("\nEnding Dagster, about 10 seconds …")
                raise
    except (KeyboardInterrupt, Ended):
        click.echo("Ended; no process is left behind.")
        return 0


def _serve(process: subprocess.Popen[bytes], url: str) -> int:
    click.echo("Starting Dagster …")
    while not _answers(url):
        if _ended(process):
            return process.returncode
    click.echo(f"The Dagster UI is at {url} (Ctrl-C ends it).")
    while not _ended(process):
        pass
    return process.returncode


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _environment(settings: Settings) -> Mapping[str, str]:
    """Ours, with every setting spelled out, so that all of Dagster's processes see the same ones."""
    told = {PREFIX + name.upper(): getattr(settings, name) for name in type(settings).model_fields}
    if "sensor_seconds" not in settings.model_fields_set:
        told[PREFIX + "SENSOR_SECONDS"] = DEV_SENSOR_SECONDS
    return {
        **os.environ,
        **{name: str(value) for name, value in told.items() if value is not None},
        "DAGSTER_HOME": str(dagster_home(settings)),
        # `dagster dev` says that `dg dev` has superseded it; that one needs a project of another shape.
        "PYTHONWARNINGS": "ignore",
    }


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} is in use, perhaps by another `lake dev`. End that one, or choose another: "
                f"lake dev --port {port + 1}"
            ) from error
