"""Bounds: the smallest and the largest of values as the encoding PLAIN has them, as Parquet orders their types."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import (
    byte_at,
    double_at,
    int_at,
    long_at,
    put_long,
    reversed_bytes,
    word_at,
)

_BITS = np.uint64(8)


@compiled
def bounds_of_longs(values, count, found):
    """Writes the smallest and the largest of numbers of 64 bits."""
    low = high = long_at(values, 0)
    for at in range(1, count):
        value = long_at(values, at)
        low = min(low, value)
        high = max(high, value)
    put_long(found, 0, low)
    put_long(found, 1, high)
    return 1


@compiled
def bounds_of_ints(values, count, found):
    """The same of numbers of 32 bits."""
    low = high = int_at(values, 0)
    for at in range(1, count):
        value = int_at(values, at)
        low = min(low, value)
        high = max(high, value)
    put_long(found, 0, low)
    put_long(found, 1, high)
    return 1


@compiled
def bounds_of_doubles(values, count, found):
    """Writes the places of the smallest and the largest double; returns 0 where there are only NaNs."""
    low = high = -1
    for at in range(count):
        value = double_at(values, at)
        if value == value:
            if low < 0 or value < double_at(values, low):
                low = at
            if high < 0 or value > double_at(values, high):
                high = at
    put_long(found, 0, low)
    put_long(found, 1, high)
    return 1 if low >= 0 else 0


@inlined
def _prefix(values, at, size):
    """The first eight bytes as a number that is ordered as they are; shorter texts with zeros behind."""
    word = reversed_bytes(word_at(values, at))
    if size < 8:
        return word >> (_BITS * np.uint64(8 - size)) << (_BITS * np.uint64(8 - size)) if size else np.uint64(0)
    return word


@compiled
def _is_less(values, one, one_size, other, other_size):
    """Whether one text comes before another, byte by byte."""
    size, at = min(one_size, other_size), 0
    while at + 8 <= size:
        left, right = word_at(values, one + at), word_at(values, other + at)
        if left != right:
            return reversed_bytes(left) < reversed_bytes(right)
        at += 8
    while at < size:
        first, second = byte_at(values, one + at), byte_at(values, other + at)
        if first != second:
            return first < second
        at += 1
    return one_size < other_size


@compiled
def bounds_of_texts(values, size, found):
    """Of texts behind their lengths, in `size` bytes: writes the places of the smallest and the largest."""
    low = high = 0
    low_prefix = high_prefix = _prefix(values, 4, int_at(values, 0))
    at = 4 + int_at(values, 0)
    while at < size:
        length = int_at(values + at, 0)
        prefix = _prefix(values, at + 4, length)
        if prefix < low_prefix or (
            prefix == low_prefix and _is_less(values, at + 4, length, low + 4, int_at(values + low, 0))
        ):
            low, low_prefix = at, prefix
        if prefix > high_prefix or (
            prefix == high_prefix and _is_less(values, high + 4, int_at(values + high, 0), at + 4, length)
        ):
            high, high_prefix = at, prefix
        at += 4 + length
    put_long(found, 0, low)
    put_long(found, 1, high)
    return 1


@inlined
def _is_smaller(values, one, other, width):
    """Whether one number in two's complement of `width` bytes, the highest first, is smaller than another."""
    left, right = np.int64(np.int8(byte_at(values, one))), np.int64(np.int8(byte_at(values, other)))
    if left != right:
        return left < right
    for at in range(1, width):
        if byte_at(values, one + at) != byte_at(values, other + at):
            return byte_at(values, one + at) < byte_at(values, other + at)
    return False


@compiled
def bounds_of_decimals(values, count, width, found):
    """Of decimals: writes the places of the smallest and the largest."""
    low = high = 0
    for each in range(1, count):
        at = each * width
        if _is_smaller(values, at, low, width):
            low = at
        if _is_smaller(values, high, at, width):
            high = at
    put_long(found, 0, low)
    put_long(found, 1, high)
    return 1
