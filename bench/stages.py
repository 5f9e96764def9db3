"""Stages: where the processor time of one conversion goes, for those who want it faster, and for the targets it misses.

The kernel's functions are timed by the clock of their thread, in a process that ends with it and is no contender: to
look at the clock costs a little. A page of memory that is touched for the first time is in the stage that touches it.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contenders import CONTENDERS
from bench.results import US
from bench.run import prepared
from bench.task import Task

ROUNDS = 3

REST = "the rest: threads, handing over, memory"

_NATIVE = {
    "survey_lines": "counting lines",
    "find_line_ends": "counting lines",
    "scan": "parsing",
    "gather_fixed": "gathering values by column and partition",
    "gather_rest": "gathering values by column and partition",
    "day_keys": "placing",
}
"""By function of the machine code; those that are not named encode."""

ENCODING = "encoding: dictionaries, levels, pages, bounds"


def where_time_goes(raw: Path, folder: Path, cores: int) -> dict[str, float]:
    """Core seconds by stage, the most first, of the quickest of `ROUNDS` conversions of the files in `raw`."""
    rounds = [_apart(raw, folder, cores) for _ in range(ROUNDS)]
    least = min(rounds, key=lambda stages: sum(stages.values()))
    return dict(sorted(least.items(), key=lambda stage: -stage[1]))


def _apart(raw: Path, folder: Path, cores: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        command = [sys.executable, "-m", "bench.stages", "--raw", str(raw), "--work", work, "--cores", str(cores)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    stages: dict[str, float] = json.loads(done.stdout)
    return stages


class _Clock:
    """Core seconds by stage; what a stage calls of another is the other's alone."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        setattr(owner, name, self.timed(getattr(owner, name), stage))

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*given: Any, **named: Any) -> Any:
            with self._spending(stage):
                return function(*given, **named)

        return wrapper

    @contextmanager
    def _spending(self, stage: str) -> Iterator[None]:
        outer, self._of_thread.inner = getattr(self._of_thread, "inner", 0.0), 0.0
        began = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - began
            with self._lock:
                self._seconds[stage] += spent - self._of_thread.inner
            self._of_thread.inner = outer + spent

    def stages(self, whole: float) -> dict[str, float]:
        """The seconds so far, with what is left of `whole`."""
        return {**self._seconds, REST: whole - sum(self._seconds.values())}


def _watch(clock: _Clock) -> None:
    from lake_pipeline.convert import blocks, decoding, framing, kernel
    from lake_pipeline.convert.native import calling
    from lake_pipeline.convert.output import Output
    from lake_pipeline.convert.parquet import columns, objects
    from lake_pipeline.convert.placing import Placer
    from lake_pipeline.storage.directory import DirectoryWriter

    clock.wrap(kernel, "first_contract", "inferring the contract from a sample")
    clock.wrap(decoding.Decoded, "read", "reading files")
    clock.wrap(framing._Unframed, "take", "reading files")
    clock.wrap(Placer, "place", "placing")
    clock.wrap(blocks, "_by_code", "placing")
    clock.wrap(columns, "_compressed", "compressing (zstd)")
    clock.wrap(objects, "written", "headers and footers")
    clock.wrap(objects, "footer", "headers and footers")
    clock.wrap(blocks.BlockConverter, "convert", "Python and Arrow around a block")
    clock.wrap(Output, "_write", "Python around the encoding of a part")
    for name in ("__init__", "write", "finish"):
        clock.wrap(DirectoryWriter, name, "writing to disk")
    functions: Mapping[str, Callable[..., int]] = calling._loaded()
    assert calling._code is not None
    calling._code.functions = {
        name: clock.timed(function, _NATIVE.get(name, ENCODING)) for name, function in functions.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cores", type=int, required=True)
    arguments = parser.parse_args()
    task = Task(raw=arguments.raw, work=arguments.work, dirty=False, cores=arguments.cores)
    run = prepared(CONTENDERS[US], task)
    clock = _Clock()
    _watch(clock)
    before = time.process_time()
    run()
    print(json.dumps(clock.stages(time.process_time() - before)))


if __name__ == "__main__":
    main()
