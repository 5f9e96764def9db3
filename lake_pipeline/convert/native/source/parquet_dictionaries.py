"""Dictionaries: the distinct values of a column in the order they were met, and of each value which one it is.

What does not repeat is given up early: most of a file's columns are unique, and a dictionary that is built and thrown
away costs as much as the rest of its column.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import GIVEN_UP, LARGEST, SMALLEST_TABLE, WIDE
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import (
    copy_wide,
    int_at,
    long_at,
    put_int,
    put_long,
    put_word,
    word_at,
)

_FIRST, _SECOND, _SAMPLE = 512, 2048, 4096
"""Values after which it is asked whether they repeat."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_BITS = np.uint64(8)


@inlined
def _is_hopeless(count, distinct):
    """Of values that are distinct to less than a half, so many are after a sample; those with more are given up."""
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
    """By the highest bits of a hash, which are the only ones that depend on all bits of what was hashed: the lowest are
    the same for all doubles without a fraction, and for texts that differ at their end."""
    return np.int64((np.uint64(hashed) >> _HALF) * np.uint64(slots) >> _HALF)


@inlined
def _clear(table, slots):
    for slot in range(slots):
        put_int(table, slot, 0)


@compiled
def _grown(table, slots, hashes, distinct):
    """The table again with four times the slots, from the hashes of the distinct values."""
    slots *= 4
    _clear(table, slots)
    for known in range(distinct):
        slot = _slot_of(long_at(hashes, known), slots)
        while int_at(table, slot) != 0:
            slot = (slot + 1) & (slots - 1)
        put_int(table, slot, known + 1)
    return slots


@compiled
def dictionary_of_longs(values, count, most, table, hashes, codes, target):
    """Of numbers of 64 bits: writes the code of each value, and the dictionary of `most` bytes at most.

    Returns how many values that has, or `GIVEN_UP`. `table`, `hashes` and `codes` are room to work in.
    """
    slots, distinct = SMALLEST_TABLE, 0
    _clear(table, slots)
    for at in range(count):
        if _is_hopeless(at, distinct):
            return GIVEN_UP
        word = word_at(values, 8 * at)
        hashed = np.int64(_mixed(np.uint64(0), word))
        slot = _slot_of(hashed, slots)
        known = int_at(table, slot)
        while known != 0 and word_at(target, 8 * (known - 1)) != word:
            slot = (slot + 1) & (slots - 1)
            known = int_at(table, slot)
        if known == 0:
            if distinct == LARGEST or 8 * distinct + 8 > most:
                return GIVEN_UP
            put_word(target, 8 * distinct, word)
            put_long(hashes, distinct, hashed)
            distinct += 1
            known = distinct
            put_int(table, slot, known)
            if 2 * distinct > slots:
                slots = _grown(table, slots, hashes, distinct)
        put_int(codes, at, known - 1)
    return distinct if 2 * distinct <= count else GIVEN_UP


@inlined
def _hash_of(text, size):
    """Of `size` bytes, with `WIDE` more behind them."""
    hashed = np.uint64(size)
    at = 0
    while at + 8 <= size:
        hashed = _mixed(hashed, word_at(text, at))
        at += 8
    if at < size:
        hashed = _mixed(hashed, word_at(text, at) << (_BITS * np.uint64(8 - (size - at))))
    return np.int64(hashed)


@inlined
def _is_same(text, other, size):
    at = 0
    while at + 8 <= size:
        if word_at(text, at) != word_at(other, at):
            return False
        at += 8
    return at == size or (word_at(text, at) ^ word_at(other, at)) << (_BITS * np.uint64(8 - (size - at))) == 0


@compiled
def dictionary_of_bytes(values, count, width, most, table, hashes, places, codes, target):
    """The same of values of `width` bytes, or of texts behind their lengths where that is 0.

    Writes to `places` where each of the distinct ones stands, and behind these how many bytes there are.
    """
    slots, distinct, at, into = SMALLEST_TABLE, 0, 0, 0
    _clear(table, slots)
    for each in range(count):
        if _is_hopeless(each, distinct):
            return GIVEN_UP
        size = width if width else int_at(values + at, 0) + 4
        hashed = _hash_of(values + at, size)
        slot = _slot_of(hashed, slots)
        known = int_at(table, slot)
        while known != 0 and not (
            long_at(hashes, known - 1) == hashed and _is_same(target + long_at(places, known - 1), values + at, size)
        ):
            slot = (slot + 1) & (slots - 1)
            known = int_at(table, slot)
        if known == 0:
            if distinct == LARGEST or into + size > most:
                return GIVEN_UP
            copied = 0
            while copied < size:
                copy_wide(values, at + copied, target, into + copied)
                copied += WIDE
            put_long(hashes, distinct, hashed)
            put_long(places, distinct, into)
            into += size
            distinct += 1
            known = distinct
            put_int(table, slot, known)
            if 2 * distinct > slots:
                slots = _grown(table, slots, hashes, distinct)
        put_int(codes, each, known - 1)
        at += size
    put_long(places, distinct, into)
    return distinct if 2 * distinct <= count else GIVEN_UP
