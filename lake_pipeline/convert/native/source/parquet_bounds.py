"""Bounds: the smallest and the largest of values in the PLAIN encoding, by the order that Parquet defines."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    load_byte,
    load_double,
    load_int32,
    load_int64,
    load_uint64,
    reversed_bytes,
    store_int64,
)

_BITS = np.uint64(8)


@compiled
def bounds_of_int64(values, count, bounds):
    """Writes the smallest and the largest of 64-bit integers."""
    low = high = load_int64(values, 0)
    for at in range(1, count):
        value = load_int64(values, at)
        low = min(low, value)
        high = max(high, value)
    store_int64(bounds, 0, low)
    store_int64(bounds, 1, high)
    return 1


@compiled
def bounds_of_int32(values, count, bounds):
    """Writes the smallest and the largest of 32-bit integers."""
    low = high = load_int32(values, 0)
    for at in range(1, count):
        value = load_int32(values, at)
        low = min(low, value)
        high = max(high, value)
    store_int64(bounds, 0, low)
    store_int64(bounds, 1, high)
    return 1


@compiled
def bounds_of_doubles(values, count, bounds):
    """Writes the indexes of the smallest and the largest double; returns 0 if all are NaN."""
    low = high = -1
    for at in range(count):
        value = load_double(values, at)
        if value == value:
            if low < 0 or value < load_double(values, low):
                low = at
            if high < 0 or value > load_double(values, high):
                high = at
    store_int64(bounds, 0, low)
    store_int64(bounds, 1, high)
    return 1 if low >= 0 else 0


@inlined
def _prefix(values, at, size):
    """The first eight bytes as an integer of the same order; shorter strings are padded with zeros."""
    word = reversed_bytes(load_uint64(values, at))
    if size < 8:
        return word >> (_BITS * np.uint64(8 - size)) << (_BITS * np.uint64(8 - size)) if size else np.uint64(0)
    return word


@compiled
def _is_less(values, one, one_size, other, other_size):
    """Whether one string sorts before another, byte by byte."""
    size, at = min(one_size, other_size), 0
    while at + 8 <= size:
        left, right = load_uint64(values, one + at), load_uint64(values, other + at)
        if left != right:
            return reversed_bytes(left) < reversed_bytes(right)
        at += 8
    while at < size:
        first, second = load_byte(values, one + at), load_byte(values, other + at)
        if first != second:
            return first < second
        at += 1
    return one_size < other_size


@compiled
def bounds_of_strings(values, size, bounds):
    """Writes the offsets of the smallest and the largest of strings with length prefixes, `size` bytes in all."""
    low = high = 0
    low_prefix = high_prefix = _prefix(values, 4, load_int32(values, 0))
    at = 4 + load_int32(values, 0)
    while at < size:
        length = load_int32(values + at, 0)
        prefix = _prefix(values, at + 4, length)
        if prefix < low_prefix or (
            prefix == low_prefix and _is_less(values, at + 4, length, low + 4, load_int32(values + low, 0))
        ):
            low, low_prefix = at, prefix
        if prefix > high_prefix or (
            prefix == high_prefix and _is_less(values, high + 4, load_int32(values + high, 0), at + 4, length)
        ):
            high, high_prefix = at, prefix
        at += 4 + length
    store_int64(bounds, 0, low)
    store_int64(bounds, 1, high)
    return 1


@inlined
def _is_smaller(values, one, other, width):
    """Whether one big-endian integer of `width` bytes is smaller than another."""
    left, right = np.int64(np.int8(load_byte(values, one))), np.int64(np.int8(load_byte(values, other)))
    if left != right:
        return left < right
    for at in range(1, width):
        if load_byte(values, one + at) != load_byte(values, other + at):
            return load_byte(values, one + at) < load_byte(values, other + at)
    return False


@compiled
def bounds_of_decimals(values, count, width, bounds):
    """Writes the offsets of the smallest and the largest decimal."""
    low = high = 0
    for number in range(1, count):
        at = number * width
        if _is_smaller(values, at, low, width):
            low = at
        if _is_smaller(values, high, at, width):
            high = at
    store_int64(bounds, 0, low)
    store_int64(bounds, 1, high)
    return 1
