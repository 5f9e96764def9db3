"""Stages: the processor time of one conversion by stage of the kernel.

The kernel's functions are timed by the clock of their thread, in a separate process that is not a contender, because
reading the clock costs a little. The first access to a page of memory counts for the stage that makes it.
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

REST = "other: threads, calls, memory"

_NATIVE = {
    "survey_lines": "counting lines",
    "find_line_ends": "counting lines",
    "scan": "parsing",
    "gather_fixed": "gathering values by column and partition",
    "gather_variable": "gathering values by column and partition",
    "day_keys": "partitioning",
}
"""Stages of functions of the machine code; functions that are not listed encode."""

ENCODING = "encoding: dictionaries, levels, pages, bounds"


def time_by_stage(raw: Path, folder: Path, cores: int) -> dict[str, float]:
    """Core seconds by stage, longest first, of the fastest of `ROUNDS` conversions of the files in `raw`."""
    rounds = [_measure_in_process(raw, folder, cores) for _ in range(ROUNDS)]
    least = min(rounds, key=lambda stages: sum(stages.values()))
    return dict(sorted(least.items(), key=lambda stage: -stage[1]))


def _measure_in_process(raw: Path, folder: Path, cores: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        command = [sys.executable, "-m", "bench.stages", "--raw", str(raw), "--work", work, "--cores", str(cores)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    stages: dict[str, float] = json.loads(done.stdout)
    return stages


class _Clock:
    """Core seconds by stage, without the stages that a stage calls."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        setattr(owner, name, self.timed(getattr(owner, name), stage))

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self._spend(stage):
                return function(*args, **kwargs)

        return wrapper

    @contextmanager
    def _spend(self, stage: str) -> Iterator[None]:
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
        """The seconds so far; the rest of `whole` is `REST`."""
        return {**self._seconds, REST: whole - sum(self._seconds.values())}


def _instrument(clock: _Clock) -> None:
    from lake_pipeline.convert.input import decompress, framing
    from lake_pipeline.convert.kernel import blocks
    from lake_pipeline.convert.kernel import convert as kernel
    from lake_pipeline.convert.native import call as native
    from lake_pipeline.convert.output.writer import Output
    from lake_pipeline.convert.parquet import columns, objects
    from lake_pipeline.convert.partition.assign import PartitionAssigner
    from lake_pipeline.storage.directory import DirectoryWriter

    clock.wrap(kernel, "first_contract", "inferring the contract from a sample")
    clock.wrap(decompress.Decoded, "read", "reading files")
    clock.wrap(framing._Unframed, "take", "reading files")
    clock.wrap(PartitionAssigner, "assign", "partitioning")
    clock.wrap(blocks, "_sort_by_partition", "partitioning")
    clock.wrap(columns, "_compressed", "compressing (zstd)")
    clock.wrap(objects, "written", "headers and footers")
    clock.wrap(objects, "footer", "headers and footers")
    clock.wrap(blocks.BlockConverter, "convert", "Python and Arrow around a block")
    clock.wrap(Output, "_write", "Python around the encoding of a part")
    for name in ("__init__", "write", "finish"):
        clock.wrap(DirectoryWriter, name, "writing to disk")
    functions: Mapping[str, Callable[..., int]] = native._loaded()
    assert native._code is not None
    native._code.functions = {
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
    _instrument(clock)
    before = time.process_time()
    run()
    print(json.dumps(clock.stages(time.process_time() - before)))


if __name__ == "__main__":
    main()
