"""Day keys: the day that a plainly written date names, for columns of them, in compiled code.

Only what `days` would read the same way is taken: a date, or a date and a time of day in the zone of the lake. One
regular expression over a column took longer than reading the numbers of the whole record.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from lake_pipeline.convert.shred.words import byte_at


def plain_days(texts: pa.Array, *, is_utc: bool) -> pa.Array | None:
    """The days of `texts` as a dictionary array of `YYYY-MM-DD`; None where some text is written in another way.

    That the day exists is not looked at. With `is_utc` a time may end in `Z`, without it must name no offset.
    """
    _, offsets, data = texts.buffers()
    if data is None or offsets is None:
        return None
    valid = None if not texts.null_count else texts.is_valid().to_numpy(zero_copy_only=False)
    keys = _keys(
        data.address,
        np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1],
        np.ones(0, dtype=np.bool_) if valid is None else valid,
        is_utc,
    )
    if len(keys) < len(texts):
        return None
    encoded = pa.array(keys, mask=None if valid is None else ~valid).dictionary_encode()
    days = [f"{key // 10_000:04}-{key // 100 % 100:02}-{key % 100:02}" for key in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(days, pa.string()))


@njit(cache=True, nogil=True)
def _keys(data, offsets, valid, is_utc):
    """20260213 for each text of the 13th of February 2026; nothing at all where one is not plain."""
    keys = np.zeros(len(offsets) - 1, dtype=np.int32)
    for index in range(len(keys)):
        if len(valid) and not valid[index]:
            continue
        at, end = np.int64(offsets[index]), np.int64(offsets[index + 1])
        year = _two(data, at, end) * 100 + _two(data, at + 2, end)
        month, day = _two(data, at + 5, end), _two(data, at + 8, end)
        if year < 0 or month < 0 or day < 0 or byte_at(data, at + 4) != 45 or byte_at(data, at + 7) != 45:
            return keys[:0]
        if at + 10 < end and not _is_clock(data, at + 10, end, is_utc):
            return keys[:0]
        keys[index] = year * 10_000 + month * 100 + day
    return keys


_NO_NUMBER = -1_000_000


@njit(cache=True, nogil=True, forceinline=True)
def _two(data, at, end):
    """The number that two digits make; far below zero where there are none."""
    if at + 2 > end:
        return _NO_NUMBER
    tens, ones = np.int64(byte_at(data, at)) - 48, np.int64(byte_at(data, at + 1)) - 48
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else _NO_NUMBER


@njit(cache=True, nogil=True)
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
