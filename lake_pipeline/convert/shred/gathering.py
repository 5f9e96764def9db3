"""Gathering: values out of the slots of a scan in whatever order they are wanted, as buffers of Arrow arrays.

`picked` are the indexes of the slots that are wanted, of all nodes of a scope: those of rows for columns, those of
items for what stands in lists. The work is done in machine code, for all nodes in two calls; here is the memory for it,
two pieces for all of them: to allocate, address and call for each buffer by itself took as long as the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.convert.native.calling import call
from lake_pipeline.convert.native.layout import (
    AS_LIST,
    AS_NOTHING,
    AS_STRUCT,
    AS_TEXTS,
    GATHER_BITS,
    GATHER_DATA,
    GATHER_FIELDS,
    GATHER_FIRST,
    GATHER_FORM,
    GATHER_SIZE,
    GATHER_USED,
    GATHER_VALUES,
    WIDE,
)

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_LINE = 64
"""Buffers begin at multiples of this, as Arrow advises."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """The buffers of a node: the bitmap of what is present (None where nothing is null), the bits, numbers or offsets,
    and the bytes of texts. Of a list, `items` are the indexes of its items in their scope."""

    nulls: int
    valid: pa.Buffer | None
    values: pa.Buffer | None
    data: pa.Buffer | None
    items: Ints | None


def gather(text: Bytes, seen: Bytes, cells: Ints, forms: Ints, firsts: Ints, used: int, picked: Ints) -> list[Gathered]:
    """What stands at `picked` in the slots of some nodes of a scope, in their order.

    `forms` says what is gathered of each (`AS_…`), `firsts` where its slots begin, and `used` how many there are.
    """
    count, number = len(picked), len(forms)
    bits, values = (count + 7) // 8, _sizes(count)[forms]
    table = np.zeros((number, GATHER_FIELDS), dtype=np.int64)
    table[:, GATHER_FORM], table[:, GATHER_FIRST], table[:, GATHER_USED] = forms, firsts, used
    table[:, GATHER_BITS], behind = _placed(np.where(forms == AS_NOTHING, 0, bits), 0)
    table[:, GATHER_VALUES], behind = _placed(values, behind)
    fixed = np.empty(behind, dtype=np.uint8)
    call("gather_fixed", seen, cells, picked, count, table, number, fixed)
    texts, lists = forms == AS_TEXTS, forms == AS_LIST
    of_texts, behind = _placed(np.where(texts, table[:, GATHER_SIZE], 0), 0)
    of_items, all_items = _placed(np.where(lists, 8 * table[:, GATHER_SIZE], 0), 0)
    table[:, GATHER_DATA] = np.where(texts, of_texts, of_items)
    # Items apart, for they are only of use until their own values are gathered.
    rest, items = np.empty(behind + WIDE, dtype=np.uint8), np.empty(all_items, dtype=np.uint8)
    starts = np.empty(used if lists.any() else 0, dtype=np.int64)
    call("gather_rest", text, len(text), seen, cells, picked, count, table, number, fixed, rest, items, starts)
    room = pa.py_buffer(fixed), pa.py_buffer(rest), items
    return [_gathered(room, row, count, bits, size) for row, size in zip(table.tolist(), values.tolist(), strict=True)]


def _gathered(room: tuple[Any, Any, Bytes], row: list[int], count: int, bits: int, values: int) -> Gathered:
    form, _, _, bits_at, values_at, data_at, size, present = row
    fixed, rest, items = room
    has_nulls, has_values = form != AS_NOTHING and present < count, form not in (AS_NOTHING, AS_STRUCT)
    return Gathered(
        nulls=count - present,
        valid=fixed.slice(bits_at, bits) if has_nulls else None,
        # Also where it is empty: without any buffer, pyarrow crashes when it is asked for the size.
        values=fixed.slice(values_at, values) if has_values else None,
        data=rest.slice(data_at, size) if form == AS_TEXTS else None,
        items=items[data_at : data_at + 8 * size].view(np.int64) if form == AS_LIST else None,
    )


def _sizes(count: int) -> Ints:
    """Bytes of the bits, numbers or offsets of so many values, by form."""
    return np.array([0, 0, (count + 7) // 8, 8 * count, 4 * count + 4, 4 * count + 4], dtype=np.int64)


def _placed(sizes: Ints, start: int) -> tuple[Ints, int]:
    """(where buffers of these sizes begin, one behind the other from `start` on, the place behind them)."""
    lines = (sizes + _LINE - 1) // _LINE * _LINE
    ends = start + np.cumsum(lines)
    return ends - lines, int(ends[-1]) if len(ends) else start
