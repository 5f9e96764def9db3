"""Gathering: values from the slots of a scan, in any order, for many nodes in one call.

`picks` is the address of the indexes of the slots to gather, in order. They are the same for all nodes of a scope: rows
for columns, items for what is in lists. Bitmaps have Arrow's bit order.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import GATHER, GATHER_BYTES, VECTOR_BYTES, GatherForm, SlotState
from lake_pipeline.convert.native.source.ascii import (
    BACKSLASH,
    BACKSPACE,
    FORM_FEED,
    LOWER_B,
    LOWER_F,
    LOWER_N,
    LOWER_R,
    LOWER_T,
    LOWER_U,
    NEWLINE,
    QUOTE,
    RETURN,
    SLASH,
    TAB,
)
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    copy_vector,
    load_byte,
    load_int32,
    load_int64,
    prefetch,
    store_byte,
    store_int32,
    store_int64,
)
from lake_pipeline.convert.native.source.json_values import hex4

_LENGTH = np.int64(0x7FFFFFFF)
_START = np.int64(0xFFFFFFFF)
"""Parts of a string's cell: its start (32 bits) and above that its decoded bytes; the sign is set if it has escapes."""

_PREFETCH = 16
"""Strings ahead of the one that is copied: the text of a block is larger than the cache."""

_UNESCAPED = np.zeros(256, dtype=np.uint8)
_UNESCAPED[[QUOTE, BACKSLASH, SLASH, LOWER_B, LOWER_F, LOWER_N, LOWER_R, LOWER_T]] = [
    QUOTE, BACKSLASH, SLASH, BACKSPACE, FORM_FEED, NEWLINE, RETURN, TAB,
]  # fmt: skip


@compiled
def gather_fixed(states, cells, picks, count, nodes, node_count, target):
    """Writes bitmaps, numbers and offsets of all nodes to `target`, and to `nodes` the size of what is variable."""
    for number in range(node_count):
        node = nodes + GATHER_BYTES * number
        form, first = load_int64(node, GATHER.form), load_int64(node, GATHER.first_slot)
        node_states, node_cells, values = states + first, cells + 8 * first, target + load_int64(node, GATHER.values)
        if form == GatherForm.NONE:
            continue
        bits = target + load_int64(node, GATHER.validity)
        store_int64(node, GATHER.present, _gather_validity(node_states, picks, count, bits))
        if form == GatherForm.BITS:
            _gather_bits(node_cells, picks, count, values)
        elif form == GatherForm.INT64:
            _gather_int64(node_cells, picks, count, values)
        elif form == GatherForm.STRING:
            store_int64(node, GATHER.size, _string_offsets(node_states, node_cells, picks, count, values))
        elif form == GatherForm.LIST:
            store_int64(node, GATHER.size, _list_offsets(node_states, node_cells, picks, count, values))
    return 0


@compiled
def gather_variable(
    text, size, states, cells, picks, count, nodes, node_count, offsets, target, items, starts
):  # fmt: skip
    """Writes what the offsets refer to: bytes of strings to `target`, indexes of items to `items`.

    `target` has `VECTOR_BYTES` spare bytes at its end: copying too much is faster than checking how much there is.
    `starts` has room for an integer per slot of a list.
    """
    for number in range(node_count):
        node = nodes + GATHER_BYTES * number
        form, first = load_int64(node, GATHER.form), load_int64(node, GATHER.first_slot)
        node_states, node_cells, at = states + first, cells + 8 * first, load_int64(node, GATHER.data)
        if form == GatherForm.STRING:
            node_offsets = offsets + load_int64(node, GATHER.values)
            _gather_strings(text, size, node_states, node_cells, picks, count, node_offsets, target + at)
        elif form == GatherForm.LIST:
            used = load_int64(node, GATHER.used_slots)
            _gather_items(node_states, node_cells, used, picks, count, starts, items + at)
    return 0


@compiled
def _gather_validity(states, picks, count, bits):
    """Writes a bitmap of the values that are not null; returns the number of them."""
    present = packed = 0
    for index in range(count):
        bit = np.int64(load_byte(states, load_int64(picks, index)) == SlotState.PRESENT)
        present += bit
        packed = _pack(bits, packed, index, bit)
    _pack_rest(bits, packed, count)
    return present


@compiled
def _gather_bits(cells, picks, count, bits):
    """Writes a bitmap of the cells that are not zero."""
    packed = 0
    for index in range(count):
        packed = _pack(bits, packed, index, np.int64(load_int64(cells, load_int64(picks, index)) != 0))
    _pack_rest(bits, packed, count)
    return 0


