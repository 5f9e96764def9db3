"""The shredder: lines in, a nested Arrow table and the lines that were set aside out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.shapes import Kind
from lake_pipeline.convert.native.calling import call
from lake_pipeline.convert.native.layout import ASIDE, FULL, FULL_SCOPE, PROGRESS_FIELDS, ROWS, scratch_size
from lake_pipeline.convert.shred.arrays import Arrays, Bytes, Slots
from lake_pipeline.convert.shred.plan import Plan, plan_of

Ints = npt.NDArray[np.int64]


class Shredded:
    """The lines that were taken, `rows`, and those that were set `aside`: numbers of lines, sorted.

    Their values stay where the scan left them until a column is asked for, in the order in which it is wanted.
    """

    def __init__(self, contract: Contract, plan: Plan, arrays: Arrays, rows: Ints, aside: Ints) -> None:
        self._contract = contract
        self._plan = plan
        self._arrays = arrays
        self.rows = rows
        self.aside = aside

    def table(self, picked: Ints) -> pa.Table:
        """The rows with the indexes `picked` (into `rows`), in that order, with the keys of the JSON as columns."""
        # Machine code takes an address and trusts what stands there.
        picked = np.ascontiguousarray(picked, dtype=np.int64)
        columns = self._arrays.of(self._plan.children_of(0), picked)
        if not columns:
            return pa.table({"": pa.nulls(len(picked))}).select([])
        return pa.table(columns, names=list(self._contract.reading.root.fields))

    def plain(self, *paths: Path) -> list[pa.Array] | None:
        """The values of all rows at each of `paths`, where all of these are strings, numbers or booleans; else None."""
        nodes = [self._node(path) for path in paths]
        known = [node for node in nodes if node is not None and self._plan.shapes[node].kind in _PLAIN]
        return self._arrays.of(known, np.arange(len(self.rows))) if len(known) == len(nodes) else None

    def _node(self, path: Path) -> int | None:
        node: int | None = 0
        for key in path:
            node = self._child(node, key) if node is not None else None
        return node

    def _child(self, node: int, key: str) -> int | None:
        fields = self._plan.shapes[node].fields
        return self._plan.children_of(node)[list(fields).index(key)] if key in fields else None


_PLAIN = frozenset({Kind.STRING, Kind.INT, Kind.DOUBLE, Kind.BOOL})


def shred(lines: bytes, count: int, contract: Contract) -> Shredded:
    """Read the `count` lines (each ended by a newline) that fit `contract` exactly; the others are set aside."""
    plan = plan_of(contract.reading)
    text = np.frombuffer(lines, dtype=np.uint8)
    slots = Slots(plan, _room(plan, count))
    progress = np.zeros(PROGRESS_FIELDS, dtype=np.int64)
    counts = np.zeros(plan.scopes, dtype=np.int64)
    rows, aside = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    while _scan(text, plan, slots, counts, rows, aside, progress) == FULL:
        slots = slots.grown(int(progress[FULL_SCOPE]))
    counts[0] = progress[ROWS]
    arrays = Arrays(plan, slots, counts, text)
    return Shredded(contract, plan, arrays, rows[: progress[ROWS]], aside[: progress[ASIDE]])


def _scan(text: Bytes, plan: Plan, slots: Slots, counts: Ints, rows: Ints, aside: Ints, progress: Ints) -> int:
    """Call `scan` of the machine code; why it came back."""
    return call(
        "scan", text, len(text), slots.nodes, len(plan.shapes), plan.child, plan.keys, slots.seen, slots.cells,
        plan.scopes, slots.room, counts, rows, aside, progress, np.empty(scratch_size(plan.scopes), dtype=np.int64),
    )  # fmt: skip


def _room(plan: Plan, count: int) -> Ints:
    """A slot for each line, and room for a few items in each list; scopes that need more grow."""
    room = np.full(plan.scopes, 4 * count + 64, dtype=np.int64)
    room[0] = count
    return room
