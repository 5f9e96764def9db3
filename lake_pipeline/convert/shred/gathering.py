"""Gathering: values out of the slots of a scan in whatever order they are wanted, in compiled code.

`picked` are the indexes of the slots that are wanted, of one node: those of rows for a column, those of items for what
stands in lists. Bits are packed as Arrow has them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lake_pipeline.convert.shred.values import hex4
from lake_pipeline.convert.shred.words import WIDE, byte_at, copy_wide, put_byte

UNSEEN, PRESENT, NULL = 0, 1, 2
"""What `seen` says of a slot."""

LENGTH = np.int64(0x7FFFFFFF)
START = np.int64(0xFFFFFFFF)
"""Of a text's cell: where it starts (32 bits) and, above that, how many bytes it has; the sign tells of escapes."""

_ESCAPED = np.zeros(256, dtype=np.uint8)
_ESCAPED[[34, 92, 47, 98, 102, 110, 114, 116]] = [34, 92, 47, 8, 12, 10, 13, 9]


@njit(cache=True, nogil=True)
def gather_validity(seen, picked):
    """(bitmap of what is present, nulls)."""
    bits = np.zeros((len(picked) + 7) // 8, dtype=np.uint8)
    present = 0
    for index in range(len(picked)):
        if seen[picked[index]] == PRESENT:
            bits[index >> 3] |= np.uint8(1 << (index & 7))
            present += 1
    return bits, len(picked) - present


@njit(cache=True, nogil=True)
def gather_numbers(cells, picked):
    """The cells themselves."""
    values = np.empty(len(picked), dtype=np.int64)
    for index in range(len(picked)):
        values[index] = cells[picked[index]]
    return values


@njit(cache=True, nogil=True)
def gather_bits(cells, picked):
    """A bitmap of the cells that are not zero."""
    bits = np.zeros((len(picked) + 7) // 8, dtype=np.uint8)
    for index in range(len(picked)):
        if cells[picked[index]] != 0:
            bits[index >> 3] |= np.uint8(1 << (index & 7))
    return bits


@njit(cache=True, nogil=True)
def gather_items(seen, cells, used, picked):
    """Of lists: (offsets, indexes of their items in the items' scope). `used` are all slots of the list in use."""
    starts = np.empty(used, dtype=np.int64)
    total = 0
    for slot in range(used):
        starts[slot] = total
        if seen[slot] == PRESENT:
            total += cells[slot]
    offsets = np.zeros(len(picked) + 1, dtype=np.int32)
    wanted = 0
    for index in range(len(picked)):
        if seen[picked[index]] == PRESENT:
            wanted += cells[picked[index]]
        offsets[index + 1] = wanted
    items = np.empty(wanted, dtype=np.int64)
    into = 0
    for index in range(len(picked)):
        slot = picked[index]
        if seen[slot] == PRESENT:
            for item in range(starts[slot], starts[slot] + cells[slot]):
                items[into] = item
                into += 1
    return offsets, items


@njit(cache=True, nogil=True)
def gather_texts(text, size, seen, cells, picked):
    """Offsets and bytes of strings, escapes resolved. `text` is the address of the lines, `size` how many bytes."""
    offsets = np.zeros(len(picked) + 1, dtype=np.int32)
    total = 0
    for index in range(len(picked)):
        if seen[picked[index]] == PRESENT:
            total += (cells[picked[index]] >> 32) & LENGTH
        offsets[index + 1] = total
    # Room to copy more than there is, which is faster than to ask how much there is.
    room = np.empty(total + WIDE, dtype=np.uint8)
    data = np.int64(room.ctypes.data)
    limit = size - WIDE
    for index in range(len(picked)):
        cell = cells[picked[index]]
        if seen[picked[index]] == PRESENT:
            start, at = cell & START, np.int64(offsets[index])
            if cell < 0:
                _unescape(text, start, data, at)
            else:
                _copy(text, start, data, at, (cell >> 32) & LENGTH, limit)
    return offsets, room[:total]


@njit(cache=True, nogil=True, forceinline=True)
def _copy(text, start, data, at, length, limit):
    """Copy so many bytes, and what comes behind them as it may: it is overwritten next."""
    copied = 0
    while copied < length and start + copied <= limit:
        copy_wide(text, start + copied, data, at + copied)
        copied += WIDE
    for offset in range(copied, length):
        put_byte(data, at + offset, byte_at(text, start + offset))


@njit(cache=True, nogil=True)
def _unescape(text, at, data, into):
    """Copy a string that the scan found sound, up to its closing quote."""
    while byte_at(text, at) != 34:
        if byte_at(text, at) != 92:
            put_byte(data, into, byte_at(text, at))
            into += 1
            at += 1
        elif byte_at(text, at + 1) != 117:
            put_byte(data, into, _ESCAPED[byte_at(text, at + 1)])
            into += 1
            at += 2
        else:
            code = hex4(text, at + 2)
            at += 6
            if 0xD800 <= code <= 0xDBFF:
                code = 0x10000 + ((code - 0xD800) << 10) + (hex4(text, at + 2) - 0xDC00)
                at += 6
            into = _encode(code, data, into)


@njit(cache=True, nogil=True)
def _encode(code, data, into):
    """Write a character as UTF-8; returns the place behind it."""
    if code < 0x80:
        put_byte(data, into, np.uint8(code))
        return into + 1
    if code < 0x800:
        put_byte(data, into, np.uint8(0xC0 | (code >> 6)))
    else:
        if code < 0x10000:
            put_byte(data, into, np.uint8(0xE0 | (code >> 12)))
        else:
            put_byte(data, into, np.uint8(0xF0 | (code >> 18)))
            into += 1
            put_byte(data, into, np.uint8(0x80 | ((code >> 12) & 0x3F)))
        into += 1
        put_byte(data, into, np.uint8(0x80 | ((code >> 6) & 0x3F)))
    into += 1
    put_byte(data, into, np.uint8(0x80 | (code & 0x3F)))
    return into + 1
