"""The formats of dates besides ISO 8601: which there are, and which are refused."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from lake_pipeline.convert.partition.assign import default_day
from lake_pipeline.convert.partition.date_formats import date_formats
from lake_pipeline.convert.partition.dates import Days, parse_plain_dates
from lake_pipeline.errors import SettingsError
from lake_pipeline.settings.settings import load_settings
from lake_pipeline_tests.unit.convert.partition.test_dates import outcome


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("european", "'european' is not a date format"),
        ("us,eu", "contradict"),
        ("%H:%M", "names no day"),
        ("%m/%d", "names no day"),
        ("%Y-%m-%d %Z", "%z"),
        ("%Y-%m-%d %", "unknown directive"),
        ('["%Y', "list in JSON"),
        ("[1]", "list of texts"),
    ],
)
def test_an_unusable_format_is_refused_with_the_reason(text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=r"LAKE_DATE_FORMATS") as raised:
        load_settings(date_formats=text)
    assert named in str(raised.value)


@pytest.mark.parametrize("text", ["", "us", "eu, %d %B %Y", '["%B %d, %Y", "compact_number"]', "rfc2822,mongo"])
def test_usable_formats_are_accepted(text: str) -> None:
    assert load_settings(date_formats=text).records.date_formats == text


@pytest.mark.parametrize(
    ("text", "day"),
    [("1704164645", "2024-01-02"), ("1704164645123", "2024-01-02"), ("1704164645123456", "2024-01-02"),
     ("1704164645123456789", "2024-01-02"), ("1709164800", "2024-02-29"), ("9999999999", "2286-11-20"),
     ("2024-01-02 03:04:05 UTC", "2024-01-02"), ("2024-01-02 03:04:05.5 UTC", "2024-01-02")],
)  # fmt: skip
def test_machine_code_reads_the_frequent_formats(text: str, day: str) -> None:
    days = parse_plain_dates(pa.array([None, text, "2026-02-14", text]).slice(1), is_utc=True)
    assert days is not None
    assert days.to_pylist() == [day, "2026-02-14", day]
    assert outcome(Days("UTC"), text) == outcome(Days("UTC"), day)


@pytest.mark.parametrize(
    "text",
    ["170416464", "17041646451", "0704164645", "170416464x", "-704164645", "9304164645123456789", "1704164645.5",
     "2024-01-02 03:04:05 UT", "2024-01-02 03:04:05 UTCC", "2024-01-02 03:04:05 UTX", "2024-01-02 03:04:05  UTC"],
)  # fmt: skip
def test_machine_code_leaves_other_texts_to_the_general_parser(text: str) -> None:
    assert parse_plain_dates(pa.array([text]), is_utc=True) is None


@settings(max_examples=200, deadline=None)
@given(
    number=st.integers(10**9, 10**10 - 1), unit=st.sampled_from(["", "123", "999999", "123456789"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
)  # fmt: skip
def test_columns_of_epoch_texts_give_the_days_of_their_numbers(number: int, unit: str, zone: str) -> None:
    text, days = f"{number}{unit}", Days(zone)
    keys = days.keys(pa.array([text, "2026-02-13T10:00:00+02:00", None]))
    assert isinstance(keys, pa.Array)
    expected = outcome(days, int(text) if len(text) < 19 or text < "9" else text)
    assert outcome(days, text) == outcome(days, keys[0].as_py()) == expected


@pytest.mark.parametrize("formats", ["%Y-%d-%m", "%y%m%d%H%M", "%d.%m.%Y", "us"])
@pytest.mark.parametrize("text", ["2024-02-01", "1701020304", "01.02.2024", "01/02/2024"])
def test_a_column_is_read_with_the_listed_formats_first(formats: str, text: str) -> None:
    days = Days("UTC", formats)
    assert outcome(days, days.keys(pa.array([text]))[0].as_py()) == outcome(days, text)


def test_only_formats_that_read_usual_texts_keep_machine_code_from_them() -> None:
    assert date_formats("us, %d.%m.%Y, %Y/%m/%d, %d %B %Y %H:%M").are_plain
    assert not date_formats("%Y-%d-%m").are_plain


def test_a_default_day_comes_from_the_week_folder_or_the_setting() -> None:
    keys = ["2026/week06/a.json", "2026/week53/a.json", "2027/week53/a.json", "2026/week00/a", "all_historical_files/a"]
    assert [str(default_day("week", key)) for key in keys] == ["2026-02-02", "2026-12-28", "None", "None", "None"]
    assert {str(default_day("2020-02-03", key)) for key in keys} == {"2020-02-03"}
    assert default_day("", keys[0]) is None


@pytest.mark.parametrize("text", ["weekly", "2026-02-30", "yesterday"])
def test_a_default_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="LAKE_DEFAULT_DATE"):
        load_settings(default_date=text)


def test_several_date_fields_are_checked_one_by_one() -> None:
    assert load_settings(date_field="a.b ,c").records.date_field == "a.b, c"
    with pytest.raises(SettingsError, match="LAKE_DATE_FIELD"):
        load_settings(date_field="a,,b")


def test_a_key_pattern_with_the_week_names_the_setting_for_it() -> None:
    with pytest.raises(SettingsError, match="LAKE_DEFAULT_DATE=week"):
        load_settings(key_pattern=r"(?P<year>\d{4})/week(?P<week>\d{2})/")
