"""Gathering: values from the slots of a scan, in any order, as buffers of Arrow arrays.

`picks` are the indexes of the slots to gather, for all nodes of a scope: rows for columns, items for what is in lists.
Machine code does the work for all nodes in two calls. This module allocates the memory, in two pieces for all nodes:
allocating, addressing and calling for each buffer took as long as the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.convert.native.call import call
from lake_pipeline.convert.native.layout import GATHER, VECTOR_BYTES, Gather, GatherForm

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_NONE, _STRUCT, _STRING, _LIST = (
    int(form) for form in (GatherForm.NONE, GatherForm.STRUCT, GatherForm.STRING, GatherForm.LIST)
)  # comparing with members of an enum, for every node of a block, took a tenth of gathering

_ALIGNMENT = 64
"""Buffers begin at multiples of this, as Arrow recommends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeBuffers:
    """The buffers of a node: the validity bitmap (None if nothing is null), bits, numbers or offsets, and strings.

    For a list, `items` are the indexes of its items in their scope.
    """

    null_count: int
    validity: pa.Buffer | None
    values: pa.Buffer | None
    data: pa.Buffer | None
    items: Ints | None


def gather(
    text: Bytes, states: Bytes, cells: Ints, forms: Ints, first: Ints, used: int, picks: Ints
) -> list[NodeBuffers]:
    """The buffers of some nodes of a scope, in their order.

    `forms` has a `GatherForm` per node, `first` its first slot, and `used` is the number of its slots in use.
    """
    count, node_count = len(picks), len(forms)
    bitmap, values = (count + 7) // 8, _value_sizes(count)[forms]
    table = np.zeros((node_count, len(GATHER)), dtype=np.int64)
    table[:, GATHER.form], table[:, GATHER.first_slot], table[:, GATHER.used_slots] = forms, first, used
    table[:, GATHER.validity], end = _offsets(np.where(forms == GatherForm.NONE, 0, bitmap), 0)
    table[:, GATHER.values], end = _offsets(values, end)
    fixed = np.empty(end, dtype=np.uint8)
    call("gather_fixed", states, cells, picks, count, table, node_count, fixed)
    strings, lists = forms == GatherForm.STRING, forms == GatherForm.LIST
    string_offsets, strings_size = _offsets(np.where(strings, table[:, GATHER.size], 0), 0)
    item_offsets, items_size = _offsets(np.where(lists, 8 * table[:, GATHER.size], 0), 0)
    table[:, GATHER.data] = np.where(strings, string_offsets, item_offsets)
    # Items are separate, because they are needed only until their own values are gathered.
    data, items = np.empty(strings_size + VECTOR_BYTES, dtype=np.uint8), np.empty(items_size, dtype=np.uint8)
    starts = np.empty(used if lists.any() else 0, dtype=np.int64)
    call(
        "gather_variable", text, len(text), states, cells, picks, count, table, node_count, fixed, data, items, starts
    )  # fmt: skip
    memory = pa.py_buffer(fixed), pa.py_buffer(data), items
    return [
        _buffers(memory, Gather(*row), count, bitmap, size)
        for row, size in zip(table.tolist(), values.tolist(), strict=True)
    ]


def _buffers(memory: tuple[Any, Any, Bytes], node: Gather, count: int, bitmap: int, values: int) -> NodeBuffers:
    fixed, data, items = memory
    form = node.form
    return NodeBuffers(
        null_count=count - node.present,
        validity=fixed.slice(node.validity, bitmap) if form != _NONE and node.present < count else None,
        # Even if it is empty: pyarrow crashes if the size of an array without this buffer is requested.
        values=fixed.slice(node.values, values) if form not in (_NONE, _STRUCT) else None,
        data=data.slice(node.data, node.size) if form == _STRING else None,
        items=items[node.data : node.data + 8 * node.size].view(np.int64) if form == _LIST else None,
    )


def _value_sizes(count: int) -> Ints:
    """The bytes of the bits, numbers or offsets of `count` values, by form."""
    sizes = np.zeros(len(GatherForm), dtype=np.int64)
    sizes[GatherForm.BITS] = (count + 7) // 8
    sizes[GatherForm.INT64] = 8 * count
    sizes[[GatherForm.STRING, GatherForm.LIST]] = 4 * count + 4
    return sizes


def _offsets(sizes: Ints, start: int) -> tuple[Ints, int]:
    """(where buffers of these sizes begin if `start` is the first, the end of the last)."""
    padded = (sizes + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
    ends = start + np.cumsum(padded)
    return ends - padded, int(ends[-1]) if len(ends) else start
