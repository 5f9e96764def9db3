"""Batches of more and more files, then both engines on the same files. Exits with 1 if a target is missed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.contenders import ON_SPARK
from bench.datasets import LINES, generated
from bench.machine import cores, facts, is_busy, versions
from bench.on_spark.many import DriverMemory, driver_memory
from bench.results import Results
from bench.rounds import Arena, Failed, run_rounds
from lake_pipeline.convert.native.code_cache import machine_code
from lake_pipeline.convert.native.processors import this_processor

FASTER = 4.0
"""Speed relative to plain Spark, without the start of the session."""

MAX_MEMORY = 1 << 30
"""Of driver and JVM together, for each batch of `--files`."""


def main() -> int:
    arguments = _arguments()
    if is_busy():
        print("This machine is busy with other work: the figures will be unreliable.", file=sys.stderr)
    machine = facts()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    # Otherwise the first run would compile for ten seconds.
    machine_code(this_processor())
    memory = [driver_memory(files) for files in arguments.files if files]
    results = _compare(arguments) if arguments.megabytes else Results(abouts={}, runs=[])
    ratio = _ratio(results)
    if arguments.json:
        runs = [asdict(run) for run in results.runs]
        output = {"machine": machine, "runs": runs, "times_faster": ratio}
        output["drivers"] = [asdict(driver) for driver in memory]
        print(json.dumps(output, indent=2, default=str))
    else:
        _print(results, ratio, memory, machine)
    return 0 if (ratio is None or ratio >= FASTER) and all(driver.total < MAX_MEMORY for driver in memory) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.on_spark", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="JSON to convert (default: 1,000; 0: none)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of this project's engine (default: 2)")
    parser.add_argument(
        "--files",
        type=int,
        nargs="+",
        default=[10_000, 50_000, 100_000],
        help="files of the large batches (default: 10,000, 50,000 and 100,000; 0: none)",
    )
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for data and runs (default: .bench)")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _compare(arguments: argparse.Namespace) -> Results:
    raw, about = generated(LINES, arguments.megabytes * 1_000_000, arguments.folder / "data")
    with tempfile.TemporaryDirectory(prefix="runs-", dir=arguments.folder) as folder:
        arena = Arena(folder=Path(folder).resolve(), cores=cores(), rounds=arguments.rounds)
        runs = list(run_rounds(LINES, raw, about, list(ON_SPARK.values()), arena))
    return Results(abouts={LINES.name: about}, runs=runs)


def _ratio(results: Results) -> float | None:
    """Plain Spark's time divided by ours; 0 if one of them failed."""
    if not results.runs:
        return None
    summaries = results.summaries(LINES.name)
    if len(summaries) < 2 or any(isinstance(run, Failed) for run in results.runs):
        return 0.0
    return summaries["spark"].seconds / summaries["lake_spark"].seconds


def _print(results: Results, ratio: float | None, memory: list[DriverMemory], machine: dict[str, str]) -> None:
    for name, value in {**machine, **versions(list(ON_SPARK.values()))}.items():
        print(f"{name}: {value}")
    for run in results.runs:
        title = ON_SPARK[run.contender].title
        if isinstance(run, Failed):
            print(f"FAILED {title}: {run.reason}")
            continue
        rate = results.abouts[LINES.name].json_bytes / 1e6 / run.seconds
        print(
            f"{title}: {run.seconds:.1f} s, {rate:.0f} MB/s, {run.rows:,} rows in {run.files:,} files, peak "
            f"{run.peak_bytes / 1e6:,.0f} MB, session started in {run.start_seconds:.1f} s"
        )
    if ratio is not None:
        print(f"{ratio:.1f} times as fast as plain Spark (goal: {FASTER:.0f})")
    for driver in memory:
        print(
            f"{driver.files:,} files in one batch of {driver.seconds:.0f} s: the driver took "
            f"{driver.driver / 1e6:,.0f} MB and its JVM {driver.jvm / 1e6:,.0f} MB, "
            f"{driver.total / MAX_MEMORY:.0%} of 1 GiB"
        )


if __name__ == "__main__":
    sys.exit(main())
