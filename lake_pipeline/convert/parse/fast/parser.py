"""The parser: lines in; a nested Arrow table and the lines that were rejected out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.shapes import Kind
from lake_pipeline.convert.native.call import address_of, call
from lake_pipeline.convert.native.layout import PROGRESS, Scan, ScanStatus, scratch_size
from lake_pipeline.convert.parse.fast.arrays import Arrays, Bytes, Slots
from lake_pipeline.convert.parse.fast.plan import Plan, plan_of

Ints = npt.NDArray[np.int64]


class FastResult:
    """The lines that were read, `rows`, and those that were `rejected`: line numbers, sorted.

    Values stay in the slots of the scan until a column is requested, in the order that the caller needs.
    """

    def __init__(self, contract: Contract, plan: Plan, arrays: Arrays, rows: Ints, rejected: Ints) -> None:
        self._contract = contract
        self._plan = plan
        self._arrays = arrays
        self.rows = rows
        self.rejected = rejected

    def table(self, picks: Ints) -> pa.Table:
        """The rows with the indexes `picks` (into `rows`), in that order, with the keys of the JSON as columns."""
        # Machine code takes an address and trusts its content.
        picks = np.ascontiguousarray(picks, dtype=np.int64)
        columns = self._arrays.of(self._plan.children_of(0), picks)
        if not columns:
            return pa.table({"": pa.nulls(len(picks))}).select([])
        return pa.table(columns, names=list(self._contract.parser_rules.root.fields))

    def scalars(self, *paths: Path) -> list[pa.Array] | None:
        """The values of all rows at each path, if all are strings, numbers or booleans; else None.

        A path that no row has, because its field is not in the contract, has nulls.
        """
        nodes = [self._node(path) for path in paths]
        found = [node for node in nodes if node is not None]
        if any(self._plan.shapes[node].kind not in _SCALARS for node in found):
            return None
        arrays = iter(self._arrays.of(found, np.arange(len(self.rows))))
        return [pa.nulls(len(self.rows)) if node is None else next(arrays) for node in nodes]

    def _node(self, path: Path) -> int | None:
        """The node at `path`, or one above it that is read as a whole; None if the rows have no such field."""
        node = 0
        for key in path:
            shape = self._plan.shapes[node]
            if key not in shape.fields:
                return None if shape.kind in _WITHOUT_MORE else node
            node = self._plan.children_of(node)[list(shape.fields).index(key)]
        return node


FIRST_ITEMS = 4
"""Slots per line for the items of each list, at first."""

_SCALARS = frozenset({Kind.STRING, Kind.INT, Kind.DOUBLE, Kind.BOOL})
_WITHOUT_MORE = _SCALARS | {Kind.STRUCT}
"""Kinds of values that have no fields besides those in the contract, if their rows fit it."""


def parse_fast(lines: bytes, count: int, contract: Contract) -> FastResult:
    """Read the `count` lines (each ended by a newline) that fit `contract` exactly, and reject the others."""
    plan = plan_of(contract.parser_rules)
    text = np.frombuffer(lines, dtype=np.uint8)
    slots = Slots(plan, _first_capacity(plan, count))
    progress = np.zeros(len(PROGRESS), dtype=np.int64)
    counts = np.zeros(plan.scope_count, dtype=np.int64)
    rows, rejected = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    while _scan(text, plan, slots, counts, rows, rejected, progress) == ScanStatus.FULL:
        slots = slots.grow(int(progress[PROGRESS.full_scope]))
    counts[0] = progress[PROGRESS.rows]
    arrays = Arrays(plan, slots, counts, text)
    return FastResult(
        contract, plan, arrays, rows[: progress[PROGRESS.rows]], rejected[: progress[PROGRESS.rejected]]
    )  # fmt: skip


def _scan(text: Bytes, plan: Plan, slots: Slots, counts: Ints, rows: Ints, rejected: Ints, progress: Ints) -> int:
    """Call the scan; returns its `ScanStatus`."""
    scratch = np.empty(scratch_size(plan.scope_count), dtype=np.int64)
    arguments = Scan(
        text=address_of(text),
        size=len(text),
        nodes=address_of(slots.nodes),
        node_count=len(plan.shapes),
        children=address_of(plan.children),
        keys=address_of(plan.keys),
        states=address_of(slots.states),
        cells=address_of(slots.cells),
        scope_count=plan.scope_count,
        capacity=address_of(slots.capacity),
        counts=address_of(counts),
        rows=address_of(rows),
        rejected=address_of(rejected),
        progress=address_of(progress),
        scratch=address_of(scratch),
    )
    return call("scan", np.array(arguments, dtype=np.int64))


def slots_per_record(contract: Contract) -> int:
    """The slots that each record adds to the memory of `parse_fast` at first, whatever values it has."""
    plan = plan_of(contract.parser_rules)
    in_lists = int(np.count_nonzero(plan.scopes))
    return len(plan.shapes) - in_lists + FIRST_ITEMS * in_lists


def _first_capacity(plan: Plan, count: int) -> Ints:
    """A slot per line, and some for items of each list; scopes that need more grow."""
    capacity = np.full(plan.scope_count, FIRST_ITEMS * count + 64, dtype=np.int64)
    capacity[0] = count
    return capacity