@inlined
def _pack(bits, packed, index, bit):
    """Append a bit; returns the bits of the byte that is not full yet."""
    packed |= bit << (index & 7)
    if index & 7 == 7:
        store_byte(bits, index >> 3, np.uint8(packed))
        return 0
    return packed


@inlined
def _pack_rest(bits, packed, count):
    if count & 7:
        store_byte(bits, count >> 3, np.uint8(packed))


@compiled
def _gather_int64(cells, picks, count, values):
    for index in range(count):
        store_int64(values, index, load_int64(cells, load_int64(picks, index)))
    return 0


@compiled
def _list_offsets(states, cells, picks, count, offsets):
    """Writes the offsets of lists; returns the number of all items."""
    total = 0
    store_int32(offsets, 0, 0)
    for index in range(count):
        slot = load_int64(picks, index)
        if load_byte(states, slot) == SlotState.PRESENT:
            total += load_int64(cells, slot)
        store_int32(offsets, index + 1, total)
    return total


@compiled
def _gather_items(states, cells, used, picks, count, starts, items):
    """Writes the indexes of items in their own scope. The list has `used` slots, and `starts` has room for each."""
    total = 0
    for slot in range(used):
        store_int64(starts, slot, total)
        if load_byte(states, slot) == SlotState.PRESENT:
            total += load_int64(cells, slot)
    into = 0
    for index in range(count):
        slot = load_int64(picks, index)
        if load_byte(states, slot) == SlotState.PRESENT:
            start = load_int64(starts, slot)
            for item in range(start, start + load_int64(cells, slot)):
                store_int64(items, into, item)
                into += 1
    return into


@compiled
def _string_offsets(states, cells, picks, count, offsets):
    """Writes the offsets of strings; returns the number of all bytes."""
    total = 0
    store_int32(offsets, 0, 0)
    for index in range(count):
        slot = load_int64(picks, index)
        if load_byte(states, slot) == SlotState.PRESENT:
            total += (load_int64(cells, slot) >> 32) & _LENGTH
        store_int32(offsets, index + 1, total)
    return total


@compiled
def _gather_strings(text, size, states, cells, picks, count, offsets, data):
    """Writes the bytes of strings, decoded."""
    limit = size - VECTOR_BYTES
    for index in range(count):
        if index + _PREFETCH < count:
            prefetch(text, load_int64(cells, load_int64(picks, index + _PREFETCH)) & _START)
        slot = load_int64(picks, index)
        if load_byte(states, slot) == SlotState.PRESENT:
            cell = load_int64(cells, slot)
            start, at = cell & _START, load_int32(offsets, index)
            if cell < 0:
                _unescape(text, start, data, at)
            else:
                _copy(text, start, data, at, (cell >> 32) & _LENGTH, limit)
    return 0


@inlined
def _copy(text, start, data, at, length, limit):
    """Copy `length` bytes, and possibly some more, which the next string overwrites."""
    copied = 0
    while copied < length and start + copied <= limit:
        copy_vector(text, start + copied, data, at + copied)
        copied += VECTOR_BYTES
    for offset in range(copied, length):
        store_byte(data, at + offset, load_byte(text, start + offset))


@compiled
def _unescape(text, at, data, into):
    """Decode a string that the scan accepted, up to its closing quote."""
    while load_byte(text, at) != QUOTE:
        if load_byte(text, at) != BACKSLASH:
            store_byte(data, into, load_byte(text, at))
            into += 1
            at += 1
        elif load_byte(text, at + 1) != LOWER_U:
            store_byte(data, into, _UNESCAPED[load_byte(text, at + 1)])
            into += 1
            at += 2
        else:
            code = hex4(text, at + 2)
            at += 6
            if 0xD800 <= code <= 0xDBFF:
                code = 0x10000 + ((code - 0xD800) << 10) + (hex4(text, at + 2) - 0xDC00)
                at += 6
            into = _encode(code, data, into)


@compiled
def _encode(code, data, into):
    """Write a character as UTF-8; returns the offset after it."""
    if code < 0x80:
        store_byte(data, into, np.uint8(code))
        return into + 1
    if code < 0x800:
        store_byte(data, into, np.uint8(0xC0 | (code >> 6)))
    else:
        if code < 0x10000:
            store_byte(data, into, np.uint8(0xE0 | (code >> 12)))
        else:
            store_byte(data, into, np.uint8(0xF0 | (code >> 18)))
            into += 1
            store_byte(data, into, np.uint8(0x80 | ((code >> 12) & 0x3F)))
        into += 1
        store_byte(data, into, np.uint8(0x80 | ((code >> 6) & 0x3F)))
    into += 1
    store_byte(data, into, np.uint8(0x80 | (code & 0x3F)))
    return into + 1
