"""The benchmark compares equal work: the same rows, partitions and sums. Otherwise it reports a problem."""

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
from bench.page import END, page_text, with_page
from bench.records import DAYS, MODES
from bench.results import Results
from bench.rounds import Arena, Failed, Measured, measure, measured
from bench.run import timed
from bench.stages import time_by_stage
from bench.task import Task
from lake_pipeline_tests.support.repository import REPOSITORY

BYTES = 400_000
PAIRS = [
    (peer, dataset)
    for peer in CONTENDERS
    for dataset in (LINES, SMALL, WIDE, GZIP)
    # Plain Spark takes seconds for each.
    if peer != "lake" and (peer != "spark" or dataset is WIDE)
]

Kernel = Callable[[DataSet], tuple[About, Measured | Failed]]


def _measured(dataset: DataSet, contender: str, folder: Path) -> tuple[About, Measured | Failed]:
    missing = [name for name in CONTENDERS[contender].packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is only installed by `make bench`")
    raw, about = generated(dataset, BYTES, folder / "data")
    return about, measure(dataset, raw, CONTENDERS[contender], Arena(folder=folder, cores=2, rounds=1))


def _measured_in(_: SparkSession, dataset: DataSet, folder: Path) -> Measured:
    """A run of plain Spark in the session of the tests: a new one takes seconds to start."""
    raw, _about = generated(dataset, BYTES, folder / "data")
    (folder / "work").mkdir()
    task = Task(raw=raw, work=folder / "work", dirty=dataset.dirty, cores=2)
    return measured(dataset, CONTENDERS["spark"], task.work, timed(CONTENDERS["spark"], task), peak_bytes=0)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """The kernel's run on a data set; each is measured once."""
    folder = tmp_path_factory.mktemp("kernel")
    return cache(lambda dataset: _measured(dataset, "lake", folder))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATA_SETS.values(), ids=DATA_SETS)
def test_the_kernel_accounts_for_every_record(dataset: DataSet, kernel: Kernel) -> None:
    about, run = kernel(dataset)
    assert isinstance(run, Measured), run
    assert Results(abouts={dataset.name: about}, runs=[run]).problems() == []
    assert (run.read, run.quarantined, run.rescued) == (about.records, about.malformed, about.misfits)
    assert bool(about.malformed) == dataset.dirty


@pytest.mark.slow
@pytest.mark.parametrize(("peer", "dataset"), PAIRS, ids=[f"{peer}-{dataset.name}" for peer, dataset in PAIRS])
def test_a_peer_writes_the_same_as_the_kernel(
    peer: str, dataset: DataSet, kernel: Kernel, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if peer == "spark":
        theirs: Measured | Failed = _measured_in(request.getfixturevalue("spark"), dataset, tmp_path)
    else:
        _, theirs = _measured(dataset, peer, tmp_path)
    about, ours = kernel(dataset)
    assert isinstance(theirs, Measured), theirs
    assert isinstance(ours, Measured), ours
    assert Results(abouts={dataset.name: about}, runs=[ours, theirs]).problems() == []
    assert theirs.rows == about.records
    # dlt can't partition rows by their values.
    assert theirs.partitions == (() if peer == "dlt" else ours.partitions)


def test_the_peers_are_pinned_to_versions_and_nothing_else() -> None:
    repository = REPOSITORY
    lines = (repository / "bench" / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    requirements = project["optional-dependencies"]["bench"]
    packages = {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements}
    pinned = {line.partition("==")[0] for line in [*lines, *(repository / "constraints.txt").read_text().splitlines()]}
    assert packages - {project["name"]} <= pinned


@pytest.mark.slow
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


def test_what_is_written_by_hand_stays_on_the_page() -> None:
    page = with_page("# New\n", f"# Old\n\n{END}\n\n## The ledger\n")
    assert page == f"# New\n\n{END}\n\n## The ledger\n"
    assert with_page("# New\n", page) == page


@pytest.mark.slow
def test_records_that_duckdb_drops_are_in_the_report(tmp_path: Path) -> None:
    about, run = _measured(DIRTY, "duckdb", tmp_path)
    page = page_text(Results(abouts={"dirty": about}, runs=[run]), "make bench", 1, {}, {}, {})
    assert f"{about.malformed} records dropped, no account" in page


@pytest.mark.slow
def test_a_contender_that_fails_is_in_the_report(tmp_path: Path) -> None:
    about, _ = _measured(LINES, "lake", tmp_path)
    failed = Failed(dataset="lines", contender="polars", reason="exit code 1: no | memory")
    page = page_text(
        Results(abouts={"lines": about}, runs=[failed]), "make bench", 1, {}, {}, {"parsing": 3.0, "writing": 1.0}
    )
    assert "| Polars | failed |" in page
    assert "no \\| memory" in page


@pytest.mark.slow
def test_the_stages_add_up_to_the_time_of_a_conversion(tmp_path: Path) -> None:
    raw, about = generated(LINES, BYTES, tmp_path / "data")
    stages = time_by_stage(raw, tmp_path, 1)
    assert {"parsing", "compressing (zstd)", "reading files"} <= stages.keys()
    assert min(stages.values()) >= 0
    page = page_text(Results(abouts={"lines": about}, runs=[]), "make bench", 1, {}, {}, {"parsing": 3.0, "rest": 1.0})
    assert "| parsing | 3.00 | 75% |" in page
