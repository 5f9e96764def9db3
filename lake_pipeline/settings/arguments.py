"""Settings as arguments of a script: for places where nobody can set a variable, as a Glue job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_MARK = "--LAKE_"


def settings_in(arguments: Sequence[str]) -> dict[str, str]:
    """What `load_settings` takes, of `--LAKE_BATCH_FILES 500` and the like. Other arguments are left alone."""
    return {name.removeprefix(_MARK).lower(): value for name, value in pairwise(arguments) if name.startswith(_MARK)}
