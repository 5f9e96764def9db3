"""Days of dates in ISO 8601, and of texts with seconds to nanoseconds since 1970, for a column of strings."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.source.ascii import (
    COLON,
    MINUS,
    NINE,
    POINT,
    SPACE,
    UPPER_C,
    UPPER_T,
    UPPER_U,
    UPPER_Z,
    ZERO,
)
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import load_byte, load_int32, store_int32


@compiled
def day_keys(data, offsets, valid, count, is_utc, keys):
    """Writes 20260213 for each date of 13 February 2026; returns whether all strings are such dates.

    `valid` has a byte per string, or is 0 if no string is null. With `is_utc` a time may end in `Z` or ` UTC`, and a
    text may be a number since 1970.
    """
    for index in range(count):
        if valid and not load_byte(valid, index):
            store_int32(keys, index, 0)
            continue
        at, end = load_int32(offsets, index), load_int32(offsets, index + 1)
        year = _two_digits(data, at, end) * 100 + _two_digits(data, at + 2, end)
        month, day = _two_digits(data, at + 5, end), _two_digits(data, at + 8, end)
        if year < 0 or month < 0 or day < 0 or load_byte(data, at + 4) != MINUS or load_byte(data, at + 7) != MINUS:
            key = _epoch_key(data, at, end) if is_utc else 0
            if not key:
                return 0
            store_int32(keys, index, key)
            continue
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
    elif at + 4 == end and is_utc and load_byte(data, at) == SPACE:
        return (
            load_byte(data, at + 1) == UPPER_U
            and load_byte(data, at + 2) == UPPER_T
            and load_byte(data, at + 3) == UPPER_C
        )
    return at == end


@compiled
def _epoch_key(data, at, end):
    """The day, in UTC, of a text of 10, 13, 16 or 19 digits: seconds to nanoseconds since 1970. 0 for other texts."""
    size = end - at
    if size != 10 and size != 13 and size != 16 and size != 19:
        return 0
    # The first ten digits are the seconds, whatever the unit.
    seconds, place = np.int64(0), at
    while place < end:
        digit = np.int64(load_byte(data, place)) - ZERO
        if digit < 0 or digit > 9:
            return 0
        if place < at + 10:
            seconds = seconds * 10 + digit
        place += 1
    if seconds < 1_000_000_000 or (size == 19 and seconds >= 9_000_000_000):
        return 0
    return _civil_key(seconds // 86_400)


@compiled
def _civil_key(days):
    """20260213 for the day that begins this many days after 1 January 1970."""
    # Years begin in March, so that the leap day is the last day of a year.
    days += 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += era * 400 + (1 if month <= 2 else 0)
    return year * 10_000 + month * 100 + day
