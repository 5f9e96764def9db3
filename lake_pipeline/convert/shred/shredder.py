"""The shredder: lines in, a nested Arrow table and the lines that were set aside out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.shred.arrays import Arrays, Slots
from lake_pipeline.convert.shred.plan import Plan, plan_of
from lake_pipeline.convert.shred.scan import FULL, scan

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Shredded:
    """`table` has a row for each of the lines `rows`; the others are `aside`. Both are numbers of lines, sorted."""

    table: pa.Table
    rows: Ints
    aside: Ints


def shred(lines: bytes, count: int, contract: Contract) -> Shredded:
    """Read the `count` lines (each ended by a newline) that fit `contract` exactly; the others are set aside."""
    plan = plan_of(contract.reading.root)
    text = np.frombuffer(lines, dtype=np.uint8)
    slots = Slots(plan, _room(plan, count))
    progress = np.zeros(5, dtype=np.int64)
    counts = np.zeros(plan.scopes, dtype=np.int64)
    rows, aside = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    taken = (slots.base, slots.room, slots.seen, slots.cells)
    while scan(text, progress, *plan.tables, *taken, counts, rows, aside) == FULL:  # type: ignore[call-arg]
        slots = slots.grown(int(progress[4]))
        taken = (slots.base, slots.room, slots.seen, slots.cells)
    counts[0] = progress[2]
    arrays = Arrays(plan, slots, counts, text)
    return Shredded(
        table=_table(plan, arrays, contract, int(progress[2])),
        rows=rows[: progress[2]],
        aside=aside[: progress[3]],
    )


def _room(plan: Plan, count: int) -> Ints:
    """A slot for each line, and room for a few items in each list; scopes that need more grow."""
    room = np.full(plan.scopes, 4 * count + 64, dtype=np.int64)
    room[0] = count
    return room


def _table(plan: Plan, arrays: Arrays, contract: Contract, rows: int) -> pa.Table:
    columns = [arrays.of(node) for node in plan.children_of(0)]
    if not columns:
        return pa.table({"": pa.nulls(rows)}).select([])
    return pa.table(columns, names=list(contract.reading.root.fields))
