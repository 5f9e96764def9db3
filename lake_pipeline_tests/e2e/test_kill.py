"""Kill the real commands with SIGKILL, again and again: the result must be that of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_pipeline.demo_data import ensure_landing_zone
from lake_pipeline_tests.conftest import remove_embedded
from lake_pipeline_tests.lakes import published

LAKE = [str(Path(sys.executable).parent / "lake")]

PATIENCE = 600
"""Seconds for one command. The eight demos below take 112 to 159 s together where ten processes want the two cores."""

pytestmark = pytest.mark.timeout(3 * PATIENCE)

READY = 0.7
"""Seconds after which the interpreter has loaded the program: earlier kills would only test Python."""


class Place:
    """A folder with a lake and a ledger of its own, and the commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".lake"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "DAGSTER_"))}
        self.home.mkdir()
        self.environment = {**plain, "LAKE_BATCH_FILES": "6", "LAKE_WORKERS": "2"}

    @property
    def root(self) -> Path:
        return self.folder / "lake"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*LAKE, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors + output
        return output

    def kill_in_the_middle(self, after: float, *arguments: str) -> bool:
        """Start the command and kill it after so many seconds; False when it was done before."""
        process = self.start(*arguments)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def status(self) -> dict[str, object]:
        status: dict[str, object] = json.loads(self.run("status", "--json"))
        rows = status["rows"]
        assert isinstance(rows, dict)
        rows.pop("rescued")
        return {name: status[name] for name in ("files", "bytes", "rows", "partitions", "archived")}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    remove_embedded(place.home)


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("other"))
    yield place
    remove_embedded(place.home)


def test_ingest_killed_at_any_moment_publishes_each_record_once(place: Place, other: Place) -> None:
    for each in (place, other):
        ensure_landing_zone(each.root, each.home)
        each.run("discover")
    moments = random.Random(2026)
    killed = sum(place.kill_in_the_middle(READY + moments.uniform(0, 2.5), "ingest") for _ in range(8))
    assert killed >= 3, "the kills came too late to disturb anything"
    place.run("ingest")
    other.run("ingest")
    assert place.status() == other.status()
    assert values(place.root) == values(other.root)
    assert list((place.root / ".pending").rglob("*.parquet*")) == []


def test_the_demo_killed_at_any_moment_ends_in_the_same_counts(place: Place) -> None:
    moments = random.Random(2027)
    killed = sum(place.kill_in_the_middle(moments.uniform(0.5, 7.0), "demo") for _ in range(6))
    assert killed >= 3, "the kills came too late to disturb anything"
    counts = json.loads(place.run("demo", "--json"))
    assert all(check["holds"] for check in counts["checks"]), counts
    assert json.loads(place.run("demo", "--json"))["status"] == counts["status"]


def values(root: Path) -> list[str]:
    """Every value of every row, wherever it is: a batch that was killed comes later, and then another batch is the
    first to say what type a column has, and other values are rescued."""
    rows = []
    for row in published(root):
        found = {name: value for name, value in row.items() if value is not None}
        found |= json.loads(found.pop("_rescued", "{}"))
        rows.append(repr(sorted(found.items())))
    return sorted(rows)


def test_an_ingest_on_spark_whose_driver_is_killed_shows_nothing_and_is_made_up_for(place: Place) -> None:
    ensure_landing_zone(place.root, place.home)
    place.run("discover")
    place.environment |= {"LAKE_ENGINE": "spark", "LAKE_SPARK_MASTER": "local[2]", "LAKE_BATCH_FILES": "1000"}
    process = place.start("ingest")
    deadline = time.monotonic() + 120
    while not any((place.root / ".pending").rglob("*.parquet*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert published(place.root) == []
    place.run("ingest")
    read = json.loads(place.run("status", "--json"))["rows"]
    assert read["published"] == len(published(place.root))
    assert read["read"] == read["published"] + read["quarantined"]
    place.run("fsck")
