"""Days of dates in ISO 8601, for a column of strings."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.source.ascii import COLON, MINUS, NINE, POINT, SPACE, UPPER_T, UPPER_Z, ZERO
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import load_byte, load_int32, store_int32


@compiled
def day_keys(data, offsets, valid, count, is_utc, keys):
    """Writes 20260213 for each date of 13 February 2026; returns whether all strings are such dates.

    `valid` has a byte per string, or is 0 if no string is null. With `is_utc` a time may end in `Z`.
    """
    for index in range(count):
        if valid and not load_byte(valid, index):
            store_int32(keys, index, 0)
            continue
        at, end = load_int32(offsets, index), load_int32(offsets, index + 1)
        year = _two_digits(data, at, end) * 100 + _two_digits(data, at + 2, end)
        month, day = _two_digits(data, at + 5, end), _two_digits(data, at + 8, end)
        if year < 0 or month < 0 or day < 0 or load_byte(data, at + 4) != MINUS or load_byte(data, at + 7) != MINUS:
            return 0
        if at + 10 < end and not _is_time(data, at + 10, end, is_utc):
            return 0
        store_int32(keys, index, year * 10_000 + month * 100 + day)
    return 1


_NO_NUMBER = -1_000_000


@inlined
def _two_digits(data, at, end):
    """The number of two digits; far below zero if there are none."""
    if at + 2 > end:
        return _NO_NUMBER
    tens, ones = np.int64(load_byte(data, at)) - ZERO, np.int64(load_byte(data, at + 1)) - ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else _NO_NUMBER


@compiled
def _is_time(data, at, end, is_utc):
    """Whether the rest is a time such as `T10:20:30.25Z`: first `T` or a space; the fraction and `Z` are optional."""
    if load_byte(data, at) != UPPER_T and load_byte(data, at) != SPACE:
        return False
    hour, minute, second = (
        _two_digits(data, at + 1, end), _two_digits(data, at + 4, end), _two_digits(data, at + 7, end),
    )  # fmt: skip
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return False
    if load_byte(data, at + 3) != COLON or load_byte(data, at + 6) != COLON:
        return False
    at += 9
    if at < end and load_byte(data, at) == POINT:
        at += 1
        start = at
        while at < end and ZERO <= load_byte(data, at) <= NINE:
            at += 1
        if at == start:
            return False
    if at < end and is_utc and load_byte(data, at) == UPPER_Z:
        at += 1
    return at == end
