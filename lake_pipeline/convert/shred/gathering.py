"""Gathering: values out of the slots of a scan in whatever order they are wanted, as buffers of Arrow arrays.

`picked` are the indexes of the slots that are wanted, of one node: those of rows for a column, those of items for what
stands in lists. Bits are packed as Arrow has them. The work is done in machine code; here is the memory for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.calling import call
from lake_pipeline.convert.native.layout import WIDE

Ints = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


def gather_validity(seen: Bytes, picked: Ints) -> tuple[Bytes, int]:
    """(bitmap of what is present, nulls)."""
    bits = _bits(picked)
    return bits, len(picked) - call("gather_validity", seen, picked, len(picked), bits)


def gather_numbers(cells: Ints, picked: Ints) -> Ints:
    """The cells themselves."""
    values = np.empty(len(picked), dtype=np.int64)
    call("gather_numbers", cells, picked, len(picked), values)
    return values


def gather_bits(cells: Ints, picked: Ints) -> Bytes:
    """A bitmap of the cells that are not zero."""
    bits = _bits(picked)
    call("gather_bits", cells, picked, len(picked), bits)
    return bits


def gather_items(seen: Bytes, cells: Ints, picked: Ints) -> tuple[Offsets, Ints]:
    """Of lists: (offsets, indexes of their items in the items' scope). `seen` and `cells` are of all slots in use."""
    offsets = np.empty(len(picked) + 1, dtype=np.int32)
    items = np.empty(call("list_offsets", seen, cells, picked, len(picked), offsets), dtype=np.int64)
    starts = np.empty(len(seen), dtype=np.int64)
    call("gather_items", seen, cells, len(seen), picked, len(picked), starts, items)
    return offsets, items


def gather_texts(text: Bytes, seen: Bytes, cells: Ints, picked: Ints) -> tuple[Offsets, Bytes]:
    """Offsets and bytes of strings that stand in `text`, escapes resolved."""
    offsets = np.empty(len(picked) + 1, dtype=np.int32)
    size = call("text_offsets", seen, cells, picked, len(picked), offsets)
    data = np.empty(size + WIDE, dtype=np.uint8)
    call("gather_texts", text, len(text), seen, cells, picked, len(picked), offsets, data)
    return offsets, data[:size]


def _bits(picked: Ints) -> Bytes:
    """Room for a bit of each."""
    return np.empty((len(picked) + 7) // 8, dtype=np.uint8)
