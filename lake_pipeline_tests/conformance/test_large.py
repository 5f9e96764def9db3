"""Memory is bounded whatever the size of a file, and what is made to break its reader ends in a clear outcome.

Each file is converted in a process of its own, whose peak memory is measured. `make test-large` uses the full sizes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

GIB = 1 << 30
FULL = os.environ.get("FULL_SIZE") == "1"


def converted(layout: str, megabytes: int, *, seconds: int) -> dict[str, Any]:
    """What came of a generated file. A crash, and more time than `seconds`, fail the test."""
    command = [sys.executable, "-m", "lake_pipeline_tests.large", "--layout", layout, "--megabytes", str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    print(layout, f"{megabytes} MB:", found)
    assert found["read"] == found["published"] + found["quarantined"]
    assert found["published"] == found["rows"]
    return found


@pytest.mark.parametrize(("layout", "megabytes"), [("lines", 5000 if FULL else 600), ("array", 2000 if FULL else 300)])
def test_a_large_file_is_converted_within_a_gibibyte(layout: str, megabytes: int) -> None:
    found = converted(layout, megabytes, seconds=900 if FULL else 120)
    assert (found["outcome"], found["quarantined"]) == ("CONVERTED", 0)
    assert found["peak"] <= GIB


def test_one_broken_record_in_a_hundred_is_set_aside_within_a_gibibyte() -> None:
    found = converted("dirty", 2000 if FULL else 200, seconds=900 if FULL else 120)
    assert found["outcome"] == "CONVERTED"
    assert found["quarantined"] == pytest.approx(found["read"] / 100, rel=0.02)
    assert found["peak"] <= GIB


# Layout, megabytes in `make test` and at full size, and what is to come of it: the outcome and its reason, or how
# many records are published and quarantined.
BOMBS: list[tuple[str, int, int, Any]] = [
    ("nested", 30, 30, (40, 1)),
    ("nested-closed", 30, 30, (40, 1)),
    ("nested-only", 60, 100, ("REFUSED", "record_too_large")),
    ("long-text", 30, 30, (41, 0)),
    ("longer-text", 100, 1000, ("REFUSED", "record_too_large")),
    ("escapes", 30, 30, (41, 0)),
    ("long-key", 10, 30, (41, 0)),
    ("long-number", 3, 30, (41, 0)),
    ("long-fraction", 3, 30, (41, 0)),
    ("long-list", 3, 30, (41, 0)),
    ("long-list-of-objects", 3, 30, (41, 0)),
    ("wide", 2, 20, (3, 0)),
    ("zeros", 200, 10_000, ("REFUSED", "record_too_large")),
    ("spaces", 200, 10_000, (0, 0)),
    ("blank-lines", 200, 10_000, (0, 0)),
    ("one-line", 200, 10_000, ("REFUSED", "record_too_large")),
    ("tiny-broken-lines", 10, 10_000, ("REFUSED", "nothing_to_publish")),
    ("tiny-objects", 10, 10_000, ("REFUSED", "nothing_to_publish")),
    ("tiny-elements", 10, 30, ("REFUSED", "nothing_to_publish")),
    ("same-records", 50, 10_000, "all"),
]


@pytest.mark.parametrize(("layout", "small", "large", "expected"), BOMBS, ids=[bomb[0] for bomb in BOMBS])
def test_what_is_made_to_break_its_reader_ends_in_a_clear_outcome_within_memory(
    layout: str, small: int, large: int, expected: Any
) -> None:
    found = converted(layout, large if FULL else small, seconds=1200 if FULL else 60)
    if expected == "all":
        assert found["published"] == found["read"] > 0
    elif isinstance(expected[0], str):
        assert (found["outcome"], found["reason"]) == expected
    else:
        assert (found["outcome"], found["published"], found["quarantined"]) == ("CONVERTED", *expected)
    assert found["peak"] <= 1.5 * GIB
