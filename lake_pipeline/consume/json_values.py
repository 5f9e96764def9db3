"""Query results as JSON: no value is rounded, and every value has a form.

Types that JSON lacks become strings: dates as ISO 8601, bytes as base64, NaN and infinities by name, and decimals that
a double cannot represent exactly.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from lake_pipeline.escaping import lines as escaping


def json_line(columns: Iterable[str], row: Iterable[Any]) -> str:
    """One row as a JSON object on one line, with the columns in their order."""
    values = {name: json_value(value) for name, value in zip(columns, row, strict=True)}
    # The standard library, because results may have integers of 128 bits, which orjson rejects.
    return escaping.json_line(values, allow_nan=False, separators=(",", ":"))


def json_value(value: Any) -> Any:
    """`value` in a form for json.dumps. Lists, structs and maps keep their structure."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case Decimal():
            return _decimal(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case datetime() | date() | time():
            return value.isoformat()
        case dict():
            return {name if isinstance(name, str) else str(name): json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> int | float | str:
    if value == value.to_integral_value():
        return int(value)
    # Nearly every parser reads a JSON number as a double.
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)
