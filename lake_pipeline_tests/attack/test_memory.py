"""Files that are built to fill memory: wide contracts, a record with a million keys, decompression bombs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SECONDS = 900
"""The limits of the tests are in core seconds; on a machine that does something else they take minutes."""

pytestmark = [pytest.mark.attack, pytest.mark.timeout(SECONDS + 60)]

GIB = 1 << 30


def converted(*files: str, data_bytes: int) -> list[dict[str, Any]]:
    """The results of generated files (layout:megabytes), in one process with a limit for its data."""
    command = [sys.executable, "-m", "lake_pipeline_tests.large", f"--data-bytes={data_bytes}", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_sixty_megabytes_of_sparse_records_take_no_more_memory_than_narrow_ones() -> None:
    (result,) = converted("sparse:60", data_bytes=3 * GIB)
    assert (result["outcome"], result["published"]) == ("CONVERTED", 400_000)
    assert result["peak"] <= GIB


def test_a_record_with_a_million_keys_beside_decompression_bombs_takes_bounded_time_and_memory() -> None:
    results = converted("wide:20", "spaces:2000", "blank-lines:2000", "zeros:2000", "wide:2", data_bytes=4 * GIB)
    outcomes = [(result["layout"], result["reason"], result["published"]) for result in results]
    assert outcomes == [
        ("wide", None, 3),
        ("spaces", "no_records", 0),
        ("blank-lines", "no_records", 0),
        ("zeros", "record_too_large", 0),
        ("wide", None, 3),
    ]
    assert max(result["peak"] for result in results) <= 1.25 * GIB
    assert max(result["core_seconds"] for result in results) <= 60
