"""Kill the real commands with SIGKILL repeatedly: the result must be that of an undisturbed run."""

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
from lake_pipeline_tests.support.lakes import published

LAKE = [str(Path(sys.executable).parent / "lake")]

PATIENCE = 600
"""Seconds for one command. The five demos below take 70 to 100 s together if ten processes share two cores."""

pytestmark = pytest.mark.timeout(3 * PATIENCE)

READY = 0.7
"""Seconds until the interpreter has loaded the program: earlier kills would only test Python."""


class LakeFolder:
    """A folder with a lake and a ledger, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".lake"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "DAGSTER_"))}
        self.home.mkdir()
        self.environment = {**inherited, "LAKE_BATCH_FILES": "6", "LAKE_WORKERS": "2", "LAKE_MIN_AGE_SECONDS": "0"}

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
        """Start the command and kill it after `after` seconds; False if it ended before."""
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
def lake(tmp_path: Path) -> Iterator[LakeFolder]:
    lake = LakeFolder(tmp_path)
    yield lake
    remove_embedded(lake.home)


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeFolder]:
    lake = LakeFolder(tmp_path_factory.mktemp("other"))
    yield lake
    remove_embedded(lake.home)


def test_ingest_killed_at_any_moment_publishes_each_record_once(lake: LakeFolder, other: LakeFolder) -> None:
    for folder in (lake, other):
        ensure_landing_zone(folder.root, folder.home)
        folder.run("discover")
    rng = random.Random(2026)
    killed = sum(lake.kill_in_the_middle(READY + rng.uniform(0, 2.5), "ingest") for _ in range(3))
    assert killed >= 2, "the kills came too late to disturb anything"
    lake.run("ingest")
    other.run("ingest")
    assert lake.status() == other.status()
    assert values(lake.root) == values(other.root)
    assert list((lake.root / ".pending").rglob("*.parquet*")) == []


def test_the_demo_killed_at_any_moment_ends_in_the_same_counts(lake: LakeFolder) -> None:
    rng = random.Random(2027)
    killed = sum(lake.kill_in_the_middle(rng.uniform(0.5, 7.0), "demo") for _ in range(2))
    assert killed >= 1, "the kills came too late to disturb anything"
    counts = json.loads(lake.run("demo", "--json"))
    assert all(check["holds"] for check in counts["checks"]), counts
    assert json.loads(lake.run("demo", "--json"))["status"] == counts["status"]


def values(root: Path) -> list[str]:
    """Every value of every row, whether in a column or rescued: after a kill, another batch may be the first to set the
    type of a column, and then other values are rescued."""
    rows = []
    for row in published(root):
        columns = {name: value for name, value in row.items() if value is not None}
        columns |= json.loads(columns.pop("_rescued", "{}"))
        rows.append(repr(sorted(columns.items())))
    return sorted(rows)


def test_an_ingest_on_spark_whose_driver_is_killed_publishes_nothing_and_is_repeated(lake: LakeFolder) -> None:
    ensure_landing_zone(lake.root, lake.home)
    lake.run("discover")
    lake.environment |= {"LAKE_ENGINE": "spark", "LAKE_SPARK_MASTER": "local[2]", "LAKE_BATCH_FILES": "1000"}
    process = lake.start("ingest")
    deadline = time.monotonic() + 120
    while not any((lake.root / ".pending").rglob("*.parquet*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert published(lake.root) == []
    lake.run("ingest")
    rows = json.loads(lake.run("status", "--json"))["rows"]
    assert rows["published"] == len(published(lake.root))
    assert rows["read"] == rows["published"] + rows["quarantined"]
    lake.run("fsck")
