"""The day of a moment in the lake's time zone, value by value and for whole columns."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from lake_pipeline.convert.partition.dates import Days, Unpartitionable, parse_plain_dates

ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Pacific/Apia", "Africa/Monrovia"]
zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(1960, 1, 1), datetime(2035, 1, 1)) | st.sampled_from(
    [datetime(2026, 3, 29, 0, 59, 59), datetime(2026, 10, 25, 1), datetime(2011, 12, 30, 9, 59), datetime(2026, 2, 3)]
)
offsets = st.sampled_from(["Z", "z", " Z", "+00:00", "-0000", "+02:00", "-05:30", "+14", "", "+05:45"])
clocks = st.sampled_from(["T%H:%M:%S", " %H:%M", "t%H:%M:%S.%f", "T%H:%M:%S,5", ""])
texts = st.builds(
    lambda moment, clock, offset: f"{moment:%Y-%m-%d{clock}}{offset if clock else ''}", moments, clocks, offsets
)


def outcome(days: Days, value: object) -> date | str:
    try:
        return days.of(value)
    except Unpartitionable as problem:
        return problem.reason


@settings(max_examples=300, deadline=None)
@given(zone=zones, values=st.lists(texts | st.sampled_from(["yesterday", "2026-02-30T10:00:00+01:00", "0000-01-01"])))
@example(zone="Europe/Berlin", values=["2026-02-03T22:59:59Z", "2026-02-03T23:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_columns_of_texts_give_the_days_of_their_texts(zone: str, values: list[str]) -> None:
    days = Days(zone)
    keys = days.keys(pa.array([*values, None], pa.string()))
    assert isinstance(keys, pa.Array)
    assert [outcome(days, key) for key in keys.to_pylist()[:-1]] == [outcome(days, value) for value in values]
    assert keys[-1].as_py() is None


numbers = st.integers(-(2**63), 2**63 - 1) | moments.map(lambda moment: int(moment.replace(tzinfo=UTC).timestamp()))


@settings(max_examples=300, deadline=None)
@given(zone=zones, values=st.lists(numbers), unit=st.sampled_from([1, 10**3, 10**6]), fraction=st.booleans())
@example(zone="UTC", values=[10**17 - 8, 8 - 10**17, 10**14 - 1, -(2**63)], unit=1, fraction=False)
def test_columns_of_numbers_give_the_days_of_their_numbers(
    zone: str, values: list[int], unit: int, fraction: bool
) -> None:
    days = Days(zone)
    scaled = [value * unit if abs(value * unit) < 2**63 else value for value in values]
    array = pa.array([float(value) + 0.25 for value in scaled] if fraction else scaled)
    array = array.cast(pa.float64() if fraction else pa.int64())
    keys = days.keys(array)
    assert isinstance(keys, pa.Array)
    assert [outcome(days, key) for key in keys.to_pylist()] == [outcome(days, value) for value in array.to_pylist()]


@settings(max_examples=200, deadline=None)
@given(zone=zones, moment=moments, minutes=st.integers(-14 * 60, 14 * 60))
def test_a_day_is_that_of_the_zone_for_any_offset(zone: str, moment: datetime, minutes: int) -> None:
    there = moment.replace(microsecond=0) + timedelta(minutes=minutes)
    sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
    text = f"{there:%Y-%m-%dT%H:%M:%S}{sign}{ahead // 60:02}:{ahead % 60:02}"
    assert Days(zone).of(text) == moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()


@pytest.mark.parametrize("text", ["2026-02-03", "2026-02-03T23:59:59", "2026-02-03 00:00", "2026-02-03T02:30:00.123"])
def test_a_text_without_an_offset_is_in_the_zone_of_the_lake(text: str) -> None:
    assert {Days(zone).of(text) for zone in ZONES} == {date(2026, 2, 3)}


def test_a_column_is_reduced_to_few_values() -> None:
    start = datetime(2026, 2, 1)
    texts = pa.array([f"{start + timedelta(seconds=37 * n):%Y-%m-%dT%H:%M:%S}.{n}+02:00" for n in range(10_000)])
    keys = Days("Europe/Berlin").keys(texts)
    assert isinstance(keys, pa.Array)
    assert len(keys.unique()) <= 12


PLAIN = ["2026-02-13", "2026-02-13T23:59:60Z", "2026-02-13 00:00:00.123456789Z", "0001-01-01T00:00:00"]
OTHER = [
    "", "2026-2-13", "2026-02-1", "2026-02-13T", "2026-02-13T24:00:00Z", "2026-02-13T10:60:00Z", "2026-02-13T10:00",
    "2026-02-13T10:00:00.Z", "2026-02-13T10:00:00+02:00", "2026-02-13T10:00:00ZZ", "2026-02-13x10:00:00", "x",
    "2026/02/13", "２０２６-02-13",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_date_names_its_day(text: str) -> None:
    days = parse_plain_dates(pa.array([None, text, "2026-02-14", text]).slice(1), is_utc=True)
    assert days is not None
    assert days.to_pylist() == [text[:10], "2026-02-14", text[:10]]


@pytest.mark.parametrize("text", OTHER)
def test_any_other_text_is_left_to_the_general_parser(text: str) -> None:
    assert parse_plain_dates(pa.array(["2026-02-13", text]), is_utc=True) is None


def test_an_offset_is_plain_only_if_the_zone_is_utc() -> None:
    assert parse_plain_dates(pa.array(["2026-02-13T10:00:00Z"]), is_utc=False) is None


def test_a_missing_date_stays_missing() -> None:
    days = parse_plain_dates(pa.array([None, "2026-02-13", None]), is_utc=True)
    assert days is not None
    assert days.to_pylist() == [None, "2026-02-13", None]


@settings(max_examples=500, deadline=None)
@given(
    text=st.from_regex(r"\A\d{4}-[01]\d-[0-3]\d([T ][0-2]\d:[0-6]\d(:[0-6]\d([.]\d{0,3})?)?(Z|[+]02:00)?)?\Z"),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_plain_dates_mean_the_same_as_in_the_general_parser(text: str, zone: str) -> None:
    days = parse_plain_dates(pa.array([text]), is_utc=zone == "UTC")
    if days is None:
        return
    assert outcome(Days(zone), days[0].as_py()) == outcome(Days(zone), text)
