"""Values: strings, numbers and whole values of any kind, walked in compiled code, strict to the letter of RFC 8259.

Every function gets the place of a value and gives the place behind it, or -1 where the value is not sound, not exact
or not for compiled code. A text ends with a newline, which stops every walk. `limit` is the last place from which
`WIDE` bytes may be loaded.

Functions here are long and plain on purpose: they are inlined into one loop of machine code.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import MAX_DEPTH, WIDE
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.numbers import POWERS_OF_TEN, bits_of, double_bits
from lake_pipeline.convert.native.source.words import byte_at, first_bit, long_at, put_long, special_bytes, word_at

PLAIN = np.ones(256, dtype=np.bool_)
"""Bytes of a string that stand for themselves and need no look: printable ASCII but the quote and the backslash."""
PLAIN[:32] = False
PLAIN[128:] = False
PLAIN[[34, 92]] = False

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
"""So many digits never overflow 64 bits."""


@inlined
def skip_blanks(text, at):
    while True:
        byte = byte_at(text, at)
        if byte > 32 or (byte != 32 and byte != 9 and byte != 13):
            return at
        at += 1


@inlined
def follow(text, at, second, third, fourth):
    """Whether these three bytes stand behind the one at `at`."""
    return byte_at(text, at + 1) == second and byte_at(text, at + 2) == third and byte_at(text, at + 3) == fourth


@compiled
def hex4(text, at):
    """The value of four hexadecimal digits; -1 where there are none."""
    value = 0
    for offset in range(4):
        byte = byte_at(text, at + offset)
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


@compiled
def _utf8_length(text, at):
    """The bytes of the character that begins at a byte above 127; 0 where it is no UTF-8 (Unicode 15, table 3-7)."""
    lead, second = byte_at(text, at), byte_at(text, at + 1)
    if 0xC2 <= lead <= 0xDF:
        return 2 if 0x80 <= second <= 0xBF else 0
    if second < 0x80 or second > 0xBF:
        return 0
    third = byte_at(text, at + 2)
    if 0xE0 <= lead <= 0xEF:
        if third < 0x80 or third > 0xBF or (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F):
            return 0
        return 3
    if 0xF0 <= lead <= 0xF4:
        if third < 0x80 or third > 0xBF or (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F):
            return 0
        return 4 if 0x80 <= byte_at(text, at + 3) <= 0xBF else 0
    return 0


@inlined
def string(text, at, limit):
    """Walk a string from behind its quote: (behind the closing quote or -1, bytes of its text, has escapes)."""
    start = at
    while at <= limit:
        special = special_bytes(text, at)
        if special:
            at += first_bit(special)
            break
        at += WIDE
    if byte_at(text, at) == 34:
        return at + 1, at - start, False
    return _odd_string(text, at, at - start)


@compiled
def _odd_string(text, at, length):
    """The same from somewhere inside a string, byte by byte; `length` bytes of its text were seen."""
    escapes = False
    while True:
        start = at
        while PLAIN[byte_at(text, at)]:
            at += 1
        length += at - start
        byte = byte_at(text, at)
        if byte == 34:
            return at + 1, length, escapes
        if byte == 92:
            escapes = True
            byte = byte_at(text, at + 1)
            if byte == 117:
                code = hex4(text, at + 2)
                at += 6
                if code < 0 or 0xDC00 <= code <= 0xDFFF:
                    return -1, 0, False
                if 0xD800 <= code <= 0xDBFF:
                    if byte_at(text, at) != 92 or byte_at(text, at + 1) != 117:
                        return -1, 0, False
                    low = hex4(text, at + 2)
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


@inlined
def _few_digits(text, at):
    """How many digits stand at the beginning of eight bytes, and their value (Lemire, "Number Parsing at a Gigabyte
    per Second", 2021). No branch depends on how many: numbers of mixed lengths cost no wrong guesses."""
    digits = word_at(text, at) ^ _ZEROS
    # The first byte above nine is found exactly; carries only reach the bytes behind it.
    others = ((digits + _ABOVE_NINE) | digits) & _HIGH_BITS
    if others == 0:
        count = 8
    else:
        count = first_bit(others) >> 3
        if count == 0:
            return 0, np.uint64(0)
        digits <<= np.uint64(64 - 8 * count)
    digits = digits * _TEN + (digits >> _U8)
    return count, ((digits & _PAIRS) * _HUNDREDS + ((digits >> _U16) & _PAIRS) * _ONES) >> _U32


@inlined
def _digits(text, at, mantissa):
    """Add up to sixteen digits to `mantissa`: (behind them, mantissa, how many)."""
    count, value = _few_digits(text, at)
    mantissa = mantissa * _WHOLE_POWERS[count] + value
    if count == 8:
        more, value = _few_digits(text, at + 8)
        mantissa = mantissa * _WHOLE_POWERS[more] + value
        count += more
    return at + count, mantissa, count


@inlined
def number(text, at, limit, is_double):
    """Read a number: (behind it or -1, the integer or the bits of the double). -1 also where it would not be exact."""
    begin = at
    if at > limit:
        return _odd_number(text, begin, is_double)
    negative = byte_at(text, at) == 45
    if negative:
        at += 1
    leading_zero = byte_at(text, at) == 48
    at, mantissa, whole = _digits(text, at, np.uint64(0))
    byte = byte_at(text, at)
    if whole == 0 or whole == 16 or byte == 101 or byte == 69 or (leading_zero and whole > 1):
        return _odd_number(text, begin, is_double)
    if not is_double:
        if byte == 46:
            return -1, np.int64(0)
        return at, -np.int64(mantissa) if negative else np.int64(mantissa)
    part = 0
    if byte == 46:
        if at > limit:
            return _odd_number(text, begin, is_double)
        at, mantissa, part = _digits(text, at + 1, mantissa)
        byte = byte_at(text, at)
        if part == 0 or part == 16 or whole + part > _SAFE_DIGITS or byte == 101 or byte == 69:
            return _odd_number(text, begin, is_double)
    elif mantissa > EXACT_INT:
        return -1, np.int64(0)
    bits = _double(mantissa, -part)
    if bits < 0:
        return -1, np.int64(0)
    return at, bits | np.int64(-(2**63)) if negative else bits


@compiled
def _more_digits(text, at, mantissa):
    """Add digits to `mantissa`: (behind them, mantissa, whether it overflowed)."""
    overflow = False
    while 48 <= byte_at(text, at) <= 57:
        if mantissa > _MANTISSA_LIMIT:
            overflow = True
        mantissa = mantissa * _TEN + np.uint64(byte_at(text, at) - 48)
        at += 1
    return at, mantissa, overflow


@compiled
def _odd_number(text, at, is_double):
    """The same for every number there is, digit by digit."""
    negative = byte_at(text, at) == 45
    if negative:
        at += 1
    start = at
    at, mantissa, overflow = _more_digits(text, at, np.uint64(0))
    if at == start or overflow or (byte_at(text, start) == 48 and at - start > 1):
        return -1, np.int64(0)
    is_integer = True
    exponent = 0
    if byte_at(text, at) == 46:
        is_integer = False
        start = at + 1
        at, mantissa, overflow = _more_digits(text, start, mantissa)
        if at == start or overflow:
            return -1, np.int64(0)
        exponent = start - at
    if byte_at(text, at) == 101 or byte_at(text, at) == 69:
        is_integer = False
        at += 1
        down = byte_at(text, at) == 45
        if down or byte_at(text, at) == 43:
            at += 1
        start = at
        at, power, overflow = _more_digits(text, at, np.uint64(0))
        if at == start or at - start > 4:
            return -1, np.int64(0)
        exponent += -np.int64(power) if down else np.int64(power)
    if not is_double:
        largest = np.uint64(2**63) if negative else np.uint64(2**63 - 1)
        if not is_integer or mantissa > largest:
            return -1, np.int64(0)
        return at, -np.int64(mantissa) if negative else np.int64(mantissa)
    if is_integer and mantissa > EXACT_INT:
        return -1, np.int64(0)
    bits = _double(mantissa, exponent)
    if bits < 0:
        return -1, np.int64(0)
    return at, bits | np.int64(-(2**63)) if negative else bits


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
    """Behind one or more digits; -1 where there are none."""
    start = at
    while 48 <= byte_at(text, at) <= 57:
        at += 1
    return at if at > start else -1


@compiled
def _skip_scalar(text, at, limit):
    """Behind a string, a number or a literal; -1 where there is none."""
    byte = byte_at(text, at)
    if byte == 34:
        return string(text, at + 1, limit)[0]
    if byte == 116:
        return at + 4 if follow(text, at, 114, 117, 101) else -1
    if byte == 110:
        return at + 4 if follow(text, at, 117, 108, 108) else -1
    if byte == 102:
        return at + 5 if follow(text, at, 97, 108, 115) and byte_at(text, at + 4) == 101 else -1
    if byte == 45:
        at += 1
    start = at
    at = _skip_digits(text, at)
    if at < 0 or (byte_at(text, start) == 48 and at - start > 1):
        return -1
    if byte_at(text, at) == 46:
        at = _skip_digits(text, at + 1)
        if at < 0:
            return -1
    if byte_at(text, at) == 101 or byte_at(text, at) == 69:
        at += 1
        if byte_at(text, at) == 45 or byte_at(text, at) == 43:
            at += 1
        at = _skip_digits(text, at)
    return at


@compiled
def _skip_key(text, at, limit):
    """Behind a key and its colon; -1 where there is none."""
    at = skip_blanks(text, at)
    if byte_at(text, at) != 34:
        return -1
    at = string(text, at + 1, limit)[0]
    if at < 0:
        return -1
    at = skip_blanks(text, at)
    return at + 1 if byte_at(text, at) == 58 else -1


@compiled
def skip(text, at, limit, outside, is_object):
    """Behind a whole value of any kind, which is as strictly JSON as all else; -1 where it is not, or too deep
    inside the containers that are open outside of it. `is_object` is room for `MAX_DEPTH` numbers."""
    depth = 0
    while True:
        at = skip_blanks(text, at)
        byte = byte_at(text, at)
        if byte == 123 or byte == 91:
            if outside + depth == MAX_DEPTH:
                return -1
            put_long(is_object, depth, byte == 123)
            depth += 1
            at = skip_blanks(text, at + 1)
            if byte_at(text, at) != byte + 2:
                if byte == 123:
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
            byte = byte_at(text, at)
            at += 1
            if byte == 44:
                if long_at(is_object, depth - 1):
                    at = _skip_key(text, at, limit)
                    if at < 0:
                        return -1
                break
            if byte != (125 if long_at(is_object, depth - 1) else 93):
                return -1
            depth -= 1
