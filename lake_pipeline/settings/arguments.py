"""Settings as arguments of a script, for processes whose variables cannot be set, such as a Glue job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_PREFIX = "--LAKE_"


def settings_in(arguments: Sequence[str]) -> dict[str, str]:
    """Keyword arguments for `load_settings` from `--LAKE_BATCH_FILES 500` and the like. Others are ignored."""
    return {
        name.removeprefix(_PREFIX).lower(): value for name, value in pairwise(arguments) if name.startswith(_PREFIX)
    }
