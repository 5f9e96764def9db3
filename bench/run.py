"""One run of one contender in a process of its own, started by `rounds`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.contenders import CONTENDERS, ON_SPARK
from bench.task import Contender, Run, Task

RESULT = "result.json"
"""The file with its result in the working folder, because peers print to stdout."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices={**CONTENDERS, **ON_SPARK})
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--dirty", action="store_true")
    arguments = parser.parse_args()
    task = Task(raw=arguments.raw, work=arguments.work, dirty=arguments.dirty, cores=arguments.cores)
    result = timed({**CONTENDERS, **ON_SPARK}[arguments.contender], task)
    (task.work / RESULT).write_text(json.dumps(result))


def prepared(contender: Contender, task: Task) -> Run:
    """The run, with everything imported.

    pyarrow imports pandas for its first array if it is installed, as it is here for a peer. That takes longer than
    inferring a contract.
    """
    run = contender.prepare(task)
    if "pyarrow" in sys.modules:
        with suppress(ImportError):
            importlib.import_module("pandas")
    return run


def timed(contender: Contender, task: Task) -> dict[str, Any]:
    """The result of one run: the times to start and to convert, and the contender's account."""
    started = time.perf_counter()
    run = prepared(contender, task)
    ready = time.perf_counter()
    account = run()
    done = time.perf_counter()
    return {"start_seconds": ready - started, "seconds": done - ready, "account": asdict(account)}


if __name__ == "__main__":
    main()
