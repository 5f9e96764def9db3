"""The scan: one pass over JSON lines that leaves every value in the slot of its node and index, in compiled code.

It is strict: a line is taken whole and exact, or set aside whole. Set aside is whatever is not JSON, a key that the
plan does not know or that is repeated, a value of another kind than its node's, and what a column would not hold
exactly. Nothing is allocated for a value; where a scope runs out of slots the caller makes room and goes on with the
same line.

What is left of a value, by the kind of its node: INT the number; DOUBLE its bits; BOOL 0 or 1; STRING where it starts
(32 bits), the bytes of its text (31 bits) and whether it has escapes (the sign); RAW the same of the whole value as
it was written; LIST how many items it has.

Functions here are long and plain on purpose: they are one loop in machine code.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lake_pipeline.contract.shapes import Kind
from lake_pipeline.convert.shred.numbers import POWERS_OF_TEN, bits_of, double_bits
from lake_pipeline.convert.shred.plan import KINDS, RAW

UNSEEN, PRESENT, NULL = 0, 1, 2
"""What `seen` says of a slot."""

MAX_DEPTH = 256
"""Containers open at a time; a contract that is deeper is not scanned."""

DONE, FULL = 0, 1
"""Why a scan came back: the text is done, or a scope is full."""

_BOOL, _INT, _DOUBLE = KINDS[Kind.BOOL], KINDS[Kind.INT], KINDS[Kind.DOUBLE]
_STRING, _LIST, _STRUCT = KINDS[Kind.STRING], KINDS[Kind.LIST], KINDS[Kind.STRUCT]

_FIRST_KEY, _KEY, _VALUE, _AFTER = 0, 1, 2, 3

PLAIN = np.ones(256, dtype=np.bool_)
"""Bytes of a string that stand for themselves and need no look: printable ASCII but the quote and the backslash."""
PLAIN[:32] = False
PLAIN[128:] = False
PLAIN[[34, 92]] = False

EXACT_INT = np.uint64(2**53)
_TEN = np.uint64(10)
_MANTISSA_LIMIT = np.uint64((2**64 - 10) // 10)


@njit(cache=True, nogil=True, inline="always")
def _skip_blanks(text, at):
    while text[at] == 32 or text[at] == 9 or text[at] == 13:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _hex4(text, at):
    """The value of four hexadecimal digits; -1 where there are none."""
    value = 0
    for offset in range(4):
        byte = text[at + offset]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= byte <= 102:
            digit = byte - 87
        elif 65 <= byte <= 70:
            digit = byte - 55
        else:
            return -1
        value = value * 16 + digit
    return value


@njit(cache=True, nogil=True)
def _utf8_length(text, at):
    """The bytes of the character that begins at a byte above 127; 0 where it is no UTF-8 (Unicode 15, table 3-7)."""
    lead, second = text[at], text[at + 1]
    if 0xC2 <= lead <= 0xDF:
        return 2 if 0x80 <= second <= 0xBF else 0
    if second < 0x80 or second > 0xBF:
        return 0
    third = text[at + 2]
    if 0xE0 <= lead <= 0xEF:
        if third < 0x80 or third > 0xBF or (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F):
            return 0
        return 3
    if 0xF0 <= lead <= 0xF4:
        if third < 0x80 or third > 0xBF or (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F):
            return 0
        return 4 if 0x80 <= text[at + 3] <= 0xBF else 0
    return 0


@njit(cache=True, nogil=True)
def _string(text, at):
    """Walk a string from behind its quote: (behind the closing quote or -1, bytes of its text, has escapes)."""
    length = 0
    escapes = False
    while True:
        start = at
        while PLAIN[text[at]]:
            at += 1
        length += at - start
        byte = text[at]
        if byte == 34:
            return at + 1, length, escapes
        if byte == 92:
            escapes = True
            byte = text[at + 1]
            if byte == 117:
                code = _hex4(text, at + 2)
                at += 6
                if code < 0 or 0xDC00 <= code <= 0xDFFF:
                    return -1, 0, False
                if 0xD800 <= code <= 0xDBFF:
                    if text[at] != 92 or text[at + 1] != 117:
                        return -1, 0, False
                    low = _hex4(text, at + 2)
                    if low < 0xDC00 or low > 0xDFFF:
                        return -1, 0, False
                    at += 6
                    length += 4
                else:
                    length += 1 if code < 0x80 else (2 if code < 0x800 else 3)
            elif byte in (34, 92, 47, 98, 102, 110, 114, 116):
                at += 2
                length += 1
            else:
                return -1, 0, False
        elif byte < 32:
            return -1, 0, False
        else:
            size = _utf8_length(text, at)
            if size == 0:
                return -1, 0, False
            at += size
            length += size


@njit(cache=True, nogil=True)
def _digits(text, at, mantissa):
    """Add digits to `mantissa`: (behind them, mantissa, whether it overflowed)."""
    overflow = False
    while 48 <= text[at] <= 57:
        if mantissa > _MANTISSA_LIMIT:
            overflow = True
        mantissa = mantissa * _TEN + np.uint64(text[at] - 48)
        at += 1
    return at, mantissa, overflow


@njit(cache=True, nogil=True)
def _number(text, at, is_double):
    """Read a number: (behind it or -1, the integer or the bits of the double). -1 also where it would not be exact."""
    negative = text[at] == 45
    if negative:
        at += 1
    start = at
    at, mantissa, overflow = _digits(text, at, np.uint64(0))
    if at == start or overflow or (text[start] == 48 and at - start > 1):
        return -1, np.int64(0)
    is_integer = True
    exponent = 0
    if text[at] == 46:
        is_integer = False
        start = at + 1
        at, mantissa, overflow = _digits(text, start, mantissa)
        if at == start or overflow:
            return -1, np.int64(0)
        exponent = start - at
    if text[at] == 101 or text[at] == 69:
        is_integer = False
        at += 1
        down = text[at] == 45
        if down or text[at] == 43:
            at += 1
        start = at
        at, power, overflow = _digits(text, at, np.uint64(0))
        if at == start or at - start > 4:
            return -1, np.int64(0)
        exponent += -np.int64(power) if down else np.int64(power)
    if not is_double:
        limit = np.uint64(2**63) if negative else np.uint64(2**63 - 1)
        if not is_integer or mantissa > limit:
            return -1, np.int64(0)
        return at, -np.int64(mantissa) if negative else np.int64(mantissa)
    if is_integer and mantissa > EXACT_INT:
        return -1, np.int64(0)
    bits = _double(mantissa, exponent)
    if bits < 0:
        return -1, np.int64(0)
    return at, bits | np.int64(-(2**63)) if negative else bits


@njit(cache=True, nogil=True)
def _double(mantissa, exponent):
    """The bits of a positive double, or -1."""
    if mantissa == 0:
        return np.int64(0)
    if mantissa <= EXACT_INT and -22 <= exponent <= 22:
        if exponent >= 0:
            return bits_of(np.float64(mantissa) * POWERS_OF_TEN[exponent])
        return bits_of(np.float64(mantissa) / POWERS_OF_TEN[-exponent])
    return double_bits(mantissa, exponent)


@njit(cache=True, nogil=True)
def _skip_digits(text, at):
    """Behind one or more digits; -1 where there are none."""
    start = at
    while 48 <= text[at] <= 57:
        at += 1
    return at if at > start else -1


@njit(cache=True, nogil=True)
def _skip_scalar(text, at):
    """Behind a string, a number or a literal; -1 where there is none."""
    byte = text[at]
    if byte == 34:
        return _string(text, at + 1)[0]
    if byte == 116:
        return at + 4 if text[at + 1] == 114 and text[at + 2] == 117 and text[at + 3] == 101 else -1
    if byte == 110:
        return at + 4 if text[at + 1] == 117 and text[at + 2] == 108 and text[at + 3] == 108 else -1
    if byte == 102:
        if text[at + 1] == 97 and text[at + 2] == 108 and text[at + 3] == 115 and text[at + 4] == 101:
            return at + 5
        return -1
    if byte == 45:
        at += 1
    start = at
    at = _skip_digits(text, at)
    if at < 0 or (text[start] == 48 and at - start > 1):
        return -1
    if text[at] == 46:
        at = _skip_digits(text, at + 1)
        if at < 0:
            return -1
    if text[at] == 101 or text[at] == 69:
        at += 1
        if text[at] == 45 or text[at] == 43:
            at += 1
        at = _skip_digits(text, at)
    return at


@njit(cache=True, nogil=True)
def _skip_key(text, at):
    """Behind a key and its colon; -1 where there is none."""
    at = _skip_blanks(text, at)
    if text[at] != 34:
        return -1
    at = _string(text, at + 1)[0]
    if at < 0:
        return -1
    at = _skip_blanks(text, at)
    return at + 1 if text[at] == 58 else -1


@njit(cache=True, nogil=True)
def _skip(text, at, outside):
    """Behind a whole value of any kind, which is as strictly JSON as all else; -1 where it is not, or too deep
    inside the containers that are open outside of it."""
    is_object = np.zeros(MAX_DEPTH, dtype=np.bool_)
    depth = 0
    while True:
        at = _skip_blanks(text, at)
        byte = text[at]
        if byte == 123 or byte == 91:
            if outside + depth == MAX_DEPTH:
                return -1
            is_object[depth] = byte == 123
            depth += 1
            at = _skip_blanks(text, at + 1)
            if text[at] != byte + 2:
                if byte == 123:
                    at = _skip_key(text, at)
                    if at < 0:
                        return -1
                continue
            at += 1
            depth -= 1
        else:
            at = _skip_scalar(text, at)
            if at < 0:
                return -1
        while True:
            if depth == 0:
                return at
            at = _skip_blanks(text, at)
            byte = text[at]
            at += 1
            if byte == 44:
                if is_object[depth - 1]:
                    at = _skip_key(text, at)
                    if at < 0:
                        return -1
                break
            if byte != (125 if is_object[depth - 1] else 93):
                return -1
            depth -= 1


@njit(cache=True, nogil=True)
def _is_key(text, at, length, keys, start, key_length):
    if length != key_length:
        return False
    for offset in range(length):  # noqa: SIM110  (a generator is no loop of machine code)
        if text[at + offset] != keys[start + offset]:
            return False
    return True


@njit(cache=True, nogil=True)
def scan(
    text, progress, kind, scope, item, first, children, child, key_start, key_length, keys,
    base, room, seen, cells, counts, rows, aside,
):  # fmt: skip
    """Scan `text` (whole lines, each ended by a newline) from where `progress` says, until the end or a full scope.

    `progress` is (byte, line, rows, lines aside, full scope); `base` is the first slot of each node, `room` and
    `counts` the slots of each scope and how many are taken; `rows` and `aside` receive the numbers of the lines.
    """
    at, line, row, aside_count = progress[0], progress[1], progress[2], progress[3]
    node_of = np.empty(MAX_DEPTH, dtype=np.int64)
    index_of = np.empty(MAX_DEPTH, dtype=np.int64)
    next_of = np.empty(MAX_DEPTH, dtype=np.int64)
    before = np.empty(len(counts), dtype=np.int64)
    size = len(text)
    while at < size:
        line_start = at
        for number in range(len(counts)):
            before[number] = counts[number]
        full = -1
        good = False
        at = _skip_blanks(text, at)
        if text[at] == 123:
            at += 1
            depth = 0
            node_of[0], index_of[0], next_of[0] = 0, row, 0
            state = _FIRST_KEY
            node = 0
            index = row
            while True:
                if state == _AFTER:
                    if depth < 0:
                        at = _skip_blanks(text, at)
                        good = text[at] == 10
                        break
                    at = _skip_blanks(text, at)
                    byte = text[at]
                    at += 1
                    container = node_of[depth]
                    if kind[container] == _STRUCT:
                        if byte == 44:
                            at = _skip_blanks(text, at)
                            state = _KEY
                        elif byte == 125:
                            depth -= 1
                        else:
                            break
                    elif byte == 44:
                        at = _skip_blanks(text, at)
                        node = item[container]
                        state = _VALUE
                    elif byte == 93:
                        slot = base[container] + index_of[depth]
                        cells[slot] = counts[scope[item[container]]] - next_of[depth]
                        depth -= 1
                    else:
                        break
                elif state == _VALUE:
                    into = scope[node]
                    if depth >= 0 and kind[node_of[depth]] == _LIST:
                        index = counts[into]
                        if index >= room[into]:
                            full = into
                            break
                        counts[into] = index + 1
                    slot = base[node] + index
                    what = kind[node]
                    byte = text[at]
                    state = _AFTER
                    if what >= RAW and byte != 110:
                        start = at
                        at = _skip(text, start, depth + 1)
                        if at < 0:
                            break
                        cells[slot] = start | ((at - start) << 32)
                        seen[slot] = PRESENT if what == RAW else NULL
                    elif byte == 34:
                        if what != _STRING:
                            break
                        start = at + 1
                        at, length, escapes = _string(text, start)
                        if at < 0:
                            break
                        cells[slot] = start | (length << 32)
                        if escapes:
                            cells[slot] |= np.int64(-(2**63))
                        seen[slot] = PRESENT
                    elif byte == 45 or 48 <= byte <= 57:
                        if what != _INT and what != _DOUBLE:
                            break
                        at, value = _number(text, at, what == _DOUBLE)
                        if at < 0:
                            break
                        cells[slot] = value
                        seen[slot] = PRESENT
                    elif byte == 123:
                        if what != _STRUCT or depth + 1 >= MAX_DEPTH:
                            break
                        seen[slot] = PRESENT
                        at += 1
                        depth += 1
                        node_of[depth], index_of[depth], next_of[depth] = node, index, 0
                        state = _FIRST_KEY
                    elif byte == 91:
                        if what != _LIST or depth + 1 >= MAX_DEPTH:
                            break
                        seen[slot] = PRESENT
                        at = _skip_blanks(text, at + 1)
                        if text[at] == 93:
                            cells[slot] = 0
                            at += 1
                        else:
                            depth += 1
                            node_of[depth], index_of[depth] = node, index
                            next_of[depth] = counts[scope[item[node]]]
                            node = item[node]
                            state = _VALUE
                    elif byte == 110:
                        if text[at + 1] != 117 or text[at + 2] != 108 or text[at + 3] != 108:
                            break
                        seen[slot] = NULL
                        at += 4
                    elif byte == 116:
                        if what != _BOOL or text[at + 1] != 114 or text[at + 2] != 117 or text[at + 3] != 101:
                            break
                        cells[slot] = 1
                        seen[slot] = PRESENT
                        at += 4
                    elif byte == 102:
                        if what != _BOOL or text[at + 1] != 97 or text[at + 2] != 108 or text[at + 3] != 115:
                            break
                        if text[at + 4] != 101:
                            break
                        cells[slot] = 0
                        seen[slot] = PRESENT
                        at += 5
                    else:
                        break
                else:
                    if state == _FIRST_KEY:
                        at = _skip_blanks(text, at)
                        if text[at] == 125:
                            at += 1
                            depth -= 1
                            state = _AFTER
                            continue
                    if text[at] != 34:
                        break
                    start = at + 1
                    at = start
                    while PLAIN[text[at]] or text[at] >= 128:
                        at += 1
                    if text[at] != 34:
                        break
                    container = node_of[depth]
                    known = children[container]
                    node = -1
                    guess = next_of[depth]
                    for turn in range(known):
                        position = guess + turn
                        if position >= known:
                            position -= known
                        candidate = child[first[container] + position]
                        if _is_key(text, start, at - start, keys, key_start[candidate], key_length[candidate]):
                            node = candidate
                            next_of[depth] = position + 1
                            break
                    if node < 0:
                        break
                    at = _skip_blanks(text, at + 1)
                    if text[at] != 58:
                        break
                    at = _skip_blanks(text, at + 1)
                    index = index_of[depth]
                    if seen[base[node] + index] != UNSEEN:
                        break
                    state = _VALUE
        if full >= 0 or not good:
            # Take back what the line left: its slots count as never seen.
            for number in range(len(kind)):
                into = scope[number]
                if into == 0:
                    seen[base[number] + row] = UNSEEN
                else:
                    for slot in range(base[number] + before[into], base[number] + counts[into]):
                        seen[slot] = UNSEEN
            for number in range(len(counts)):
                counts[number] = before[number]
            if full >= 0:
                progress[0], progress[1], progress[2], progress[3] = line_start, line, row, aside_count
                progress[4] = full
                return FULL
            aside[aside_count] = line
            aside_count += 1
            at = line_start
            while text[at] != 10:
                at += 1
        else:
            rows[row] = line
            row += 1
        at += 1
        line += 1
    progress[0], progress[1], progress[2], progress[3] = at, line, row, aside_count
    return DONE
