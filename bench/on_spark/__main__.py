"""Batches of ever more files, then both on the same files in turns. Ends with 1 where a target is not met."""

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
from bench.measuring import Arena, Failed, take_turns
from bench.on_spark.many import DriverMemory, driver_memory
from bench.results import Results
from lake_pipeline.convert.native.obtaining import kept_or_compiled
from lake_pipeline.convert.native.processors import this_processor

FASTER = 4.0
"""How many times faster than plain Spark, without the start of the session."""

MOST_MEMORY = 1 << 30
"""Of driver and JVM together, with each batch of `--files`."""


def main() -> int:
    arguments = _arguments()
    if is_busy():
        print("This machine is busy with something else: the figures will say little.", file=sys.stderr)
    machine = facts()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    # Otherwise whoever runs first compiles for ten seconds.
    kept_or_compiled(this_processor())
    memory = [driver_memory(files) for files in arguments.files if files]
    results = _turns(arguments) if arguments.megabytes else Results(abouts={}, runs=[])
    ratio = _ratio(results)
    if arguments.json:
        runs = [asdict(run) for run in results.runs]
        told = {"machine": machine, "runs": runs, "times_faster": ratio}
        told["drivers"] = [asdict(each) for each in memory]
        print(json.dumps(told, indent=2, default=str))
    else:
        _print(results, ratio, memory, machine)
    return 0 if (ratio is None or ratio >= FASTER) and all(each.total < MOST_MEMORY for each in memory) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.on_spark", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="JSON to convert (default: 1,000; 0: none)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of this project's engine (default: 2)")
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


def _turns(arguments: argparse.Namespace) -> Results:
    raw, about = generated(LINES, arguments.megabytes * 1_000_000, arguments.folder / "data")
    with tempfile.TemporaryDirectory(prefix="runs-", dir=arguments.folder) as folder:
        arena = Arena(folder=Path(folder).resolve(), cores=cores(), rounds=arguments.rounds)
        runs = list(take_turns(LINES, raw, about, list(ON_SPARK.values()), arena))
    return Results(abouts={LINES.name: about}, runs=runs)


def _ratio(results: Results) -> float | None:
    """Plain Spark's time by ours; 0 where one of both failed."""
    if not results.runs:
        return None
    standings = results.standings(LINES.name)
    if len(standings) < 2 or any(isinstance(run, Failed) for run in results.runs):
        return 0.0
    return standings["spark"].seconds / standings["lake_spark"].seconds


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
            f"{title}: {run.seconds:.1f} s, {rate:.0f} MB/s, {run.rows:,} rows in {run.files:,} files, at most "
            f"{run.peak_bytes / 1e6:,.0f} MB, the session in {run.start_seconds:.1f} s"
        )
    if ratio is not None:
        print(f"{ratio:.1f} times as fast as plain Spark (wanted: {FASTER:.0f})")
    for each in memory:
        print(
            f"{each.files:,} files in one batch of {each.seconds:.0f} s: the driver took "
            f"{each.driver / 1e6:,.0f} MB and its JVM {each.jvm / 1e6:,.0f} MB, "
            f"{each.total / MOST_MEMORY:.0%} of 1 GiB"
        )


if __name__ == "__main__":
    sys.exit(main())
