"""Numbers: from a decimal mantissa and exponent to the nearest double, rounded exactly.

Short numbers take the exact path of Clinger ("How to Read Floating Point Numbers Accurately", 1990): a mantissa below
2^53, times or over a power of ten up to 10^22, is rounded once. All others take the algorithm of Lemire ("Number
Parsing at a Gigabyte per Second", 2021) with 128 bits of each power of five. What neither decides, the caller rejects.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from lake_pipeline.convert.native.source.decorators import compiled

MIN_POWER, MAX_POWER = -342, 308
"""Powers of ten. Beyond them every double is zero or infinite."""

POWERS_OF_TEN = np.array([10.0**power for power in range(23)])


def _power_of_five(power: int) -> int:
    """The 128 leading bits of 5^power: truncated if it is an integer, rounded up if it is a fraction."""
    if power >= 0:
        value: int = 5**power
        return value << (128 - value.bit_length()) if value.bit_length() <= 128 else value >> (value.bit_length() - 128)
    bits = (5**-power).bit_length()
    value = 2 ** int(bits + 127 if power >= -27 else 2 * bits + 128) // 5**-power + 1
    return value >> max(0, value.bit_length() - 128)


def _powers_of_five() -> npt.NDArray[np.uint64]:
    """Shape (powers, 2): the high and the low 64 bits of each power."""
    values = [_power_of_five(power) for power in range(MIN_POWER, MAX_POWER + 1)]
    return np.array([(value >> 64, value & (2**64 - 1)) for value in values], dtype=np.uint64)


POWERS_OF_FIVE = _powers_of_five()

_LOW = np.uint64(0xFFFFFFFF)
_U32 = np.uint64(32)
_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@intrinsic
def bits_of(context, value):  # noqa: ARG001
    """The bits of a float64 as an int64."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.int64(types.float64), generate


@compiled
def _high_product(one, other):
    """The high 64 bits of the product of two 64-bit integers."""
    one_low, one_high = one & _LOW, one >> _U32
    other_low, other_high = other & _LOW, other >> _U32
    low = one_low * other_low
    middle = one_high * other_low + (low >> _U32)
    cross = one_low * other_high + (middle & _LOW)
    return one_high * other_high + (middle >> _U32) + (cross >> _U32)


@compiled
def double_bits(mantissa, exponent):
    """The bits of mantissa x 10^exponent as a positive double, or -1 if the algorithm does not decide it.

    `mantissa` is an exact uint64 above zero. Subnormal and infinite results are -1 too.
    """
    if exponent < MIN_POWER or exponent > MAX_POWER:
        return np.int64(-1)
    zeros = 0
    shifted = mantissa
    while shifted >> np.uint64(63) == 0:
        shifted <<= _ONE
        zeros += 1
    five_high = POWERS_OF_FIVE[exponent - MIN_POWER, 0]
    five_low = POWERS_OF_FIVE[exponent - MIN_POWER, 1]
    low = shifted * five_high
    high = _high_product(shifted, five_high)
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        carry = _high_product(shifted, five_low)
        low += carry
        if low < carry:
            high += _ONE
        if low == _ALL and (exponent < -27 or exponent > 55):
            return np.int64(-1)
    upper = high >> np.uint64(63)
    bits = high >> (upper + np.uint64(9))
    power = ((217706 * exponent) >> 16) + 63 + np.int64(upper) - zeros + 1023
    if power <= 0:
        return np.int64(-1)
    if low <= _ONE and -4 <= exponent <= 23 and bits & np.uint64(3) == _ONE and bits << (upper + np.uint64(9)) == high:
        bits &= ~_ONE
    bits += bits & _ONE
    bits >>= _ONE
    if bits >= np.uint64(1 << 53):
        bits = np.uint64(1 << 52)
        power += 1
    if power >= 0x7FF:
        return np.int64(-1)
    return np.int64((bits & np.uint64((1 << 52) - 1)) | (np.uint64(power) << np.uint64(52)))


@compiled
def nearest_double(mantissa, exponent):
    """`double_bits` for tests: the 64 bits of the mantissa are passed as a signed integer."""
    return double_bits(np.uint64(mantissa), exponent)
