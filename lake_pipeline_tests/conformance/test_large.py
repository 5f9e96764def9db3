"""Memory is bounded for files of any size, and files built to break their reader get a clear outcome.

Each file is converted in a separate process, whose peak memory is measured. `make test-large` uses the full sizes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

GIB = 1 << 30
FULL = os.environ.get("FULL_SIZE") == "1"

pytestmark = pytest.mark.slow


def converted(files: Mapping[str, int], *, seconds: int, options: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The outcomes of `files` (layout, megabytes). The test fails if the process crashes or takes more than
    `seconds`.
    """
    asked = [f"{layout}:{megabytes}" for layout, megabytes in files.items()]
    command = [sys.executable, "-m", "lake_pipeline_tests.large", *options, *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    results = {result["layout"]: result for result in map(json.loads, done.stdout.splitlines())}
    for result in results.values():
        assert result["read"] == result["published"] + result["quarantined"]
        assert result["published"] == result["rows"]
    return results


def converted_apart(files: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The same with a process for each file, because allocators keep memory of the file before."""
    return {
        name: result for layout in files for name, result in converted({layout: files[layout]}, seconds=1800).items()
    }


LARGE = {"lines": 5000, "array": 2000, "dirty": 2000} if FULL else {"lines": 600, "array": 300, "dirty": 200}


@pytest.mark.parametrize("layout", LARGE)
def test_a_large_file_is_converted_within_a_gibibyte(layout: str) -> None:
    result = converted({layout: LARGE[layout]}, seconds=900 if FULL else 200)[layout]
    assert result["outcome"] == "CONVERTED"
    assert result["quarantined"] == pytest.approx(result["read"] / 100 if layout == "dirty" else 0, rel=0.02)
    assert result["peak"] <= GIB


def test_sparse_records_of_a_wide_contract_are_converted_within_a_gibibyte_of_data() -> None:
    """12 MB with 1,950 columns took 2.4 GB when memory grew with rows times columns."""
    megabytes = 200 if FULL else 12
    options = [f"--data-bytes={3 * GIB}"]
    result = converted({"sparse": megabytes}, seconds=900 if FULL else 200, options=options)["sparse"]
    assert (result["outcome"], result["published"]) == ("CONVERTED", megabytes * 1_000_000 // 150)
    assert result["peak"] <= GIB


@dataclass(frozen=True, kw_only=True)
class Bomb:
    """A file built to break its reader: its megabytes in `make test` and at full size, and the expected outcome."""

    small: int
    full: int
    published: int = 0
    quarantined: int = 0
    refused: str | None = None


BOMBS = {
    "nesting": {
        "nested": Bomb(small=20, full=30, published=40, quarantined=1),
        "nested-closed": Bomb(small=20, full=30, published=40, quarantined=1),
        "nested-only": Bomb(small=60, full=100, refused="record_too_large"),
    },
    "long values": {
        "long-text": Bomb(small=20, full=30, published=41),
        "longer-text": Bomb(small=100, full=1000, refused="record_too_large"),
        "escapes": Bomb(small=20, full=30, published=41),
        "long-key": Bomb(small=10, full=30, published=41),
        "long-number": Bomb(small=3, full=30, published=41),
        "long-fraction": Bomb(small=3, full=30, published=41),
    },
    "many values": {
        "long-list": Bomb(small=2, full=30, published=41),
        "long-list-of-objects": Bomb(small=2, full=30, published=41),
        "long-list-of-repeated-keys": Bomb(small=2, full=30, published=41),
        "long-list-with-a-misfit": Bomb(small=2, full=30, published=41),
        "long-list-of-lists": Bomb(small=2, full=30, published=41),
        "wide": Bomb(small=2, full=20, published=3),
    },
    "compression bombs": {
        "zeros": Bomb(small=200, full=10_000, refused="record_too_large"),
        "spaces": Bomb(small=300, full=10_000, refused="no_records"),
        "blank-lines": Bomb(small=300, full=10_000, refused="no_records"),
        "one-line": Bomb(small=200, full=10_000, refused="record_too_large"),
    },
    "tiny records": {
        "tiny-broken-lines": Bomb(small=10, full=10_000, refused="nothing_to_publish"),
        "tiny-objects": Bomb(small=10, full=10_000, refused="nothing_to_publish"),
        "tiny-elements": Bomb(small=10, full=30, refused="nothing_to_publish"),
    },
}


@pytest.mark.parametrize("kind", BOMBS)
def test_files_built_to_break_their_reader_get_a_clear_outcome_within_memory(kind: str) -> None:
    bombs = BOMBS[kind]
    sizes = {layout: bomb.full if FULL else bomb.small for layout, bomb in bombs.items()}
    results = converted_apart(sizes) if FULL else converted(sizes, seconds=200)
    for layout, bomb in bombs.items():
        outcome = results[layout]
        assert outcome["reason"] == bomb.refused, outcome
        assert outcome["published"] == bomb.published, outcome
        assert bomb.refused or outcome["quarantined"] == bomb.quarantined, outcome
        # CPU seconds: wall-clock time depends on what else runs. A record of 30 MB takes less than 20.
        assert outcome["core_seconds"] <= 20 + sizes[layout] / 20, outcome
    assert max(result["peak"] for result in results.values()) <= 1.25 * GIB
