"""Read the same rows in turns, and compare. Ends with 1 where the reader is below its share of the bare scan."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from bench.machine import cores, facts, is_busy
from bench.readers.lakes import curated_files, make_lake, make_large
from lake_pipeline.consume.dataset import BATCH_ROWS, CuratedDataset
from lake_pipeline.consume.files import CuratedFiles

TARGET = 0.9
"""Of the rows a second of a bare scan, when both read in the order of the files."""

NUMBERS = ("amount", "metrics_latency_ms", "user_id")
"""What a small model reads."""

Read = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How fast `who` read `columns` of a lake: `rows_a_second` in the middle of all rounds, `share` of the scan's."""

    lake: str
    columns: str
    who: str
    rows: int
    rows_a_second: float
    share: float


def main() -> int:
    arguments = _arguments()
    # Hugging Face datasets may look for nothing on the internet.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(arguments.folder / "hf")}
    if is_busy():
        print("This machine is busy with something else: the figures will say little.", file=sys.stderr)
    machine = facts()
    lake = make_lake(arguments.folder, arguments.bytes, cores())
    readings = [
        reading
        for name, root in (("by day and mode", lake), ("a file a day", make_large(lake)))
        for wanted, columns in (("all", None), ("numbers", NUMBERS))
        for reading in _compare(name, wanted, curated_files(root), columns, arguments.rounds)
    ]
    if arguments.json:
        print(json.dumps({"machine": machine, "readings": [asdict(each) for each in readings]}, indent=2))
    else:
        _print(readings, machine)
    return 0 if all(each.share >= TARGET for each in readings if each.who == "CuratedDataset") else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.readers", description=__doc__)
    parser.add_argument("--bytes", type=int, default=512_000_000, help="of raw JSON (default: 512 MB)")
    parser.add_argument("--rounds", type=int, default=5, help="of each reader, in turns (default: 5)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for the lakes")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser.parse_args()


def _compare(
    lake: str, wanted: str, files: CuratedFiles, columns: Sequence[str] | None, rounds: int
) -> Iterator[Reading]:
    readers = dict(_readers(files.with_columns(columns) if columns else files))
    seconds: dict[str, list[float]] = {who: [] for who in readers}
    rows: dict[str, int] = {}
    # One more, which warms the page cache and whatever else is made once.
    for number in range(rounds + 1):
        for who, read in readers.items():
            began = time.perf_counter()
            rows[who] = read()
            if number:
                seconds[who].append(time.perf_counter() - began)
    if len(set(rows.values())) != 1:
        raise SystemExit(f"They did not read the same rows: {rows}")
    speed = {who: rows[who] / statistics.median(taken) for who, taken in seconds.items()}
    for who in readers:
        yield Reading(
            lake=lake,
            columns=wanted,
            who=who,
            rows=rows[who],
            rows_a_second=speed[who],
            share=speed[who] / speed["pyarrow.dataset"],
        )


def _readers(files: CuratedFiles) -> Iterator[tuple[str, Read]]:
    columns = list(files.columns)
    paths = [f"{files.place}/{version.key}" for version in files.versions]
    yield "pyarrow.dataset", lambda: _count(ds.dataset(paths, format="parquet").to_batches(columns=columns))
    yield "CuratedDataset", lambda: _count(CuratedDataset(files=files, batch_rows=None).batches())
    yield f"… batches of {BATCH_ROWS:,}", lambda: _count(CuratedDataset(files=files).batches())
    yield "… and shuffled", lambda: _count(CuratedDataset(files=files, seed=1).batches())
    if _is_there("datasets"):
        yield "datasets, streaming", lambda: _count_streamed(paths, columns)


def _count(batches: Any) -> int:
    return sum(batch.num_rows for batch in batches)


def _count_streamed(paths: list[str], columns: list[str]) -> int:
    import datasets

    stream = datasets.load_dataset("parquet", data_files=paths, split="train", streaming=True, columns=columns)
    return sum(batch.num_rows for batch in stream.with_format("arrow").iter(batch_size=BATCH_ROWS))


def _is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _print(readings: Sequence[Reading], machine: dict[str, str]) -> None:
    print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    print(f"\n{'lake':<16} {'columns':<8} {'reader':<26} {'rows':>9} {'rows/s':>12} {'of the scan':>12}")
    for each in readings:
        print(
            f"{each.lake:<16} {each.columns:<8} {each.who:<26} {each.rows:>9,} {each.rows_a_second:>12,.0f} "
            f"{each.share:>12.2f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
