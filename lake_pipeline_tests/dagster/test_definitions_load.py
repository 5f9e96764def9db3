"""Loading the code location is fast and silent, and opens nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOAD = """
import socket, subprocess, sys, time

def refuse(*args, **kwargs):
    raise AssertionError(f"opened while loading: {args}")

started = time.monotonic()
import dagster  # determines the platform, which starts a process on some systems

socket.socket.connect = refuse
subprocess.Popen.__init__ = refuse
from lake_pipeline.definitions import defs
repository = defs.get_repository_def()
print(time.monotonic() - started)
for heavy in ("duckdb", "psycopg2", "lake_pipeline.ledger.ledger"):
    assert heavy not in sys.modules, f"{heavy} was loaded"
assert {"ingest_batch_job", "json_parsed_parquet_job", "landing_files_job"} <= set(repository.job_names)
"""


def _load(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_loading_opens_nothing_writes_nothing_and_prints_nothing(tmp_path: Path) -> None:
    done = _load(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    # The limit is 3 s on an idle machine; tests run in parallel.
    assert float(done.stdout) < 12


def test_an_invalid_setting_fails_loading_with_a_line_that_names_it(tmp_path: Path) -> None:
    done = _load(tmp_path, LAKE_MAX_RUNS="many")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lake_pipeline.errors.SettingsError: LAKE_MAX_RUNS:")
