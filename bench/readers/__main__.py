"""Compare readers on the same rows. Exits with 1 if `CuratedDataset` is too slow relative to the bare scan."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars
import pyarrow.compute as pc

from bench.machine import cores, facts, is_busy
from bench.readers import bare
from bench.readers.lakes import curated_files, make_lake, make_large
from lake_pipeline.consume.curated_files import CuratedFiles
from lake_pipeline.consume.dataset import BATCH_ROWS, WINDOW_ROWS, CuratedDataset

TARGET = 0.9
"""Relative to the rows per second of a bare scan, if both read in the order of the files."""

NUMBERS = ("amount", "metrics_latency_ms", "user_id")
"""The columns of a small model."""

READER, BARE = "CuratedDataset", "pyarrow.dataset"

SCAN = "scan"

MEDIAN_AMOUNT = 250.0
"""About half of the generated rows are above it."""

Read = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """`readers` by name that yield the same as `bare`."""

    kind: str
    bare: Read
    readers: dict[str, Read]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The speed of `reader`: medians of all rounds. `ratio` is relative to the bare loop in the same round."""

    lake: str
    columns: str
    kind: str
    reader: str
    rows: int
    rows_per_second: float
    ratio: float


def main() -> int:
    arguments = _arguments()
    # Keep Hugging Face datasets off the network.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(arguments.folder / "hf")}
    if is_busy():
        print("This machine is busy with other work: the figures will be unreliable.", file=sys.stderr)
    machine = facts()
    lake = make_lake(arguments.folder, arguments.bytes, cores())
    readings = [
        reading
        for name, root in (("by day and mode", lake), ("a file a day", make_large(lake)))
        for selection, columns in (("all", None), ("numbers", NUMBERS))
        for contest in _contests(_with(curated_files(root), columns))
        for reading in _compare(name, selection, contest, arguments.rounds)
    ]
    if arguments.json:
        print(json.dumps({"machine": machine, "readings": [asdict(reading) for reading in readings]}, indent=2))
    else:
        _print(readings, machine)
    scans = [reading for reading in readings if (reading.kind, reading.reader) == (SCAN, READER)]
    return 0 if all(reading.ratio >= TARGET for reading in scans) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.readers", description=__doc__)
    parser.add_argument("--bytes", type=int, default=512_000_000, help="raw JSON (default: 512 MB)")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each reader, alternating (default: 9)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for the lakes")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser.parse_args()


def _with(files: CuratedFiles, columns: Sequence[str] | None) -> CuratedFiles:
    return files if columns is None else files.with_columns(columns)


def _compare(lake: str, selection: str, contest: Contest, rounds: int) -> Iterator[Reading]:
    readers = {BARE: contest.bare, **contest.readers}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    rows: dict[str, int] = {}
    # One extra round warms the page cache and initializes everything.
    for number in range(rounds + 1):
        for name, read in readers.items():
            began = time.perf_counter()
            rows[name] = read()
            if number:
                seconds[name].append(time.perf_counter() - began)
    if len(set(rows.values())) != 1:
        raise SystemExit(f"The readers did not read the same rows: {rows}")
    for name, times in seconds.items():
        yield Reading(
            lake=lake,
            columns=selection,
            kind=contest.kind,
            reader=name,
            rows=rows[name],
            rows_per_second=rows[name] / statistics.median(times),
            # Round by round: a machine that slows down slows both.
            ratio=statistics.median(bare / own for bare, own in zip(seconds[BARE], times, strict=True)),
        )


def _contests(files: CuratedFiles) -> Iterator[Contest]:
    paths, columns = [f"{files.location}/{version.key}" for version in files.versions], files.columns
    dataset = CuratedDataset(files=files)

    def in_batches() -> Iterator[Any]:
        return bare.rebatched(bare.scan(paths, columns), BATCH_ROWS)

    yield Contest(
        kind=SCAN,
        bare=lambda: _count(bare.scan(paths, columns)),
        readers={READER: lambda: _count(replace(dataset, batch_rows=None).batches())},
    )
    streamed = {"datasets, streaming": lambda: _count_streamed(paths, columns)} if _is_installed("datasets") else {}
    yield Contest(
        kind=f"batches of {BATCH_ROWS:,}",
        bare=lambda: _count(in_batches()),
        readers={READER: lambda: _count(dataset.batches()), **streamed},
    )
    yield Contest(
        kind="shuffled",
        bare=lambda: _count(bare.shuffled(bare.scan(paths, columns), WINDOW_ROWS, BATCH_ROWS)),
        readers={READER: lambda: _count(replace(dataset, seed=1).batches())},
    )
    where = pc.field("amount") > MEDIAN_AMOUNT
    yield Contest(
        kind="half of the rows",
        bare=lambda: _count(bare.scan(paths, columns, where)),
        readers={READER: lambda: _count(replace(dataset, where=where, batch_rows=None).batches())},
    )
    if columns != NUMBERS:
        # Texts as Python objects are slow in frames and tensors, whichever reader made the batches.
        return
    yield Contest(
        kind="frames of pandas",
        bare=lambda: _count_frames(batch.to_pandas() for batch in in_batches()),
        readers={READER: lambda: _count_frames(dataset.pandas())},
    )
    yield Contest(
        kind="frames of Polars",
        bare=lambda: _count_frames(map(polars.from_arrow, in_batches())),
        readers={READER: lambda: _count_frames(dataset.polars())},
    )
    if _is_installed("torch"):
        yield _torch_contest(dataset, in_batches)


def _torch_contest(dataset: CuratedDataset, in_batches: Callable[[], Iterator[Any]]) -> Contest:
    from lake_pipeline.consume.torch_data import CuratedBatches

    def count(batches: Any) -> int:
        return sum(len(batch[NUMBERS[0]]) for batch in batches)

    return Contest(
        kind="tensors of PyTorch",
        bare=lambda: count(map(bare.tensors, in_batches())),
        readers={READER: lambda: count(CuratedBatches(dataset))},
    )


def _count(batches: Iterable[Any]) -> int:
    return sum(batch.num_rows for batch in batches)


def _count_frames(frames: Iterable[Any]) -> int:
    return sum(map(len, frames))


def _count_streamed(paths: Sequence[str], columns: Sequence[str]) -> int:
    import datasets

    stream = datasets.load_dataset(
        "parquet", data_files=list(paths), split="train", streaming=True, columns=list(columns)
    )
    return _count(stream.with_format("arrow").iter(batch_size=BATCH_ROWS))


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _print(readings: Sequence[Reading], machine: dict[str, str]) -> None:
    print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    print(f"\n{'lake':<16} {'columns':<8} {'yielded as':<19} {'reader':<20} {'rows':>8} {'rows/s':>11} {'of bare':>8}")
    for reading in readings:
        print(
            f"{reading.lake:<16} {reading.columns:<8} {reading.kind:<19} {reading.reader:<20} {reading.rows:>8,} "
            f"{reading.rows_per_second:>11,.0f} {reading.ratio:>8.2f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
