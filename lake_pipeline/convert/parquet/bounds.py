"""Bounds: the smallest and the largest value of a page or a column, as readers that prune take them.

Readers trust them by the order that Parquet defines for each type. Doubles are told without NaN, and a bound that is
zero with the sign that includes both zeros. Texts longer than `layout.LONGEST_BOUND` have none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from lake_pipeline.convert.parquet.schema import Form

Bounds = tuple[bytes, bytes]
"""The smallest and the largest as the encoding PLAIN has them, texts without their length."""


def merged(form: Form, bounds: Iterable[Bounds]) -> Bounds | None:
    """Those of all together."""
    known = list(bounds)
    if len(known) < 2:
        return known[0] if known else None
    lows, highs = zip(*known, strict=True)
    return min(lows, key=lambda bound: in_order(form, bound)), max(highs, key=lambda bound: in_order(form, bound))


def in_order(form: Form, bound: bytes) -> Any:
    """A bound as something that Python orders as Parquet does."""
    match form:
        case Form.LONGS:
            return struct.unpack("<q", bound)
        case Form.INTS:
            return struct.unpack("<i", bound)
        case Form.DOUBLES:
            return struct.unpack("<d", bound)
        case Form.DECIMALS:
            return int.from_bytes(bound, "big", signed=True)
        case _:
            return bound
