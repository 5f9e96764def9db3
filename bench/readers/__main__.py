"""Read the same rows in turns, and compare. Ends with 1 where the reader is below its share of the bare scan."""

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
from lake_pipeline.consume.dataset import BATCH_ROWS, WINDOW_ROWS, CuratedDataset
from lake_pipeline.consume.files import CuratedFiles

TARGET = 0.9
"""Of the rows a second of a bare scan, when both read in the order of the files."""

NUMBERS = ("amount", "metrics_latency_ms", "user_id")
"""What a small model reads."""

READER, BARE = "CuratedDataset", "pyarrow.dataset"

SCAN = "as they are read"

MEDIAN_AMOUNT = 250.0
"""About half of the generated rows have more."""

Read = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """`readers` that hand out the same as `bare`, by name."""

    kind: str
    bare: Read
    readers: dict[str, Read]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How fast `who` read `columns` of a lake as `kind`: medians of all rounds. `share` is of what the bare loop did in
    the same round."""

    lake: str
    columns: str
    kind: str
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
        for contest in _contests(_with(curated_files(root), columns))
        for reading in _compare(name, wanted, contest, arguments.rounds)
    ]
    if arguments.json:
        print(json.dumps({"machine": machine, "readings": [asdict(each) for each in readings]}, indent=2))
    else:
        _print(readings, machine)
    return 0 if all(each.share >= TARGET for each in readings if (each.kind, each.who) == (SCAN, READER)) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.readers", description=__doc__)
    parser.add_argument("--bytes", type=int, default=512_000_000, help="of raw JSON (default: 512 MB)")
    parser.add_argument("--rounds", type=int, default=9, help="of each reader, in turns (default: 9)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for the lakes")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser.parse_args()


def _with(files: CuratedFiles, columns: Sequence[str] | None) -> CuratedFiles:
    return files if columns is None else files.with_columns(columns)


def _compare(lake: str, wanted: str, contest: Contest, rounds: int) -> Iterator[Reading]:
    readers = {BARE: contest.bare, **contest.readers}
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
    for who, taken in seconds.items():
        yield Reading(
            lake=lake,
            columns=wanted,
            kind=contest.kind,
            who=who,
            rows=rows[who],
            rows_a_second=rows[who] / statistics.median(taken),
            # Round by round: a machine that gets slower is slower for both.
            share=statistics.median(bare / own for bare, own in zip(seconds[BARE], taken, strict=True)),
        )


def _contests(files: CuratedFiles) -> Iterator[Contest]:
    paths, columns = [f"{files.place}/{version.key}" for version in files.versions], files.columns
    dataset = CuratedDataset(files=files)

    def in_batches() -> Iterator[Any]:
        return bare.rebatched(bare.scan(paths, columns), BATCH_ROWS)

    yield Contest(
        kind=SCAN,
        bare=lambda: _count(bare.scan(paths, columns)),
        readers={READER: lambda: _count(replace(dataset, batch_rows=None).batches())},
    )
    streamed = {"datasets, streaming": lambda: _count_streamed(paths, columns)} if _is_there("datasets") else {}
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
        # Texts as objects of Python are slow in frames and tensors, whoever made the batches.
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
    if _is_there("torch"):
        yield _of_torch(dataset, in_batches)


def _of_torch(dataset: CuratedDataset, in_batches: Callable[[], Iterator[Any]]) -> Contest:
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


def _is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _print(readings: Sequence[Reading], machine: dict[str, str]) -> None:
    print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    print(
        f"\n{'lake':<16} {'columns':<8} {'handed out as':<19} {'reader':<20} {'rows':>8} {'rows/s':>11} {'of bare':>8}"
    )
    for each in readings:
        print(
            f"{each.lake:<16} {each.columns:<8} {each.kind:<19} {each.who:<20} {each.rows:>8,} "
            f"{each.rows_a_second:>11,.0f} {each.share:>8.2f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
