"""Query results as JSON: exact, and defined for every type."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_pipeline.consume.json_values import json_line, json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**127 - 1, 2**127 - 1),
        (1.5, 1.5),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.50"), 1.5),
        (Decimal("12345678901234567890"), 12345678901234567890),
        (Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (b"\x00\xff", "AP8="),
        (date(2026, 2, 3), "2026-02-03"),
        (datetime(2026, 2, 3, 4, 5, 6, 7000), "2026-02-03T04:05:06.007000"),
        (datetime(2026, 2, 3, tzinfo=UTC), "2026-02-03T00:00:00+00:00"),
        (time(4, 5), "04:05:00"),
        (timedelta(hours=1), "1:00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [{"b": date(2026, 1, 1)}], 1: b""}, {"a": [{"b": "2026-01-01"}], "1": ""}),
    ],
)
def test_each_kind_of_value_has_one_form(value: Any, expected: Any) -> None:
    assert json_value(value) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18))
def test_no_decimal_is_rounded(value: Decimal) -> None:
    result = json_value(value)
    assert Decimal(repr(result) if isinstance(result, float) else str(result)) == value


@given(st.recursive(st.none() | st.floats() | st.integers() | st.binary() | st.text(), st.lists, max_leaves=5))
def test_a_row_is_one_line_of_standard_json(value: Any) -> None:
    line = json_line(["a", "ä"], [value, "two\nlines"])
    assert "\n" not in line
    assert json.loads(line, parse_constant=pytest.fail)["ä"] == "two\nlines"
