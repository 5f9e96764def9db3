"""`make bench`: the conversion kernel against its peers, on the same data, in the same run, on this machine.

Each run of a contender is a process of its own, so that its memory is its own, and the contenders take turns,
so that a machine that gets slower is slower for all. What a contender does is in `contenders.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from contenders import CONTENDERS, Measurement, measure
from data import generate


def main() -> None:
    arguments = _arguments()
    if arguments.run:
        print(measure(arguments.run, Path(arguments.work)).to_json())
        return
    with tempfile.TemporaryDirectory(prefix="lake-bench-", dir=arguments.folder) as folder:
        work = Path(folder)
        print(f"Generating {arguments.megabytes} MB of nested NDJSON …", file=sys.stderr)
        raw_bytes = generate(work / "raw", arguments.megabytes * 1_000_000)
        measurements = _take_turns(work, arguments.contenders, arguments.rounds)
    _agree(measurements)
    if arguments.json:
        for measurement in measurements:
            print(measurement.to_json())
        return
    _report(measurements, raw_bytes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=128, help="raw JSON to convert, in MB (default: 128)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--folder", help="where to work (default: the folder for temporary files)")
    parser.add_argument("--json", action="store_true", help="one JSON object a run instead of the table")
    parser.add_argument("--run", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    return parser.parse_args()


def _take_turns(work: Path, contenders: Sequence[str], rounds: int) -> list[Measurement]:
    measurements = []
    for number in range(rounds):
        for contender in contenders:
            print(f"Round {number + 1} of {rounds}: {contender}", file=sys.stderr)
            measurements.append(_run_apart(work, contender))
    return measurements


def _run_apart(work: Path, contender: str) -> Measurement:
    """One run in a process and a folder of its own, where the raw files are linked in."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        (Path(folder) / "all_historical_files").symlink_to(work / "raw")
        command = [sys.executable, __file__, "--run", contender, "--work", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return Measurement(**json.loads(done.stdout))


def _agree(measurements: Sequence[Measurement]) -> None:
    """A contender that loses rows is no faster."""
    rows = {measurement.contender: measurement.rows for measurement in measurements}
    if len(set(rows.values())) != 1:
        raise SystemExit(f"The contenders did not write the same number of rows: {rows}")


def _report(measurements: Sequence[Measurement], raw_bytes: int) -> None:
    best = {}
    print(f"\n{raw_bytes / 1e6:.0f} MB of NDJSON, {measurements[0].rows:,} rows; medians")
    print(f"{'contender':<12}{'seconds':>9}{'MB/s':>9}{'peak MB':>10}{'output MB':>11}")
    for contender in dict.fromkeys(measurement.contender for measurement in measurements):
        runs = [measurement for measurement in measurements if measurement.contender == contender]
        seconds = statistics.median(run.seconds for run in runs)
        best[contender] = seconds
        peak, output = max(run.peak_bytes for run in runs), runs[0].output_bytes
        print(
            f"{contender:<12}{seconds:>9.2f}{raw_bytes / 1e6 / seconds:>9.0f}{peak / 1e6:>10.0f}{output / 1e6:>11.1f}"
        )
    for peer in best.keys() - {"lake"} if "lake" in best else ():
        print(f"lake takes {best['lake'] / best[peer]:.2f} of the time of {peer}")


if __name__ == "__main__":
    main()
