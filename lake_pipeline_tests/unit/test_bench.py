"""The benchmark compares like with like: the same rows, partitions and sums, or it says so."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bench.contenders import CONTENDERS
from bench.datasets import DATA_SETS, DIRTY, GZIP, LINES, SMALL, WIDE, About, DataSet, generated
from bench.measuring import Arena, Failed, Measured, measure, measured
from bench.page import write_page
from bench.records import DAYS, MODES
from bench.results import Results
from bench.run import timed
from bench.stages import where_time_goes
from bench.task import Task

BYTES = 400_000
PEERS = [name for name in CONTENDERS if name != "lake"]


Kernel = Callable[[DataSet], tuple[About, Measured | Failed]]


def _measured(each: DataSet, contender: str, folder: Path) -> tuple[About, Measured | Failed]:
    missing = [name for name in CONTENDERS[contender].packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is only in the environment that `make bench` makes")
    raw, about = generated(each, BYTES, folder / "data")
    return about, measure(each, raw, CONTENDERS[contender], Arena(folder=folder, cores=2, rounds=1))


def _measured_in(_: SparkSession, each: DataSet, folder: Path) -> Measured:
    """The run of plain Spark in the session that is there: one of its own takes seconds to start."""
    raw, _about = generated(each, BYTES, folder / "data")
    (folder / "work").mkdir()
    task = Task(raw=raw, work=folder / "work", dirty=each.dirty, cores=2)
    return measured(each, CONTENDERS["spark"], task.work, timed(CONTENDERS["spark"], task), peak_bytes=0)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """What the kernel makes of a data set; each is measured once."""
    folder = tmp_path_factory.mktemp("kernel")
    return cache(lambda each: _measured(each, "lake", folder))


@pytest.mark.parametrize("each", DATA_SETS.values(), ids=DATA_SETS)
def test_the_kernel_accounts_for_every_record(each: DataSet, kernel: Kernel) -> None:
    about, run = kernel(each)
    assert isinstance(run, Measured), run
    assert Results(abouts={each.name: about}, runs=[run]).problems() == []
    assert (run.read, run.quarantined, run.rescued) == (about.records, about.broken, about.misfits)
    assert bool(about.broken) == each.dirty


@pytest.mark.parametrize("each", [LINES, SMALL, WIDE, GZIP], ids=lambda each: each.name)
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_writes_the_same_as_the_kernel(
    peer: str, each: DataSet, kernel: Kernel, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if peer == "spark":
        theirs: Measured | Failed = _measured_in(request.getfixturevalue("spark"), each, tmp_path)
    else:
        _, theirs = _measured(each, peer, tmp_path)
    about, ours = kernel(each)
    assert isinstance(theirs, Measured), theirs
    assert isinstance(ours, Measured), ours
    assert Results(abouts={each.name: about}, runs=[ours, theirs]).problems() == []
    assert theirs.rows == about.records
    # dlt can't lay rows out by their values.
    assert theirs.partitions == (() if peer == "dlt" else ours.partitions)


def test_the_peers_are_pinned_to_versions_and_nothing_else() -> None:
    repository = Path(__file__).parents[2]
    lines = (repository / "bench" / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[^A-Za-z0-9._-]", each)[0] for each in project["optional-dependencies"]["bench"]}
    pinned = {line.partition("==")[0] for line in [*lines, *(repository / "constraints.txt").read_text().splitlines()]}
    assert wanted - {project["name"]} <= pinned


def test_every_day_and_mode_is_a_partition(kernel: Kernel) -> None:
    _, run = kernel(LINES)
    assert isinstance(run, Measured), run
    assert len(run.partitions) == DAYS * len(MODES)


def test_the_same_data_is_generated_each_time(tmp_path: Path) -> None:
    first, _ = generated(GZIP, BYTES, tmp_path / "first")
    second, _ = generated(GZIP, BYTES, tmp_path / "second")
    assert [path.read_bytes() for path in sorted(first.iterdir())] == [
        path.read_bytes() for path in sorted(second.iterdir())
    ]


def test_what_duckdb_drops_of_dirty_records_is_in_the_report(tmp_path: Path) -> None:
    about, run = _measured(DIRTY, "duckdb", tmp_path)
    page = write_page(Results(abouts={"dirty": about}, runs=[run]), "make bench", 1, {}, {}, {})
    assert f"{about.broken} records dropped, no account" in page


def test_a_contender_that_fails_is_in_the_report(tmp_path: Path) -> None:
    about, _ = _measured(LINES, "lake", tmp_path)
    failed = Failed(dataset="lines", contender="polars", reason="exit code 1: no | memory")
    page = write_page(
        Results(abouts={"lines": about}, runs=[failed]), "make bench", 1, {}, {}, {"parsing": 3.0, "writing": 1.0}
    )
    assert "| Polars | failed |" in page
    assert "no \\| memory" in page


def test_where_the_time_goes_adds_up_to_the_time_of_a_conversion(tmp_path: Path) -> None:
    raw, about = generated(LINES, BYTES, tmp_path / "data")
    stages = where_time_goes(raw, tmp_path, 1)
    assert {"parsing", "compressing (zstd)", "reading files"} <= stages.keys()
    assert min(stages.values()) >= 0
    page = write_page(Results(abouts={"lines": about}, runs=[]), "make bench", 1, {}, {}, {"parsing": 3.0, "rest": 1.0})
    assert "| parsing | 3.00 | 75% |" in page
