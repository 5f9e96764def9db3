"""Convert mutated inputs and all cases under valgrind: `python -m lake_pipeline_tests.memory --inputs 5000 --seed 7`.

Exits with 1 after an invalid read or write in machine code, and with 0 if valgrind is not installed.
"""

from __future__ import annotations

import argparse
import secrets
import sys

from lake_pipeline.convert.native.code_cache import machine_code
from lake_pipeline.convert.native.processors import this_processor
from lake_pipeline_tests.memory import valgrind

CONVERSIONS = "lake_pipeline_tests.memory.conversions"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lake_pipeline_tests.memory", description=__doc__)
    parser.add_argument("--inputs", type=int, default=5000, help="the least number of mutated inputs (default: 5,000)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="the first seed (default: random)")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="the most cases (default: all)")
    arguments = parser.parse_args()
    if not valgrind.is_installed():
        print("valgrind is not installed")
        return 0
    machine_code(this_processor())  # compiling under valgrind would take minutes
    print(f"seed {arguments.seed}", flush=True)
    options = (f"--inputs={arguments.inputs}", f"--seed={arguments.seed}", f"--cases={arguments.cases}")
    report = valgrind.run(CONVERSIONS, options)
    print(report.output, end="")
    accesses = report.in_machine_code
    others = len(report.accesses) - len(accesses)
    print(f"{len(accesses)} invalid reads and writes in machine code, {others} elsewhere")
    for access in accesses[:20]:
        print(access)
    if report.status:
        print(f"the conversions ended with status {report.status}")
    return 1 if accesses or report.status else 0


if __name__ == "__main__":
    sys.exit(main())
