"""Line ends, and other facts about lines that one pass over all bytes can find."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import VECTOR_BYTES
from lake_pipeline.convert.native.source.ascii import CLOSE_BRACE, NEWLINE, OPEN_BRACE, RETURN, SPACE, TAB
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    blank_bits,
    count_bits,
    equal_bits,
    load_byte,
    lowest_bit,
    store_int64,
)


@compiled
def survey_lines(text, size, flags):
    """Returns the number of newlines. Writes two flags: `}{` occurs; a line is empty or starts with a blank."""
    count = at = 0
    joints = blanks = np.uint64(0)
    while at + VECTOR_BYTES < size:
        ends = equal_bits(text, at, NEWLINE)
        count += count_bits(ends)
        joints |= equal_bits(text, at, CLOSE_BRACE) & equal_bits(text, at + 1, OPEN_BRACE)
        blanks |= ends & blank_bits(text, at + 1)
        at += VECTOR_BYTES
    joined, blank = joints != 0, blanks != 0 or (size > 0 and _is_blank(load_byte(text, 0)))
    for rest in range(at, size):
        is_end, is_last = load_byte(text, rest) == NEWLINE, rest + 1 == size
        count += is_end
        joined |= not is_last and load_byte(text, rest) == CLOSE_BRACE and load_byte(text, rest + 1) == OPEN_BRACE
        blank |= not is_last and is_end and _is_blank(load_byte(text, rest + 1))
    store_int64(flags, 0, joined)
    store_int64(flags, 1, blank)
    return count


@compiled
def find_line_ends(text, size, count, ends):
    """Writes the offset of each of the `count` newlines; returns the number of them."""
    at = written = 0
    while written < count:
        bits = equal_bits(text, at, NEWLINE) if at + VECTOR_BYTES <= size else _last_bits(text, at, size)
        while bits:
            store_int64(ends, written, at + lowest_bit(bits))
            bits &= bits - np.uint64(1)
            written += 1
        at += VECTOR_BYTES
    return written


@compiled
def _last_bits(text, at, size):
    bits = np.uint64(0)
    for rest in range(at, size):
        if load_byte(text, rest) == NEWLINE:
            bits |= np.uint64(1) << np.uint64(rest - at)
    return bits


@inlined
def _is_blank(byte):
    return byte == SPACE or byte == TAB or byte == RETURN or byte == NEWLINE
