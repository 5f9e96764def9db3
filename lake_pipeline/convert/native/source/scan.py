"""The scan: one pass over JSON lines that leaves every value in the slot of its node and index, in compiled code.

It is strict: a line is taken whole and exact, or set aside whole. Set aside is whatever is not JSON, a key that the
plan does not know or that is repeated, a value of another kind than its node's, and what a column would not hold
exactly. Nothing is allocated for a value; where a scope runs out of slots the caller makes room and goes on with the
same line.

What is left of a value, by the kind of its node: INT the number; DOUBLE its bits; BOOL 0 or 1; STRING where it starts
(32 bits), the bytes of its text (31 bits) and whether it has escapes (the sign); RAW the same of the whole value as
it was written; LIST how many items it has.

The loop knows what to expect: the next field of the contract at the next key. Records of one source have their keys in
one order, so the first guess is right nearly always.

Functions here are long and plain on purpose: they are one loop in machine code.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import (
    ASIDE,
    AT,
    BASE,
    BEFORE,
    BOOL,
    CHILDREN,
    DONE,
    DOUBLE,
    FIRST,
    FULL,
    FULL_SCOPE,
    INT,
    ITEM,
    KEY_LENGTH,
    KEY_START,
    KIND,
    LINE,
    LIST,
    MAX_DEPTH,
    NARROW,
    NODE_FIELDS,
    NULL,
    OPEN_OBJECTS,
    OUTER_INDEX,
    OUTER_NEXT,
    OUTER_NODE,
    PRESENT,
    RAW,
    ROWS,
    SCOPE,
    STRING,
    STRUCT,
    UNSEEN,
    WIDE,
)
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.values import follow, number, skip, skip_blanks, string
from lake_pipeline.convert.native.source.words import byte_at, differing_bytes, long_at, put_byte, put_long

_HAS_ESCAPES = np.int64(-(2**63))


@inlined
def _of(nodes, node, field):
    return long_at(nodes, node * NODE_FIELDS + field)


@inlined
def _taken(nodes, container, counts):
    """How many items the scope of a list has so far."""
    return long_at(counts, _of(nodes, _of(nodes, container, ITEM), SCOPE))


@inlined
def _is_key(text, at, limit, nodes, node, keys):
    """Whether the key of `node`, its closing quote included, stands at `at`."""
    start, length = _of(nodes, node, KEY_START), _of(nodes, node, KEY_LENGTH)
    offset = 0
    while at + offset <= limit:
        differing = differing_bytes(text, at + offset, keys, start + offset)
        if length - offset <= NARROW:
            wanted = (np.uint64(1) << np.uint64(length - offset)) - np.uint64(1)
            return length > 0 and differing & wanted == 0
        if differing:
            return False
        offset += NARROW
    for each in range(offset, length):
        if byte_at(text, at + each) != byte_at(keys, start + each):
            return False
    return length > 0


@compiled
def _find_key(text, at, limit, nodes, child, keys, begin, known, guess):
    """The position, among the `known` children from `begin` on, of the key at `at`; -1 where it is none of them."""
    for turn in range(known):
        position = guess + turn
        while position >= known:
            position -= known
        if _is_key(text, at, limit, nodes, long_at(child, begin + position), keys):
            return position
    return -1


@compiled
def scan(
    text, size, nodes, node_count, child, keys, seen, cells, scopes, room, counts, rows, aside, progress, scratch,
):  # fmt: skip
    """Scan whole lines, each ended by a newline, from where `progress` says, until the end or a full scope.

    All but `size` (of the text, in bytes), `node_count` and `scopes` are addresses. `nodes`, `child` and `keys` are
    tables of the plan; `room` and `counts` the slots of each scope and how many are taken; `rows` and `aside` receive
    the numbers of the lines. `progress` has `PROGRESS_FIELDS`, and `scratch` is memory to work in.
    """
    at, line, row, aside_count = (
        long_at(progress, AT), long_at(progress, LINE), long_at(progress, ROWS), long_at(progress, ASIDE),
    )  # fmt: skip
    limit = size - WIDE
    while at < size:
        line_start = at
        for number_of in range(scopes):
            put_long(scratch, BEFORE + number_of, long_at(counts, number_of))
        full = -1
        good = False
        at = skip_blanks(text, at)
        if byte_at(text, at) == 123:
            at = skip_blanks(text, at + 1)
            # The container that is open: its node, the index of its value, and what comes next in it: the position of
            # the expected child of a struct, or where the items of a list begin.
            container, index, position, is_struct = 0, row, 0, True
            begin, known = _of(nodes, 0, FIRST), _of(nodes, 0, CHILDREN)
            depth = 0
            behind = byte_at(text, at) == 125
            while True:
                if not behind:
                    if is_struct:
                        if byte_at(text, at) != 34:
                            break
                        at += 1
                        if position < known and _is_key(text, at, limit, nodes, long_at(child, begin + position), keys):
                            found = position
                        elif position + 1 < known and _is_key(
                            text, at, limit, nodes, long_at(child, begin + position + 1), keys
                        ):
                            found = position + 1
                        else:
                            found = _find_key(text, at, limit, nodes, child, keys, begin, known, position + 2)
                            if found < 0:
                                break
                        node = long_at(child, begin + found)
                        position = found + 1
                        at = skip_blanks(text, at + _of(nodes, node, KEY_LENGTH))
                        if byte_at(text, at) != 58:
                            break
                        at = skip_blanks(text, at + 1)
                        value_index = index
                        slot = _of(nodes, node, BASE) + index
                        if byte_at(seen, slot) != UNSEEN:
                            break
                    else:
                        node = _of(nodes, container, ITEM)
                        into = _of(nodes, node, SCOPE)
                        value_index = long_at(counts, into)
                        if value_index >= long_at(room, into):
                            full = into
                            break
                        put_long(counts, into, value_index + 1)
                        slot = _of(nodes, node, BASE) + value_index
                    what = _of(nodes, node, KIND)
                    byte = byte_at(text, at)
                    if what == RAW and byte != 110:
                        start = at
                        at = skip(text, start, limit, depth + 1, scratch + 8 * OPEN_OBJECTS)
                        if at < 0:
                            break
                        put_long(cells, slot, start | ((at - start) << 32))
                        put_byte(seen, slot, PRESENT)
                    elif byte == 34:
                        if what != STRING:
                            break
                        start = at + 1
                        at, length, escapes = string(text, start, limit)
                        if at < 0:
                            break
                        put_long(cells, slot, start | (length << 32) | (_HAS_ESCAPES if escapes else 0))
                        put_byte(seen, slot, PRESENT)
                    elif byte == 45 or 48 <= byte <= 57:
                        if what != INT and what != DOUBLE:
                            break
                        at, value = number(text, at, limit, what == DOUBLE)
                        if at < 0:
                            break
                        put_long(cells, slot, value)
                        put_byte(seen, slot, PRESENT)
                    elif byte == 123 or byte == 91:
                        opens_struct = byte == 123
                        if what != (STRUCT if opens_struct else LIST) or depth + 1 >= MAX_DEPTH:
                            break
                        put_byte(seen, slot, PRESENT)
                        put_long(scratch, OUTER_NODE + depth, container)
                        put_long(scratch, OUTER_INDEX + depth, index)
                        put_long(scratch, OUTER_NEXT + depth, position)
                        depth += 1
                        container, index, is_struct = node, value_index, opens_struct
                        if opens_struct:
                            begin, known, position = _of(nodes, node, FIRST), _of(nodes, node, CHILDREN), 0
                        else:
                            position = _taken(nodes, node, counts)
                        at = skip_blanks(text, at + 1)
                        # Of both kinds, the closing bracket stands two behind the opening one in ASCII.
                        behind = byte_at(text, at) == byte + 2
                        continue
                    elif byte == 110:
                        if not follow(text, at, 117, 108, 108):
                            break
                        put_byte(seen, slot, NULL)
                        at += 4
                    elif byte == 116:
                        if what != BOOL or not follow(text, at, 114, 117, 101):
                            break
                        put_long(cells, slot, 1)
                        put_byte(seen, slot, PRESENT)
                        at += 4
                    elif byte == 102:
                        if what != BOOL or not follow(text, at, 97, 108, 115) or byte_at(text, at + 4) != 101:
                            break
                        put_long(cells, slot, 0)
                        put_byte(seen, slot, PRESENT)
                        at += 5
                    else:
                        break
                    at = skip_blanks(text, at)
                # Behind a value, or at the bracket that closes an empty container.
                behind = True
                while behind:
                    byte = byte_at(text, at)
                    if byte == 44:
                        behind = False
                    elif byte == (125 if is_struct else 93):
                        if not is_struct:
                            items = _taken(nodes, container, counts) - position
                            put_long(cells, _of(nodes, container, BASE) + index, items)
                        depth -= 1
                        if depth < 0:
                            break
                        container = long_at(scratch, OUTER_NODE + depth)
                        index, position = long_at(scratch, OUTER_INDEX + depth), long_at(scratch, OUTER_NEXT + depth)
                        is_struct = _of(nodes, container, KIND) == STRUCT
                        begin, known = _of(nodes, container, FIRST), _of(nodes, container, CHILDREN)
                    else:
                        break
                    at = skip_blanks(text, at + 1)
                if behind:
                    good = depth < 0 and byte_at(text, skip_blanks(text, at + 1)) == 10
                    break
        if full >= 0 or not good:
            # Take back what the line left: its slots count as never seen.
            for number_of in range(node_count):
                into = _of(nodes, number_of, SCOPE)
                if into == 0:
                    put_byte(seen, _of(nodes, number_of, BASE) + row, UNSEEN)
                else:
                    start = _of(nodes, number_of, BASE)
                    for slot in range(start + long_at(scratch, BEFORE + into), start + long_at(counts, into)):
                        put_byte(seen, slot, UNSEEN)
            for number_of in range(scopes):
                put_long(counts, number_of, long_at(scratch, BEFORE + number_of))
            if full >= 0:
                _leave(progress, line_start, line, row, aside_count)
                put_long(progress, FULL_SCOPE, full)
                return FULL
            put_long(aside, aside_count, line)
            aside_count += 1
            at = line_start
            while byte_at(text, at) != 10:
                at += 1
        else:
            put_long(rows, row, line)
            row += 1
            at = skip_blanks(text, at + 1)
        at += 1
        line += 1
    _leave(progress, at, line, row, aside_count)
    return DONE


@inlined
def _leave(progress, at, line, rows, aside):
    put_long(progress, AT, at)
    put_long(progress, LINE, line)
    put_long(progress, ROWS, rows)
    put_long(progress, ASIDE, aside)
