"""Turns: every contender on one data set, round after round, and what each run gave.

The files are read once before, so that nobody pays for a cold disk, and what the last contender wrote is flushed
before the next one starts. Contenders take turns, so that a machine that gets slower is slower for all; every other
round goes backwards, so that nobody always comes after the same one.
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
from bench.processes import run_apart
from bench.run import RESULT
from bench.task import Contender

LIMIT_SECONDS = 900
LOG = "log.txt"

_NAMES_AN_ERROR = re.compile(r"(Caused by: )?[\w.]+(Error|Exception|Failed|Exit)\b.*")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run that came to its end. `partitions` are Hive folders; accounts are the contender's own words."""

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
    """A contender that could not do it, and why."""

    dataset: str
    contender: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Where and how runs take place. `cores` is what every contender is told to use."""

    folder: Path
    cores: int
    rounds: int


def take_turns(
    each: DataSet, raw: Path, about: About, contenders: Sequence[Contender], arena: Arena
) -> Iterator[Measured | Failed]:
    """All runs on one data set. Who fails once is not asked again."""
    _warm(raw)
    out: set[str] = set()
    for number in range(arena.rounds):
        for contender in contenders if number % 2 == 0 else contenders[::-1]:
            if contender.name in out or number >= max(contender.rounds, 1):
                continue
            print(f"{about.name}, round {number + 1} of {arena.rounds}: {contender.title}", file=sys.stderr)
            result = measure(each, raw, contender, arena)
            if isinstance(result, Failed):
                out.add(contender.name)
            yield result


def measure(each: DataSet, raw: Path, contender: Contender, arena: Arena) -> Measured | Failed:
    """One run in a process and a folder of its own, which is removed."""
    missing = [name for name in contender.packages if importlib.util.find_spec(name) is None]
    if missing:
        return Failed(dataset=each.name, contender=contender.name, reason=f"{', '.join(missing)} is not installed")
    os.sync()
    with tempfile.TemporaryDirectory(dir=arena.folder) as folder:
        work = Path(folder)
        command = [sys.executable, "-m", "bench.run", contender.name, "--raw", str(raw), "--work", folder]
        command += ["--cores", str(arena.cores), *(["--dirty"] if each.dirty else [])]
        ended = run_apart(command, work / LOG, LIMIT_SECONDS)
        if ended.code != 0:
            return Failed(dataset=each.name, contender=contender.name, reason=_reason(ended.code, work / LOG))
        return measured(each, contender, work, json.loads((work / RESULT).read_text()), peak_bytes=ended.peak_bytes)


def measured(each: DataSet, contender: Contender, work: Path, result: dict[str, Any], *, peak_bytes: int) -> Measured:
    """The result of a run in `work` with what it wrote there."""
    account = dict(result["account"])
    written = _read_back(work / account.pop("folder"))
    times = {name: result[name] for name in ("start_seconds", "seconds")}
    return Measured(dataset=each.name, contender=contender.name, peak_bytes=peak_bytes, **written, **account, **times)


def _read_back(folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "bench.output", str(folder)], stdout=subprocess.PIPE, check=True)
    written: dict[str, Any] = json.loads(done.stdout)
    return written | {"output_bytes": written.pop("bytes"), "partitions": tuple(written["partitions"])}


def _reason(code: int | None, log: Path) -> str:
    if code is None:
        return f"not done after {LIMIT_SECONDS} s"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # A Java trace ends in the middle of nowhere: the last line that names an error says more than the last line.
    telling = [line for line in lines if _NAMES_AN_ERROR.match(line)] or lines or ["no message"]
    return f"exit code {code}: {telling[-1][:300]}"


def _warm(raw: Path) -> None:
    for path in raw.iterdir():
        with path.open("rb") as stream:
            while stream.read(1 << 20):
                pass
