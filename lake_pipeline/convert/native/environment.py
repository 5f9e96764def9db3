"""The environment variables that machine code needs, read here and nowhere else in `convert`.

This is a deliberate exception to "only `settings` reads the environment". Workers of Spark and Glue load machine code
before any setting exists, and none of these variables is a setting of the lake. Nothing here writes to `os.environ`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lake_pipeline.model.child_variables import BASIC, selected


def user_cache() -> Path:
    """The cache folder of the user. Raises `RuntimeError` if the user has no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def compiler_environment() -> dict[str, str]:
    """The environment for the process that compiles.

    Without credentials, settings and variables of other programs. numba reads its settings on import, so those of the
    user are removed. It must not optimize: `compiler` does that for all functions at once.
    """
    variables = selected(os.environ, BASIC)
    python_path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return variables | {"NUMBA_OPT": "0", "PYTHONPATH": python_path}
