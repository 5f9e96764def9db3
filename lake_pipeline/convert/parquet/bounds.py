"""Bounds: the smallest and the largest value of a page or a column, which readers prune by.

They follow the order that Parquet defines for each type. Doubles exclude NaN, and a bound that is zero has the sign
that includes both zeros. Strings longer than `layout.MAX_BOUND_BYTES` have no bounds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from lake_pipeline.convert.native.layout import ValueForm

Bounds = tuple[bytes, bytes]
"""The smallest and the largest value in the PLAIN encoding, strings without their length."""


def merge(form: ValueForm, bounds: Iterable[Bounds]) -> Bounds | None:
    """The bounds of all values together."""
    pairs = list(bounds)
    if len(pairs) < 2:
        return pairs[0] if pairs else None
    lows, highs = zip(*pairs, strict=True)
    return min(lows, key=lambda bound: sort_key(form, bound)), max(highs, key=lambda bound: sort_key(form, bound))


def sort_key(form: ValueForm, bound: bytes) -> Any:
    """A bound as a value that Python orders as Parquet does."""
    match form:
        case ValueForm.INT64:
            return struct.unpack("<q", bound)
        case ValueForm.INT32:
            return struct.unpack("<i", bound)
        case ValueForm.DOUBLE:
            return struct.unpack("<d", bound)
        case ValueForm.DECIMAL:
            return int.from_bytes(bound, "big", signed=True)
        case _:
            return bound
