"""Dates: the day that a plainly written date names, for columns of them."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import byte_at, int_at, put_int


@compiled
def day_keys(data, offsets, valid, count, is_utc, keys):
    """Writes 20260213 for each text of the 13th of February 2026; returns whether all of them are plain.

    `valid` has a byte for each text, or is 0 where none is missing. With `is_utc` a time may end in `Z`.
    """
    for index in range(count):
        if valid and not byte_at(valid, index):
            put_int(keys, index, 0)
            continue
        at, end = int_at(offsets, index), int_at(offsets, index + 1)
        year = _two(data, at, end) * 100 + _two(data, at + 2, end)
        month, day = _two(data, at + 5, end), _two(data, at + 8, end)
        if year < 0 or month < 0 or day < 0 or byte_at(data, at + 4) != 45 or byte_at(data, at + 7) != 45:
            return 0
        if at + 10 < end and not _is_clock(data, at + 10, end, is_utc):
            return 0
        put_int(keys, index, year * 10_000 + month * 100 + day)
    return 1


_NO_NUMBER = -1_000_000


@inlined
def _two(data, at, end):
    """The number that two digits make; far below zero where there are none."""
    if at + 2 > end:
        return _NO_NUMBER
    tens, ones = np.int64(byte_at(data, at)) - 48, np.int64(byte_at(data, at + 1)) - 48
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else _NO_NUMBER


@compiled
def _is_clock(data, at, end, is_utc):
    """Whether `T10:20:30.25Z` stands there and nothing else: as text `T` or a space, the fraction and `Z` optional."""
    if byte_at(data, at) != 84 and byte_at(data, at) != 32:
        return False
    hour, minute, second = _two(data, at + 1, end), _two(data, at + 4, end), _two(data, at + 7, end)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return False
    if byte_at(data, at + 3) != 58 or byte_at(data, at + 6) != 58:
        return False
    at += 9
    if at < end and byte_at(data, at) == 46:
        at += 1
        start = at
        while at < end and 48 <= byte_at(data, at) <= 57:
            at += 1
        if at == start:
            return False
    if at < end and is_utc and byte_at(data, at) == 90:
        at += 1
    return at == end
