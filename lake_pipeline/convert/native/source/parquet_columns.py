"""Values: from the slices of a column to one run of bytes, as the encoding PLAIN has them.

`picks` are the places of the values that are wanted and `ends` where those of each slice end; with 0 for both, all
are. Every target has `WIDE` bytes more than what is written. Booleans are written as numbers of 32 bits, to be packed.
"""

from __future__ import annotations

from lake_pipeline.convert.native.layout import WIDE
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.parquet_walking import BUFFERS, LENGTH, OFFSET
from lake_pipeline.convert.native.source.words import (
    byte_at,
    copy_wide,
    int_at,
    long_at,
    put_byte,
    put_int,
    put_long,
)


@inlined
def _span(array, each, picks, ends):
    """(the first and the last of what is wanted of a slice, what is added to each to have its place)."""
    if picks == 0:
        return 0, long_at(array, LENGTH), long_at(array, OFFSET)
    return long_at(ends, each - 1) if each else 0, long_at(ends, each), 0


@inlined
def _place(picks, wanted, offset):
    return offset + wanted if picks == 0 else long_at(picks, wanted)


@compiled
def take_longs(arrays, slices, picks, ends, target):
    """Numbers of 64 bits; returns how many bytes were written, as all of these do."""
    count = 0
    for each in range(slices):
        array = long_at(arrays, each)
        first, last, offset = _span(array, each, picks, ends)
        values = long_at(long_at(array, BUFFERS), 1)
        for wanted in range(first, last):
            put_long(target, count, long_at(values, _place(picks, wanted, offset)))
            count += 1
    return 8 * count


@compiled
def take_ints(arrays, slices, picks, ends, target):
    """Numbers of 32 bits."""
    count = 0
    for each in range(slices):
        array = long_at(arrays, each)
        first, last, offset = _span(array, each, picks, ends)
        values = long_at(long_at(array, BUFFERS), 1)
        for wanted in range(first, last):
            put_int(target, count, int_at(values, _place(picks, wanted, offset)))
            count += 1
    return 4 * count


@compiled
def take_bits(arrays, slices, picks, ends, target):
    """Booleans, as numbers of 32 bits."""
    count = 0
    for each in range(slices):
        array = long_at(arrays, each)
        first, last, offset = _span(array, each, picks, ends)
        values = long_at(long_at(array, BUFFERS), 1)
        for wanted in range(first, last):
            at = _place(picks, wanted, offset)
            put_int(target, count, (int(byte_at(values, at >> 3)) >> (at & 7)) & 1)
            count += 1
    return 4 * count


@compiled
def take_decimals(arrays, slices, picks, ends, width, target):
    """Decimals of 128 bits, their `width` lower bytes, the highest first."""
    at = 0
    for each in range(slices):
        array = long_at(arrays, each)
        first, last, offset = _span(array, each, picks, ends)
        values = long_at(long_at(array, BUFFERS), 1)
        for wanted in range(first, last):
            place = 16 * _place(picks, wanted, offset)
            for byte in range(width):
                put_byte(target, at + byte, byte_at(values, place + width - 1 - byte))
            at += width
    return at


@compiled
def texts_room(arrays, slices, picks, ends):
    """How many bytes `take_texts` writes."""
    total = 0
    for each in range(slices):
        array = long_at(arrays, each)
        first, last, offset = _span(array, each, picks, ends)
        offsets = long_at(long_at(array, BUFFERS), 1)
        total += 4 * (last - first)
        if picks == 0:
            if last > first:
                total += int_at(offsets, offset + last) - int_at(offsets, offset)
        else:
            for wanted in range(first, last):
                at = long_at(picks, wanted)
                total += int_at(offsets, at + 1) - int_at(offsets, at)
    return total


@compiled
def take_texts(arrays, slices, picks, ends, target):
    """Strings and bytes, each behind its length in 32 bits."""
    into = 0
    for each in range(slices):
        array = long_at(arrays, each)
        first, last, offset = _span(array, each, picks, ends)
        if first == last:
            continue
        buffers = long_at(array, BUFFERS)
        offsets, data = long_at(buffers, 1), long_at(buffers, 2)
        limit = int_at(offsets, long_at(array, OFFSET) + long_at(array, LENGTH)) - WIDE
        for wanted in range(first, last):
            at = _place(picks, wanted, offset)
            start = int_at(offsets, at)
            length = int_at(offsets, at + 1) - start
            put_int(target + into, 0, length)
            into += 4
            copied = 0
            while copied < length and start + copied <= limit:
                copy_wide(data, start + copied, target, into + copied)
                copied += WIDE
            while copied < length:
                put_byte(target, into + copied, byte_at(data, start + copied))
                copied += 1
            into += length
    return into
