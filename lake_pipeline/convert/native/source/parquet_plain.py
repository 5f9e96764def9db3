"""PLAIN encoding: the values of all slices of a column as one run of bytes.

`picks` are the positions of the values to copy, `ends` the number of them up to the end of each slice. If both are 0,
all values are copied. Every target has `VECTOR_BYTES` spare bytes. Booleans become 32-bit integers, to be packed later.
"""

from __future__ import annotations

from lake_pipeline.convert.native.layout import ARRAY, VECTOR_BYTES
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    copy_vector,
    load_byte,
    load_int32,
    load_int64,
    store_byte,
    store_int32,
    store_int64,
)


@inlined
def _range(array, slice_number, picks, ends):
    """(first, end, offset): the values of a slice to copy, and what is added to each index without picks."""
    if picks == 0:
        return 0, load_int64(array, ARRAY.length), load_int64(array, ARRAY.offset)
    return load_int64(ends, slice_number - 1) if slice_number else 0, load_int64(ends, slice_number), 0


@inlined
def _position(picks, index, offset):
    return offset + index if picks == 0 else load_int64(picks, index)


@compiled
def copy_int64(arrays, slices, picks, ends, target):
    """Copy 64-bit integers or doubles. Returns the bytes written, as all of these do."""
    count = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        first, last, offset = _range(array, slice_number, picks, ends)
        values = load_int64(load_int64(array, ARRAY.buffers), 1)
        for index in range(first, last):
            store_int64(target, count, load_int64(values, _position(picks, index, offset)))
            count += 1
    return 8 * count


@compiled
def copy_int32(arrays, slices, picks, ends, target):
    """Copy 32-bit integers."""
    count = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        first, last, offset = _range(array, slice_number, picks, ends)
        values = load_int64(load_int64(array, ARRAY.buffers), 1)
        for index in range(first, last):
            store_int32(target, count, load_int32(values, _position(picks, index, offset)))
            count += 1
    return 4 * count


@compiled
def copy_bools(arrays, slices, picks, ends, target):
    """Copy booleans as 32-bit integers."""
    count = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        first, last, offset = _range(array, slice_number, picks, ends)
        values = load_int64(load_int64(array, ARRAY.buffers), 1)
        for index in range(first, last):
            at = _position(picks, index, offset)
            store_int32(target, count, (int(load_byte(values, at >> 3)) >> (at & 7)) & 1)
            count += 1
    return 4 * count


@compiled
def copy_decimals(arrays, slices, picks, ends, width, target):
    """Copy the `width` lower bytes of 128-bit decimals, big-endian."""
    at = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        first, last, offset = _range(array, slice_number, picks, ends)
        values = load_int64(load_int64(array, ARRAY.buffers), 1)
        for index in range(first, last):
            start = 16 * _position(picks, index, offset)
            for byte in range(width):
                store_byte(target, at + byte, load_byte(values, start + width - 1 - byte))
            at += width
    return at


@compiled
def strings_size(arrays, slices, picks, ends):
    """The number of bytes that `copy_strings` writes."""
    total = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        first, last, offset = _range(array, slice_number, picks, ends)
        offsets = load_int64(load_int64(array, ARRAY.buffers), 1)
        total += 4 * (last - first)
        if picks == 0:
            if last > first:
                total += load_int32(offsets, offset + last) - load_int32(offsets, offset)
        else:
            for index in range(first, last):
                at = load_int64(picks, index)
                total += load_int32(offsets, at + 1) - load_int32(offsets, at)
    return total


@compiled
def copy_strings(arrays, slices, picks, ends, target):
    """Copy strings or bytes, each after its length as a 32-bit integer."""
    into = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        first, last, offset = _range(array, slice_number, picks, ends)
        if first == last:
            continue
        buffers = load_int64(array, ARRAY.buffers)
        offsets, data = load_int64(buffers, 1), load_int64(buffers, 2)
        limit = load_int32(offsets, load_int64(array, ARRAY.offset) + load_int64(array, ARRAY.length)) - VECTOR_BYTES
        for index in range(first, last):
            at = _position(picks, index, offset)
            start = load_int32(offsets, at)
            length = load_int32(offsets, at + 1) - start
            store_int32(target + into, 0, length)
            into += 4
            copied = 0
            while copied < length and start + copied <= limit:
                copy_vector(data, start + copied, target, into + copied)
                copied += VECTOR_BYTES
            while copied < length:
                store_byte(target, into + copied, load_byte(data, start + copied))
                copied += 1
            into += length
    return into
