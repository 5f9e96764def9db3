"""Line ends: where the lines of a text end, and what else a look at every byte can tell."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import WIDE
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import byte_at, count_bits, equal_bytes, first_bit, put_long


@compiled
def survey_lines(text, size, joined):
    """Returns how many newlines there are; writes whether `}{` stands anywhere."""
    count = at = 0
    joints = np.uint64(0)
    while at + WIDE < size:
        count += count_bits(equal_bytes(text, at, 10))
        joints |= equal_bytes(text, at, 125) & equal_bytes(text, at + 1, 123)
        at += WIDE
    found = joints != 0
    for each in range(at, size):
        count += byte_at(text, each) == 10
        found |= each + 1 < size and byte_at(text, each) == 125 and byte_at(text, each + 1) == 123
    put_long(joined, 0, found)
    return count


@compiled
def find_line_ends(text, size, count, ends):
    """Writes the position of each of the `count` newlines; returns whether a line begins with a blank or is empty."""
    at = taken = 0
    blank = size > 0 and _is_blank(byte_at(text, 0))
    while taken < count:
        bits = equal_bytes(text, at, 10) if at + WIDE <= size else _last_bits(text, at, size)
        while bits:
            end = at + first_bit(bits)
            bits &= bits - np.uint64(1)
            put_long(ends, taken, end)
            taken += 1
            if end + 1 < size and _is_blank(byte_at(text, end + 1)):
                blank = True
        at += WIDE
    return np.int64(blank)


@compiled
def _last_bits(text, at, size):
    bits = np.uint64(0)
    for each in range(at, size):
        if byte_at(text, each) == 10:
            bits |= np.uint64(1) << np.uint64(each - at)
    return bits


@inlined
def _is_blank(byte):
    return byte == 32 or byte == 9 or byte == 13 or byte == 10
