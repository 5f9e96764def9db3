"""The environment of this process, for everything except `LAKE_*` settings, which are declared in their groups.

No other module reads the environment, and no module writes to it. Layers below `settings` get values as arguments, and
child processes get only what they need.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lake_pipeline
from lake_pipeline.model.child_variables import BASIC, OF_LAKE, selected


def variable_names() -> list[str]:
    """The names of all variables, sorted."""
    return sorted(os.environ)


def lake_environment(**changes: str) -> dict[str, str]:
    """The environment of a child process that opens the lake, with `changes`: no variables of other programs."""
    return {**selected(os.environ, OF_LAKE), **changes}


def server_environment() -> dict[str, str]:
    """The environment of a Python child process that runs a server: no settings, no credentials.

    It imports all packages from the same directories as this process.
    """
    package_folder = str(Path(lake_pipeline.__file__).parents[1])
    python_path = os.pathsep.join((package_folder, *filter(None, sys.path)))
    return {**selected(os.environ, BASIC), "PYTHONPATH": python_path}


def data_folder() -> Path:
    """The folder for data of this program, below XDG_DATA_HOME or the user's home directory.

    A user without a home directory, as in a container with any user id, has it in the working directory.
    """
    folder = os.environ.get("XDG_DATA_HOME", "")
    if Path(folder).is_absolute():
        return Path(folder) / "lake_pipeline"
    try:
        return Path.home() / ".local/share/lake_pipeline"
    except RuntimeError:
        return Path.cwd() / ".lake_pipeline"


def java_home() -> str | None:
    """JAVA_HOME, if it is set."""
    return os.environ.get("JAVA_HOME") or None
