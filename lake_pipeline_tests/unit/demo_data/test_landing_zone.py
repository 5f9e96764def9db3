"""The demo's landing zone: its files have the promised counts, even if its generation is killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

from lake_pipeline.convert.partition.assign import KeyParser
from lake_pipeline.convert.request import DEFAULT_KEY_PATTERN
from lake_pipeline.demo_data import LandingZoneConflict, ensure_landing_zone, expected_counts
from lake_pipeline.demo_data.files import file_bytes
from lake_pipeline.demo_data.plan import DemoCounts, PlannedFile, Shape, landing_zone_plan
from lake_pipeline.errors import SettingsError
from lake_pipeline.storage import zones

MAKE = """
import sys
from pathlib import Path
from lake_pipeline.demo_data import ensure_landing_zone
print("begin", flush=True)
ensure_landing_zone(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@cache
def planned_contents() -> dict[str, bytes]:
    return {file.key: file_bytes(file) for file in landing_zone_plan()}


def count(file: PlannedFile) -> Counter[str]:
    """Records by kind, counted from the file, independently of the generator."""
    content = file_bytes(file)
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    counts: Counter[str] = Counter()
    if file.shape is Shape.DOCUMENT:
        records = [json.loads(text)]
    elif file.shape is Shape.ARRAY:
        records = json.loads(text)
    else:
        records = []
        for line in text.splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                counts["broken"] += 1
    for record in records:
        counts["good" if file.labeled or has_date(record.get("event_time")) else "undated"] += 1
    return counts


def has_date(value: str | None) -> bool:
    try:
        return value is not None and datetime.fromisoformat(value).year > 2010
    except ValueError:
        return False


def test_the_files_have_the_counts_of_the_plan() -> None:
    for file in landing_zone_plan():
        good = file.records - file.broken - file.undated
        expected = Counter({"good": good, "broken": file.broken, "undated": file.undated})
        assert count(file) == expected, file.key


def test_the_landing_zone_is_realistic() -> None:
    plan = landing_zone_plan()
    counts = DemoCounts.of(plan)

    assert counts.records == 20_000
    assert counts.broken > 0
    assert counts.undated > 0
    assert {zones.lane_of(file.key) for file in plan} == {0, 1}
    assert {file.shape for file in plan} == set(Shape)
    assert any(file.gzipped for file in plan)
    assert len({mode for file in plan for mode in file.modes}) == 4
    assert len({day for file in plan for day in file.days}) == 21
    assert len({file.key for file in plan}) == len(plan)


def test_a_labeled_key_promises_the_partition_of_its_records() -> None:
    placer = KeyParser(DEFAULT_KEY_PATTERN)
    promised = {file.key: placer.partition(file.key) for file in landing_zone_plan()}

    for file in landing_zone_plan():
        partition = promised[file.key]
        assert (partition is not None) == file.labeled, file.key
        if partition is not None:
            assert ((partition.day,), (partition.mode,)) == (file.days, file.modes)
    assert 1 <= len(set(promised.values()) - {None}) <= 8


def test_the_bytes_are_the_same_each_time() -> None:
    assert planned_contents.__wrapped__() == planned_contents()


def test_a_second_call_writes_nothing(root: Path, home: Path) -> None:
    assert ensure_landing_zone(root, home) is True
    assert contents(root) == planned_contents()
    assert expected_counts(home) == DemoCounts.of(landing_zone_plan())
    assert ensure_landing_zone(root, home) is False


def test_an_ingested_file_is_never_written_again(root: Path, home: Path) -> None:
    ensure_landing_zone(root, home)
    archived = root / zones.ARCHIVE / "2026"
    archived.parent.mkdir()
    (root / "2026").rename(archived)

    ensure_landing_zone(root, home)

    assert not (root / "2026").exists()


def test_the_files_are_the_same_after_a_kill_at_any_moment(root: Path, home: Path) -> None:
    for delay in (0.0, 0.05, 0.15, 0.3):
        maker = subprocess.Popen([sys.executable, "-c", MAKE, str(root), str(home)], stdout=subprocess.PIPE, text=True)
        assert maker.stdout
        assert maker.stdout.readline() == "begin\n"
        time.sleep(delay)
        os.kill(maker.pid, signal.SIGKILL)
        maker.wait()
        maker.stdout.close()

    ensure_landing_zone(root, home)

    assert contents(root) == planned_contents()


@pytest.mark.parametrize("key", ["2025/week01/mine.json", "all_historical_files/mine.json", "json_parsed_parquet/x"])
def test_a_lake_with_other_files_is_not_changed(root: Path, home: Path, key: str) -> None:
    (root / key).parent.mkdir(parents=True)
    (root / key).write_bytes(b"{}")

    with pytest.raises(LandingZoneConflict, match=key):
        ensure_landing_zone(root, home)

    assert contents(root) == {key: b"{}"}


def test_the_demo_of_another_lake_is_not_mixed_with_this_one(root: Path, home: Path, tmp_path: Path) -> None:
    ensure_landing_zone(root, home)
    with pytest.raises(LandingZoneConflict, match="LAKE_HOME"):
        ensure_landing_zone(tmp_path / "other", home)


def test_a_ledger_without_its_files_is_reported(root: Path, home: Path) -> None:
    ensure_landing_zone(root, home)
    for path in list(root.iterdir()):
        path.rename(root.parent / f"gone-{path.name}")
    with pytest.raises(LandingZoneConflict, match="clean-lake"):
        ensure_landing_zone(root, home)


def test_a_root_that_is_a_file_is_an_invalid_setting(root: Path, home: Path) -> None:
    root.write_text("")
    with pytest.raises(SettingsError, match="LAKE_ROOT"):
        ensure_landing_zone(root, home)
