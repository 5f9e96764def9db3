"""Walking: from Arrow arrays to the levels of Parquet, one step of a path at a time.

Arrays stand as C structs (Arrow's C data interface), those of all slices of a column in one table of addresses. What
a step leaves behind is a stream: for each entry the index of its value (-1 where something above is null or empty),
its repetition level and its definition level; `ends` tell where each slice's entries end, and `shifts` what is added
to its indexes. A step that meets a null where none may be answers -1.
"""

from __future__ import annotations

from lake_pipeline.convert.native.layout import ARRAY_FIELDS, SPAN_BATCH, SPAN_COUNT, SPAN_FIELDS, SPAN_START
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import byte_at, int_at, long_at, put_int, put_long

LENGTH, NULLS, OFFSET, BUFFERS, CHILDREN = 0, 1, 2, 5, 6
"""Of the struct ArrowArray, in numbers of 64 bits."""


@inlined
def validity(array):
    """The address of an array's bits; 0 where nothing is null."""
    if long_at(array, NULLS) == 0 or long_at(array, LENGTH) == 0:
        return 0
    return long_at(long_at(array, BUFFERS), 0)


@inlined
def is_set(bits, at):
    """Whether that bit is set, as 0 or 1; 1 where there are no bits."""
    if bits == 0:
        return 1
    return (int(byte_at(bits, at >> 3)) >> (at & 7)) & 1


@compiled
def child_arrays(arrays, slices, child, children):
    """Writes the addresses of a child of each array."""
    for each in range(slices):
        put_long(children, each, long_at(long_at(long_at(arrays, each), CHILDREN), child))
    return 0


@compiled
def column_arrays(spans, slices, column, structs, arrays):
    """Of rows of record batches: writes the addresses of a column's arrays, as structs that tell of these rows only."""
    for each in range(slices):
        span, struct = spans + 8 * SPAN_FIELDS * each, structs + 8 * ARRAY_FIELDS * each
        whole = long_at(long_at(long_at(span, SPAN_BATCH), CHILDREN), column)
        for field in range(ARRAY_FIELDS):
            put_long(struct, field, long_at(whole, field))
        put_long(struct, LENGTH, long_at(span, SPAN_COUNT))
        put_long(struct, OFFSET, long_at(whole, OFFSET) + long_at(span, SPAN_START))
        put_long(arrays, each, struct)
    return 0


@compiled
def can_be_null(arrays, slices):
    """Whether anything in these arrays may be null."""
    for each in range(slices):
        if validity(long_at(arrays, each)) != 0:
            return 1
    return 0


@compiled
def pick_rows(arrays, slices, nullable, defs, picks, pick_ends):
    """Of a flat column: writes where the values stand that are not null, and a definition level for every row."""
    entry = picked = 0
    for each in range(slices):
        array = long_at(arrays, each)
        bits, offset = validity(array), long_at(array, OFFSET)
        for at in range(offset, offset + long_at(array, LENGTH)):
            present = is_set(bits, at)
            put_int(defs, entry, present)
            put_long(picks, picked, at)
            entry += 1
            picked += present
        put_long(pick_ends, each, picked)
    return picked if nullable or picked == entry else -1


@compiled
def enter_rows(arrays, slices, index, reps, defs, ends, shifts):
    """Writes the stream of the rows themselves; returns how many there are."""
    entry = 0
    for each in range(slices):
        for row in range(long_at(long_at(arrays, each), LENGTH)):
            put_long(index, entry, row)
            put_int(reps, entry, 0)
            put_int(defs, entry, 0)
            entry += 1
        put_long(ends, each, entry)
        put_long(shifts, each, 0)
    return entry


@compiled
def enter_struct(arrays, slices, nullable, index, defs, ends, shifts, inner_index, inner_defs, inner_shifts):
    """Writes the stream of what stands in structs."""
    entry = wrong = 0
    for each in range(slices):
        array = long_at(arrays, each)
        bits, offset = validity(array), long_at(array, OFFSET) + long_at(shifts, each)
        while entry < long_at(ends, each):
            at, level = long_at(index, entry), int_at(defs, entry)
            if at >= 0:
                if is_set(bits, offset + at):
                    level += nullable
                else:
                    at = -1
                    wrong |= nullable == 0
            put_long(inner_index, entry, at)
            put_int(inner_defs, entry, level)
            entry += 1
        put_long(inner_shifts, each, offset)
    return -1 if wrong else entry


@compiled
def items_room(arrays, slices, entries):
    """No more entries than this are inside of lists."""
    room = entries
    for each in range(slices):
        array = long_at(arrays, each)
        length, offset = long_at(array, LENGTH), long_at(array, OFFSET)
        if length:
            offsets = long_at(long_at(array, BUFFERS), 1)
            room += int_at(offsets, offset + length) - int_at(offsets, offset)
    return room


@compiled
def enter_list(
    arrays, slices, nullable, depth, index, reps, defs, ends, shifts,
    inner_index, inner_reps, inner_defs, inner_ends, inner_shifts,
):  # fmt: skip
    """Writes the stream of what stands in lists, the lists of repetition level `depth`; returns how many there are."""
    entry = inner = wrong = 0
    for each in range(slices):
        array = long_at(arrays, each)
        bits, offset = validity(array), long_at(array, OFFSET) + long_at(shifts, each)
        offsets = long_at(long_at(array, BUFFERS), 1)
        while entry < long_at(ends, each):
            at, rep, level = long_at(index, entry), int_at(reps, entry), int_at(defs, entry)
            start = stop = 0
            if at >= 0:
                if is_set(bits, offset + at):
                    start, stop = int_at(offsets, offset + at), int_at(offsets, offset + at + 1)
                    level += nullable
                else:
                    wrong |= nullable == 0
            if start == stop:
                put_long(inner_index, inner, -1)
                put_int(inner_reps, inner, rep)
                put_int(inner_defs, inner, level)
                inner += 1
            for item in range(start, stop):
                put_long(inner_index, inner, item)
                put_int(inner_reps, inner, rep)
                put_int(inner_defs, inner, level + 1)
                inner += 1
                rep = depth
            entry += 1
        put_long(inner_ends, each, inner)
        put_long(inner_shifts, each, 0)
    return -1 if wrong else inner


@compiled
def pick_items(arrays, slices, nullable, index, defs, ends, shifts, leaf_defs, picks, pick_ends):
    """Of a leaf below lists or structs: writes where the values stand that are not null, and their levels."""
    entry = picked = wrong = 0
    for each in range(slices):
        array = long_at(arrays, each)
        bits, offset = validity(array), long_at(array, OFFSET) + long_at(shifts, each)
        while entry < long_at(ends, each):
            at, level = long_at(index, entry), int_at(defs, entry)
            if at >= 0:
                if is_set(bits, offset + at):
                    put_long(picks, picked, offset + at)
                    picked += 1
                    level += nullable
                else:
                    wrong |= nullable == 0
            put_int(leaf_defs, entry, level)
            entry += 1
        put_long(pick_ends, each, picked)
    return -1 if wrong else picked
