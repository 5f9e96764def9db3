"""Dictionaries: the distinct values of a column in order of appearance, and for each value its code.

Values that do not repeat are given up early. Most columns of a file are unique, and building a dictionary to discard it
costs as much as the rest of the column.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import MAX_DICTIONARY_VALUES, MIN_HASH_SLOTS, NO_DICTIONARY, VECTOR_BYTES
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    copy_vector,
    load_int32,
    load_int64,
    load_uint64,
    store_int32,
    store_int64,
    store_uint64,
)

_FIRST, _SECOND, _SAMPLE = 512, 2048, 4096
"""Values after which repetition is checked."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_BITS = np.uint64(8)


@inlined
def _is_unique(count, distinct):
    """Whether a sample has more distinct values than one of a column with a useful dictionary."""
    return (
        (count == _FIRST and distinct > 486)
        or (count == _SECOND and distinct > 1536)
        or (count == _SAMPLE and distinct > 2048)
    )


@inlined
def _mixed(hashed, word):
    hashed = (hashed ^ word) * _MIX
    return hashed ^ (hashed >> _HALF)


@inlined
def _slot_of(hashed, slots):
    """The slot of a hash, from its highest bits. Only these depend on all input bits: the lowest bits are equal for all
    doubles without a fraction and for strings that differ only at their end."""
    return np.int64((np.uint64(hashed) >> _HALF) * np.uint64(slots) >> _HALF)


@inlined
def _clear(table, slots):
    for slot in range(slots):
        store_int32(table, slot, 0)


@compiled
def _grow(table, slots, hashes, distinct):
    """Rebuild the table with four times the slots, from the hashes of the distinct values."""
    slots *= 4
    _clear(table, slots)
    for entry in range(distinct):
        slot = _slot_of(load_int64(hashes, entry), slots)
        while load_int32(table, slot) != 0:
            slot = (slot + 1) & (slots - 1)
        store_int32(table, slot, entry + 1)
    return slots


@compiled
def dictionary_of_int64(values, count, max_bytes, table, hashes, codes, target):
    """Encode 64-bit values: writes the code of each, and a dictionary of at most `max_bytes`.

    Returns the number of its values, or `NO_DICTIONARY`. `table` and `hashes` are scratch memory.
    """
    slots, distinct = MIN_HASH_SLOTS, 0
    _clear(table, slots)
    for at in range(count):
        if _is_unique(at, distinct):
            return NO_DICTIONARY
        word = load_uint64(values, 8 * at)
        hashed = np.int64(_mixed(np.uint64(0), word))
        slot = _slot_of(hashed, slots)
        entry = load_int32(table, slot)
        while entry != 0 and load_uint64(target, 8 * (entry - 1)) != word:
            slot = (slot + 1) & (slots - 1)
            entry = load_int32(table, slot)
        if entry == 0:
            if distinct == MAX_DICTIONARY_VALUES or 8 * distinct + 8 > max_bytes:
                return NO_DICTIONARY
            store_uint64(target, 8 * distinct, word)
            store_int64(hashes, distinct, hashed)
            distinct += 1
            entry = distinct
            store_int32(table, slot, entry)
            if 2 * distinct > slots:
                slots = _grow(table, slots, hashes, distinct)
        store_int32(codes, at, entry - 1)
    return distinct if 2 * distinct <= count else NO_DICTIONARY


@inlined
def _hash_of(text, size):
    """The hash of `size` bytes, after which `VECTOR_BYTES` more can be loaded."""
    hashed = np.uint64(size)
    at = 0
    while at + 8 <= size:
        hashed = _mixed(hashed, load_uint64(text, at))
        at += 8
    if at < size:
        hashed = _mixed(hashed, load_uint64(text, at) << (_BITS * np.uint64(8 - (size - at))))
    return np.int64(hashed)


@inlined
def _is_equal(text, other, size):
    at = 0
    while at + 8 <= size:
        if load_uint64(text, at) != load_uint64(other, at):
            return False
        at += 8
    return at == size or (load_uint64(text, at) ^ load_uint64(other, at)) << (_BITS * np.uint64(8 - (size - at))) == 0


@compiled
def dictionary_of_bytes(values, count, width, max_bytes, table, hashes, offsets, codes, target):
    """Encode values of `width` bytes, or strings with length prefixes if that is 0, like `dictionary_of_int64`.

    Writes to `offsets` where each distinct value begins, and last the size of the dictionary.
    """
    slots, distinct, at, into = MIN_HASH_SLOTS, 0, 0, 0
    _clear(table, slots)
    for number in range(count):
        if _is_unique(number, distinct):
            return NO_DICTIONARY
        size = width if width else load_int32(values + at, 0) + 4
        hashed = _hash_of(values + at, size)
        slot = _slot_of(hashed, slots)
        entry = load_int32(table, slot)
        while entry != 0 and not (
            load_int64(hashes, entry - 1) == hashed
            and _is_equal(target + load_int64(offsets, entry - 1), values + at, size)
        ):
            slot = (slot + 1) & (slots - 1)
            entry = load_int32(table, slot)
        if entry == 0:
            if distinct == MAX_DICTIONARY_VALUES or into + size > max_bytes:
                return NO_DICTIONARY
            copied = 0
            while copied < size:
                copy_vector(values, at + copied, target, into + copied)
                copied += VECTOR_BYTES
            store_int64(hashes, distinct, hashed)
            store_int64(offsets, distinct, into)
            into += size
            distinct += 1
            entry = distinct
            store_int32(table, slot, entry)
            if 2 * distinct > slots:
                slots = _grow(table, slots, hashes, distinct)
        store_int32(codes, number, entry - 1)
        at += size
    store_int64(offsets, distinct, into)
    return distinct if 2 * distinct <= count else NO_DICTIONARY
