"""Rounds: run every contender on one data set, round after round, and measure each run.

The files are read once before, so that no contender pays for a cold disk, and the output of one run is flushed before
the next one starts. Contenders alternate, so that a machine that slows down slows all of them; every other round is in
reverse order, so that no contender always follows the same one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.datasets import About, DataSet
from bench.processes import run_in_processes
from bench.run import RESULT
from bench.task import Contender

LIMIT_SECONDS = 900
LOG = "log.txt"

_NAMES_AN_ERROR = re.compile(r"(Caused by: )?[\w.]+(Error|Exception|Failed|Exit)\b.*")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A completed run. `partitions` are Hive folders; the last three fields are the contender's own counts."""

    dataset: str
    contender: str
    seconds: float
    start_seconds: float
    peak_bytes: int
    rows: int
    output_bytes: int
    files: int
    columns: int
    partitions: tuple[str, ...]
    amount: float | None
    read: int | None
    quarantined: int | None
    rescued: int | None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A run that failed, and why."""

    dataset: str
    contender: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Arena:
    """The conditions of all runs. `cores` is passed to every contender."""

    folder: Path
    cores: int
    rounds: int


def run_rounds(
    dataset: DataSet, raw: Path, about: About, contenders: Sequence[Contender], arena: Arena
) -> Iterator[Measured | Failed]:
    """All runs on one data set. A contender that failed is not run again."""
    _warm(raw)
    failed: set[str] = set()
    for number in range(arena.rounds):
        for contender in contenders if number % 2 == 0 else contenders[::-1]:
            if contender.name in failed or number >= max(contender.rounds, 1):
                continue
            print(f"{about.name}, round {number + 1} of {arena.rounds}: {contender.title}", file=sys.stderr)
            result = measure(dataset, raw, contender, arena)
            if isinstance(result, Failed):
                failed.add(contender.name)
            yield result


def measure(dataset: DataSet, raw: Path, contender: Contender, arena: Arena) -> Measured | Failed:
    """One run in a process and a temporary folder of its own."""
    missing = [name for name in contender.packages if importlib.util.find_spec(name) is None]
    if missing:
        return Failed(dataset=dataset.name, contender=contender.name, reason=f"{', '.join(missing)} is not installed")
    os.sync()
    with tempfile.TemporaryDirectory(dir=arena.folder) as folder:
        work = Path(folder)
        command = [sys.executable, "-m", "bench.run", contender.name, "--raw", str(raw), "--work", folder]
        command += ["--cores", str(arena.cores), *(["--dirty"] if dataset.dirty else [])]
        done = run_in_processes(command, work / LOG, LIMIT_SECONDS)
        if done.code != 0:
            return Failed(dataset=dataset.name, contender=contender.name, reason=_reason(done.code, work / LOG))
        return measured(dataset, contender, work, json.loads((work / RESULT).read_text()), peak_bytes=done.peak_bytes)


def measured(
    dataset: DataSet, contender: Contender, work: Path, result: dict[str, Any], *, peak_bytes: int
) -> Measured:
    """The result of a run in `work`, together with its output read back."""
    account = dict(result["account"])
    written = _read_back(work / account.pop("folder"))
    times = {name: result[name] for name in ("start_seconds", "seconds")}
    return Measured(
        dataset=dataset.name, contender=contender.name, peak_bytes=peak_bytes, **written, **account, **times
    )


def _read_back(folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "bench.output", str(folder)], stdout=subprocess.PIPE, check=True)
    written: dict[str, Any] = json.loads(done.stdout)
    return written | {"output_bytes": written.pop("bytes"), "partitions": tuple(written["partitions"])}


def _reason(code: int | None, log: Path) -> str:
    if code is None:
        return f"not finished after {LIMIT_SECONDS} s"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # The last line of a Java trace says little: take the last line that names an error.
    errors = [line for line in lines if _NAMES_AN_ERROR.match(line)] or lines or ["no message"]
    return f"exit code {code}: {errors[-1][:300]}"


def _warm(raw: Path) -> None:
    for path in raw.iterdir():
        with path.open("rb") as stream:
            while stream.read(1 << 20):
                pass
