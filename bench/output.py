"""The output of a run, read back from its Parquet files instead of trusting the contender's report.

A separate process reads it, so that it adds nothing to the memory of a contender or of the driver.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True)
class Output:
    """`amount` is the sum of that column: None if a contender did not store it as numbers."""

    rows: int
    bytes: int
    files: int
    columns: int
    partitions: tuple[str, ...]
    amount: float | None


def read_output(folder: Path) -> Output:
    """Rows from the footers, partitions from the folders, and one column in full."""
    paths = sorted(folder.rglob("*.parquet"))
    footers = [pq.read_metadata(path) for path in paths]
    partitions = {path.parent.relative_to(folder).as_posix() for path in paths} - {"."}
    return Output(
        rows=sum(footer.num_rows for footer in footers),
        bytes=sum(path.stat().st_size for path in paths),
        files=len(paths),
        columns=max((len(footer.schema.to_arrow_schema()) for footer in footers), default=0),
        partitions=tuple(sorted(partitions)),
        amount=_amount(paths),
    )


def _amount(paths: list[Path]) -> float | None:
    total = 0.0
    for path in paths:
        column = pq.ParquetFile(path).read(columns=["amount"]).column("amount")
        if not pa.types.is_floating(column.type):
            return None
        total += pc.sum(column).as_py() or 0.0
    return round(total, 2)


if __name__ == "__main__":
    print(json.dumps(asdict(read_output(Path(sys.argv[1])))))
