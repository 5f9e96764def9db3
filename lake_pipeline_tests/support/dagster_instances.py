"""Dagster instances for tests, each with storage of its own.

Dagster takes half a second to create its tables, so they are created once per process and copied for each test.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg


@contextmanager
def dagster_instance(overrides: Mapping[str, Any] | None = None) -> Iterator[dg.DagsterInstance]:
    """A fresh instance with the settings `overrides`; its folder is removed at the end of the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shutil.copytree(_template().name, folder, dirs_exist_ok=True)
        with dg.instance_for_test(overrides=overrides, temp_dir=folder) as instance:
            yield instance


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    """The folder of an instance that has its tables; removed at the end of the process."""
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with dg.instance_for_test(temp_dir=folder.name) as instance:
        assert instance.get_runs_count() == 0
    (Path(folder.name) / "dagster.yaml").unlink()
    return folder
