"""One run of one contender, in the process that ends with it. Not called by people: `measuring` starts it."""

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
"""Where it says how it went, in its working folder: peers print what they like."""


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
    """The run, with everything imported that it needs.

    Where pandas is installed, and here it is because a peer needs it, pyarrow imports it for its first array, which
    takes longer than to infer a contract.
    """
    run = contender.prepare(task)
    if "pyarrow" in sys.modules:
        with suppress(ImportError):
            importlib.import_module("pandas")
    return run


def timed(contender: Contender, task: Task) -> dict[str, Any]:
    """The result of one run: how long it took to start and to convert, and what it says of it."""
    started = time.perf_counter()
    run = prepared(contender, task)
    ready = time.perf_counter()
    account = run()
    done = time.perf_counter()
    return {"start_seconds": ready - started, "seconds": done - ready, "account": asdict(account)}


if __name__ == "__main__":
    main()
