"""Bounds: the smallest and the largest value of a page or a column, as readers that prune take them.

Readers trust them by the order that Parquet defines for each type. Doubles are told without NaN, and a bound that is
zero with the sign that includes both zeros. Texts longer than `LONGEST` have none.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from typing import Any

from lake_pipeline.convert.native.calling import call_with_numbers as call
from lake_pipeline.convert.parquet.schema import Form, Leaf
from lake_pipeline.convert.parquet.scratch import Scratch, double_of, long_of

LONGEST = 64
"""Bytes of a text that is a bound. Longer ones would fill footers, and nobody asks for a range of them."""

Bounds = tuple[Any, Any]
"""The smallest and the largest as Python orders them: numbers, bytes."""


def bounds_of(leaf: Leaf, values: int, count: int, size: int, memory: Scratch) -> Bounds | None:
    """Those of `count` values, one or more, in `size` bytes at an address; None where there are none to be told."""
    found = memory.room("bounds", 16)
    match leaf.form:
        case Form.LONGS:
            call("bounds_of_longs", values, count, found)
            return long_of(found), long_of(found, 1)
        case Form.INTS | Form.BITS:
            call("bounds_of_ints", values, count, found)
            return long_of(found), long_of(found, 1)
        case Form.DOUBLES:
            if not call("bounds_of_doubles", values, count, found):
                return None
            least, most = (double_of(values + 8 * long_of(found, side)) for side in (0, 1))
            return least if least != 0 else -0.0, most if most != 0 else 0.0
        case Form.TEXTS:
            call("bounds_of_texts", values, size, found)
            low, high = (_text(values + long_of(found, side)) for side in (0, 1))
            return (low, high) if low is not None and high is not None else None
        case Form.DECIMALS:
            call("bounds_of_decimals", values, count, leaf.width, found)
            places = values + long_of(found), values + long_of(found, 1)
            ends = [int.from_bytes(ctypes.string_at(place, leaf.width), "big", signed=True) for place in places]
            return ends[0], ends[1]
        case Form.NOTHING:
            return None


def _text(address: int) -> bytes | None:
    size = int.from_bytes(ctypes.string_at(address, 4), "little")
    return ctypes.string_at(address + 4, size) if size <= LONGEST else None


def merged(bounds: Iterable[Bounds]) -> Bounds | None:
    """Those of all together."""
    known = list(bounds)
    if not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def as_bytes(leaf: Leaf, bound: Any) -> bytes:
    """A bound as the encoding PLAIN has it, texts without their length."""
    match leaf.form:
        case Form.LONGS:
            return struct.pack("<q", bound)
        case Form.INTS:
            return struct.pack("<i", bound)
        case Form.DOUBLES:
            return struct.pack("<d", bound)
        case Form.BITS:
            return bytes([bound])
        case Form.DECIMALS:
            encoded: bytes = bound.to_bytes(leaf.width, "big", signed=True)
            return encoded
        case Form.TEXTS:
            text: bytes = bound
            return text
        case Form.NOTHING:
            raise AssertionError("nothing has no bounds")
