"""Line ends: where the lines of a text end, and what else a look at every byte can tell."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import WIDE
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import blank_bytes, byte_at, count_bits, equal_bytes, first_bit, put_long


@compiled
def survey_lines(text, size, found):
    """Returns how many newlines there are; writes whether `}{` stands anywhere, and whether a line begins with a blank
    or is empty."""
    count = at = 0
    joints = blanks = np.uint64(0)
    while at + WIDE < size:
        ends = equal_bytes(text, at, 10)
        count += count_bits(ends)
        joints |= equal_bytes(text, at, 125) & equal_bytes(text, at + 1, 123)
        blanks |= ends & blank_bytes(text, at + 1)
        at += WIDE
    joined, blank = joints != 0, blanks != 0 or (size > 0 and _is_blank(byte_at(text, 0)))
    for each in range(at, size):
        is_end, is_last = byte_at(text, each) == 10, each + 1 == size
        count += is_end
        joined |= not is_last and byte_at(text, each) == 125 and byte_at(text, each + 1) == 123
        blank |= not is_last and is_end and _is_blank(byte_at(text, each + 1))
    put_long(found, 0, joined)
    put_long(found, 1, blank)
    return count


@compiled
def find_line_ends(text, size, count, ends):
    """Writes the position of each of the `count` newlines; returns how many there are."""
    at = taken = 0
    while taken < count:
        bits = equal_bytes(text, at, 10) if at + WIDE <= size else _last_bits(text, at, size)
        while bits:
            put_long(ends, taken, at + first_bit(bits))
            bits &= bits - np.uint64(1)
            taken += 1
        at += WIDE
    return taken


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
