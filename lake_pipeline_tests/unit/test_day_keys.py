"""Days of plain dates: what compiled code takes, `Days.of` reads the same way, and all else is left to it."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from lake_pipeline.convert.day_keys import plain_days
from lake_pipeline.convert.days import Days, NoPlace

PLAIN = ["2026-02-13", "2026-02-13T23:59:60Z", "2026-02-13 00:00:00.123456789Z", "0001-01-01T00:00:00"]
OTHER = [
    "", "2026-2-13", "2026-02-1", "2026-02-13T", "2026-02-13T24:00:00Z", "2026-02-13T10:60:00Z", "2026-02-13T10:00",
    "2026-02-13T10:00:00.Z", "2026-02-13T10:00:00+02:00", "2026-02-13T10:00:00ZZ", "2026-02-13x10:00:00", "x",
    "2026/02/13", "２０２６-02-13",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_date_names_its_day(text: str) -> None:
    days = plain_days(pa.array([None, text, "2026-02-14", text]).slice(1), is_utc=True)
    assert days is not None
    assert days.to_pylist() == [text[:10], "2026-02-14", text[:10]]


@pytest.mark.parametrize("text", OTHER)
def test_any_other_text_is_left_to_the_one_who_reads_all(text: str) -> None:
    assert plain_days(pa.array(["2026-02-13", text]), is_utc=True) is None


def test_an_offset_is_plain_where_the_days_are_those_of_utc_only() -> None:
    assert plain_days(pa.array(["2026-02-13T10:00:00Z"]), is_utc=False) is None


def test_a_missing_date_stays_missing() -> None:
    days = plain_days(pa.array([None, "2026-02-13", None]), is_utc=True)
    assert days is not None
    assert days.to_pylist() == [None, "2026-02-13", None]


@settings(max_examples=500, deadline=None)
@given(
    text=st.from_regex(r"\A\d{4}-[01]\d-[0-3]\d([T ][0-2]\d:[0-6]\d(:[0-6]\d([.]\d{0,3})?)?(Z|[+]02:00)?)?\Z"),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_what_is_taken_is_read_the_same_way(text: str, zone: str) -> None:
    days = plain_days(pa.array([text]), is_utc=zone == "UTC")
    if days is None:
        return
    assert outcome(Days(zone), days[0].as_py()) == outcome(Days(zone), text)


def outcome(days: Days, text: str) -> object:
    try:
        return days.of(text)
    except NoPlace as problem:
        return problem.reason
