"""JSON values: reading strings and numbers, and skipping whole values, strict to the letter of RFC 8259.

Every function takes the offset of a value and returns the offset after it. That is -1 if the value is malformed, if it
is not exact, or if only the tolerant parser handles it. A text ends with a newline, which stops every loop. `limit` is
the last offset from which `VECTOR_BYTES` can be loaded.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import MAX_DEPTH, VECTOR_BYTES
from lake_pipeline.convert.native.source.ascii import (
    BACKSLASH,
    CLOSE_BRACE,
    CLOSE_BRACKET,
    COLON,
    COMMA,
    LOWER_A,
    LOWER_B,
    LOWER_E,
    LOWER_F,
    LOWER_L,
    LOWER_N,
    LOWER_R,
    LOWER_S,
    LOWER_T,
    LOWER_U,
    MINUS,
    NINE,
    OPEN_BRACE,
    OPEN_BRACKET,
    PLUS,
    POINT,
    QUOTE,
    RETURN,
    SLASH,
    SPACE,
    TAB,
    UPPER_A,
    UPPER_E,
    UPPER_F,
    ZERO,
)
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    load_byte,
    load_int64,
    load_uint64,
    lowest_bit,
    special_bits,
    store_int64,
)
from lake_pipeline.convert.native.source.numbers import POWERS_OF_TEN, bits_of, double_bits

PLAIN = np.ones(256, dtype=np.bool_)
"""Bytes of a string that need no check and no decoding: printable ASCII except quote and backslash."""
PLAIN[:SPACE] = False
PLAIN[128:] = False
PLAIN[[QUOTE, BACKSLASH]] = False

EXACT_INT = np.uint64(2**53)
_TEN = np.uint64(10)
_MANTISSA_LIMIT = np.uint64((2**64 - 10) // 10)
_WHOLE_POWERS = np.array([10**power for power in range(9)], dtype=np.uint64)

_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_PAIRS = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(100 + (1_000_000 << 32))
_ONES = np.uint64(1 + (10_000 << 32))
_U8, _U16, _U32 = np.uint64(8), np.uint64(16), np.uint64(32)

_SAFE_DIGITS = 18
"""This many digits never overflow 64 bits."""


@inlined
def skip_blanks(text, at):
    while True:
        byte = load_byte(text, at)
        if byte > SPACE or (byte != SPACE and byte != TAB and byte != RETURN):
            return at
        at += 1


@inlined
def is_true(text, at):
    """Whether the `t` at `at` begins `true`."""
    return _continues(text, at, LOWER_R, LOWER_U, LOWER_E)


@inlined
def is_false(text, at):
    """Whether the `f` at `at` begins `false`."""
    return _continues(text, at, LOWER_A, LOWER_L, LOWER_S) and load_byte(text, at + 4) == LOWER_E


@inlined
def is_null(text, at):
    """Whether the `n` at `at` begins `null`."""
    return _continues(text, at, LOWER_U, LOWER_L, LOWER_L)


@inlined
def _continues(text, at, second, third, fourth):
    return load_byte(text, at + 1) == second and load_byte(text, at + 2) == third and load_byte(text, at + 3) == fourth


@compiled
def hex4(text, at):
    """The value of four hexadecimal digits, or -1."""
    value = 0
    for offset in range(4):
        byte = load_byte(text, at + offset)
        if ZERO <= byte <= NINE:
            digit = byte - ZERO
        elif LOWER_A <= byte <= LOWER_F:
            digit = byte - LOWER_A + 10
        elif UPPER_A <= byte <= UPPER_F:
            digit = byte - UPPER_A + 10
        else:
            return -1
        value = value * 16 + digit
    return value


@compiled
def _utf8_length(text, at):
    """The bytes of the character whose first byte is above 127; 0 if it is not valid UTF-8 (Unicode 15, table 3-7)."""
    lead, second = load_byte(text, at), load_byte(text, at + 1)
    if 0xC2 <= lead <= 0xDF:
        return 2 if 0x80 <= second <= 0xBF else 0
    if second < 0x80 or second > 0xBF:
        return 0
    third = load_byte(text, at + 2)
    if 0xE0 <= lead <= 0xEF:
        if third < 0x80 or third > 0xBF or (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F):
            return 0
        return 3
    if 0xF0 <= lead <= 0xF4:
        if third < 0x80 or third > 0xBF or (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F):
            return 0
        return 4 if 0x80 <= load_byte(text, at + 3) <= 0xBF else 0
    return 0


@inlined
def read_string(text, at, limit):
    """Read a string, `at` being after its quote: (offset after the closing quote or -1, decoded bytes, has escapes)."""
    start = at
    while at <= limit:
        special = special_bits(text, at)
        if special:
            at += lowest_bit(special)
            break
        at += VECTOR_BYTES
    if load_byte(text, at) == QUOTE:
        return at + 1, at - start, False
    return _read_string_bytewise(text, at, at - start)


@compiled
def _read_string_bytewise(text, at, length):
    """`read_string` from inside a string, byte by byte; `length` decoded bytes come before `at`."""
    escapes = False
    while True:
        start = at
        while PLAIN[load_byte(text, at)]:
            at += 1
        length += at - start
        byte = load_byte(text, at)
        if byte == QUOTE:
            return at + 1, length, escapes
        if byte == BACKSLASH:
            escapes = True
            byte = load_byte(text, at + 1)
            if byte == LOWER_U:
                code = hex4(text, at + 2)
                at += 6
                if code < 0 or 0xDC00 <= code <= 0xDFFF:
                    return -1, 0, False
                if 0xD800 <= code <= 0xDBFF:
                    if load_byte(text, at) != BACKSLASH or load_byte(text, at + 1) != LOWER_U:
                        return -1, 0, False
                    low = hex4(text, at + 2)
                    if low < 0xDC00 or low > 0xDFFF:
                        return -1, 0, False
                    at += 6
                    length += 4
                else:
                    length += 1 if code < 0x80 else (2 if code < 0x800 else 3)
            elif byte in (QUOTE, BACKSLASH, SLASH, LOWER_B, LOWER_F, LOWER_N, LOWER_R, LOWER_T):
                at += 2
                length += 1
            else:
                return -1, 0, False
        elif byte < SPACE:
            return -1, 0, False
        else:
            size = _utf8_length(text, at)
            if size == 0:
                return -1, 0, False
            at += size
            length += size


@inlined
def _few_digits(text, at):
    """The number of leading digits in eight bytes, and their value (Lemire, "Number Parsing at a Gigabyte per Second",
    2021). No branch depends on the number, so mixed lengths cause no branch mispredictions."""
    digits = load_uint64(text, at) ^ _ZEROS
    # The first byte above nine is exact; carries reach only the bytes after it.
    others = ((digits + _ABOVE_NINE) | digits) & _HIGH_BITS
    if others == 0:
        count = 8
    else:
        count = lowest_bit(others) >> 3
        if count == 0:
            return 0, np.uint64(0)
        digits <<= np.uint64(64 - 8 * count)
    digits = digits * _TEN + (digits >> _U8)
    return count, ((digits & _PAIRS) * _HUNDREDS + ((digits >> _U16) & _PAIRS) * _ONES) >> _U32


@inlined
def _digits(text, at, mantissa):
    """Append up to sixteen digits to `mantissa`: (offset after them, mantissa, number of digits)."""
    count, value = _few_digits(text, at)
    mantissa = mantissa * _WHOLE_POWERS[count] + value
    if count == 8:
        more, value = _few_digits(text, at + 8)
        mantissa = mantissa * _WHOLE_POWERS[more] + value
        count += more
    return at + count, mantissa, count


@inlined
def read_number(text, at, limit, is_double):
    """Read a number: (offset after it, or -1 if it would not be exact; the integer, or the bits of the double)."""
    begin = at
    if at > limit:
        return _read_any_number(text, begin, is_double)
    negative = load_byte(text, at) == MINUS
    if negative:
        at += 1
    leading_zero = load_byte(text, at) == ZERO
    at, mantissa, whole = _digits(text, at, np.uint64(0))
    byte = load_byte(text, at)
    if whole == 0 or whole == 16 or byte == LOWER_E or byte == UPPER_E or (leading_zero and whole > 1):
        return _read_any_number(text, begin, is_double)
    if not is_double:
        if byte == POINT:
            return _read_any_number(text, begin, is_double)
        return at, -np.int64(mantissa) if negative else np.int64(mantissa)
    part = 0
    if byte == POINT:
        if at > limit:
            return _read_any_number(text, begin, is_double)
        at, mantissa, part = _digits(text, at + 1, mantissa)
        byte = load_byte(text, at)
        if part == 0 or part == 16 or whole + part > _SAFE_DIGITS or byte == LOWER_E or byte == UPPER_E:
            return _read_any_number(text, begin, is_double)
    elif mantissa > EXACT_INT:
        return -1, np.int64(0)
    bits = _double(mantissa, -part)
    if bits < 0:
        return -1, np.int64(0)
    return at, bits | np.int64(-(2**63)) if negative else bits


@compiled
def _more_digits(text, at, mantissa):
    """Append digits to `mantissa`: (offset after them, mantissa, whether it overflowed)."""
    overflow = False
    while ZERO <= load_byte(text, at) <= NINE:
        if mantissa > _MANTISSA_LIMIT:
            overflow = True
        mantissa = mantissa * _TEN + np.uint64(load_byte(text, at) - ZERO)
        at += 1
    return at, mantissa, overflow


@compiled
def _read_any_number(text, at, is_double):
    """`read_number` for every valid number, digit by digit."""
    negative = load_byte(text, at) == MINUS
    if negative:
        at += 1
    start = at
    at, mantissa, overflow = _more_digits(text, at, np.uint64(0))
    if at == start or overflow or (load_byte(text, start) == ZERO and at - start > 1):
        return -1, np.int64(0)
    is_integer = True
    exponent = 0
    if load_byte(text, at) == POINT:
        is_integer = False
        start = at + 1
        at, mantissa, overflow = _more_digits(text, start, mantissa)
        if at == start or overflow:
            return -1, np.int64(0)
        exponent = start - at
    if load_byte(text, at) == LOWER_E or load_byte(text, at) == UPPER_E:
        is_integer = False
        at += 1
        down = load_byte(text, at) == MINUS
        if down or load_byte(text, at) == PLUS:
            at += 1
        start = at
        at, power, overflow = _more_digits(text, at, np.uint64(0))
        if at == start or at - start > 4:
            return -1, np.int64(0)
        exponent += -np.int64(power) if down else np.int64(power)
    if not is_double:
        largest = np.uint64(2**63) if negative else np.uint64(2**63 - 1)
        if not is_integer:
            mantissa, largest = _whole(mantissa, exponent), EXACT_INT
        if mantissa > largest:
            return -1, np.int64(0)
        return at, -np.int64(mantissa) if negative else np.int64(mantissa)
    if is_integer and mantissa > EXACT_INT:
        return -1, np.int64(0)
    bits = _double(mantissa, exponent)
    if bits < 0:
        return -1, np.int64(0)
    return at, bits | np.int64(-(2**63)) if negative else bits


@compiled
def _whole(mantissa, exponent):
    """mantissa x 10^exponent if that is an integer up to 2^53, as in `7.0` and `1e2`; else more than 2^53."""
    while exponent < 0 and mantissa != 0:
        if mantissa % _TEN != 0:
            return EXACT_INT + np.uint64(1)
        mantissa //= _TEN
        exponent += 1
    while exponent > 0 and mantissa != 0 and mantissa <= EXACT_INT:
        mantissa *= _TEN
        exponent -= 1
    return mantissa


@compiled
def _double(mantissa, exponent):
    """The bits of a positive double, or -1."""
    if mantissa == 0:
        return np.int64(0)
    if mantissa <= EXACT_INT and -22 <= exponent <= 22:
        if exponent >= 0:
            return bits_of(np.float64(mantissa) * POWERS_OF_TEN[exponent])
        return bits_of(np.float64(mantissa) / POWERS_OF_TEN[-exponent])
    return double_bits(mantissa, exponent)


@compiled
def _skip_digits(text, at):
    """The offset after one or more digits, or -1."""
    start = at
    while ZERO <= load_byte(text, at) <= NINE:
        at += 1
    return at if at > start else -1


@compiled
def _skip_scalar(text, at, limit):
    """The offset after a string, a number or a literal, or -1."""
    byte = load_byte(text, at)
    if byte == QUOTE:
        return read_string(text, at + 1, limit)[0]
    if byte == LOWER_T:
        return at + 4 if is_true(text, at) else -1
    if byte == LOWER_N:
        return at + 4 if is_null(text, at) else -1
    if byte == LOWER_F:
        return at + 5 if is_false(text, at) else -1
    if byte == MINUS:
        at += 1
    start = at
    at = _skip_digits(text, at)
    if at < 0 or (load_byte(text, start) == ZERO and at - start > 1):
        return -1
    if load_byte(text, at) == POINT:
        at = _skip_digits(text, at + 1)
        if at < 0:
            return -1
    if load_byte(text, at) == LOWER_E or load_byte(text, at) == UPPER_E:
        at += 1
        if load_byte(text, at) == MINUS or load_byte(text, at) == PLUS:
            at += 1
        at = _skip_digits(text, at)
    return at


@compiled
def _skip_key(text, at, limit):
    """The offset after a key and its colon, or -1."""
    at = skip_blanks(text, at)
    if load_byte(text, at) != QUOTE:
        return -1
    at = read_string(text, at + 1, limit)[0]
    if at < 0:
        return -1
    at = skip_blanks(text, at)
    return at + 1 if load_byte(text, at) == COLON else -1


@compiled
def skip_value(text, at, limit, outer_depth, is_object):
    """The offset after a value of any kind; -1 if it is not strict JSON or too deep.

    `outer_depth` containers around it are open. `is_object` has room for `MAX_DEPTH` integers.
    """
    depth = 0
    while True:
        at = skip_blanks(text, at)
        byte = load_byte(text, at)
        if byte == OPEN_BRACE or byte == OPEN_BRACKET:
            if outer_depth + depth == MAX_DEPTH:
                return -1
            store_int64(is_object, depth, byte == OPEN_BRACE)
            depth += 1
            at = skip_blanks(text, at + 1)
            if load_byte(text, at) != byte + 2:
                if byte == OPEN_BRACE:
                    at = _skip_key(text, at, limit)
                    if at < 0:
                        return -1
                continue
            at += 1
            depth -= 1
        else:
            at = _skip_scalar(text, at, limit)
            if at < 0:
                return -1
        while True:
            if depth == 0:
                return at
            at = skip_blanks(text, at)
            byte = load_byte(text, at)
            at += 1
            if byte == COMMA:
                if load_int64(is_object, depth - 1):
                    at = _skip_key(text, at, limit)
                    if at < 0:
                        return -1
                break
            if byte != (CLOSE_BRACE if load_int64(is_object, depth - 1) else CLOSE_BRACKET):
                return -1
            depth -= 1
