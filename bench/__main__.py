"""`make bench`: arguments, runs, tables. Exits with 1 if this project fails or its account is wrong."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from bench.contenders import CONTENDERS
from bench.datasets import DATA_SETS, generated
from bench.machine import cores, facts, is_busy, versions
from bench.page import page_text, with_page
from bench.report import as_json, as_text, dataset_table, dataset_title, targets_table
from bench.results import US, Results
from bench.rounds import Arena, Failed, Measured, run_rounds
from bench.stages import time_by_stage

QUICK = ("lake", "duckdb", "polars")


def main() -> int:
    arguments = _arguments()
    machine = facts()
    if is_busy():
        print("This machine is busy with other work: the figures will be unreliable.", file=sys.stderr)
    results = _measured(arguments)
    contenders = [CONTENDERS[name] for name in arguments.contenders]
    if arguments.json:
        print(as_json(results, machine, versions(contenders)))
    else:
        _print(results)
    if arguments.write:
        stages = _stages(arguments)
        page = page_text(results, _command(sys.argv[1:]), arguments.rounds, machine, versions(contenders), stages)
        existing = arguments.write.read_text() if arguments.write.exists() else ""
        arguments.write.write_text(with_page(page, existing))
    return 1 if _own_problem(results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=list(DATA_SETS), help="data sets")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--quick", action="store_true", help="one data set and the fast contenders")
    parser.add_argument("--megabytes", type=int, default=256, help="JSON in the largest data set (default: 256)")
    parser.add_argument("--rounds", type=int, default=7, help="runs of the fastest contenders (default: 7)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for data and runs (default: .bench)")
    parser.add_argument("--json", action="store_true", help="print every run as JSON instead of the tables")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the page docs/benchmarks.md")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sets, arguments.contenders = ["lines"], list(QUICK)
    return arguments


def _command(arguments: list[str]) -> str:
    """The make command that writes the same page; `--write PAGE` is part of the target."""
    at = arguments.index("--write")
    others = shlex.join(arguments[:at] + arguments[at + 2 :])
    return "make bench-docs" + (f" ARGUMENTS='{others}'" if others else "")


def _stages(arguments: argparse.Namespace) -> dict[str, float]:
    """Of the kernel on the largest data set."""
    raw, _ = generated(DATA_SETS["lines"], arguments.megabytes * 1_000_000, arguments.folder / "data")
    return time_by_stage(raw, arguments.folder, cores())


def _measured(arguments: argparse.Namespace) -> Results:
    abouts, runs = {}, list[Measured | Failed]()
    contenders = [CONTENDERS[name] for name in arguments.contenders]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="runs-", dir=arguments.folder) as folder:
        arena = Arena(folder=Path(folder).resolve(), cores=cores(), rounds=arguments.rounds)
        for name in arguments.sets:
            dataset = DATA_SETS[name]
            total = int(arguments.megabytes * 1_000_000 * dataset.ratio)
            raw, about = generated(dataset, total, arguments.folder / "data")
            abouts[name] = about
            able = [one for one in contenders if dataset.has_iso_dates or one.name == US]
            runs += run_rounds(dataset, raw, about, able, arena)
    return Results(abouts=abouts, runs=runs)


def _print(results: Results) -> None:
    for name, about in results.abouts.items():
        print(f"\n{dataset_title(about)}\n\n{as_text(dataset_table(results, name))}")
    print(f"\n{as_text(targets_table(results))}")
    for problem in results.problems():
        print(f"PROBLEM {problem}")


def _own_problem(results: Results) -> bool:
    failed = any(isinstance(run, Failed) and run.contender == US for run in results.runs)
    return failed or any(f": {US} " in problem for problem in results.problems())


if __name__ == "__main__":
    sys.exit(main())
