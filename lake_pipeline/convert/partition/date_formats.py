"""Spellings of dates besides ISO 8601: named ones, and formats with `%` directives.

Each is rewritten to ISO 8601 or to a number since 1970, which `dates` then reads. The unambiguous ones are always
tried; `us`, `eu` and `compact_number` only if `LAKE_DATE_FORMATS` names them. Light, because settings check with it.
"""

from __future__ import annotations

import json
import re
from calendar import month_abbr
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

_MONTHS = {name.lower(): number for number, name in enumerate(month_abbr) if name}
_ZONES = {
    "UT": "Z", "UTC": "Z", "GMT": "Z", "Z": "Z", "EST": "-05:00", "EDT": "-04:00", "CST": "-06:00", "CDT": "-05:00",
    "MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00",
}  # fmt: skip
"""The names of zones in RFC 2822. Other names mean several zones."""

_MONTH = "(?P<month>" + "|".join(name.capitalize() for name in _MONTHS) + ")"
_CLOCK = r"(?P<clock>(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:[.,]\d+)?)?)"
_OFFSET = r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)"
_ZONE = rf"(?P<offset>[+-](?:[01]\d|2[0-3]):?[0-5]\d|{'|'.join(sorted(_ZONES, key=len, reverse=True))})"
_ISO = rf"(?P<iso>\d{{4}}-\d\d-\d\d[Tt ]{_CLOCK} ?{_OFFSET})"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_HOURS = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?: ?[AaPp][Mm])?"

EPOCH_DIGITS = r"[1-9]\d{9}|[1-9]\d{12}|[1-9]\d{15}|[1-8]\d{18}"
"""Seconds to nanoseconds since 1970, from 2001 to 2286. Texts of other lengths are no moments in every reading."""

Rewrite = Callable[[re.Match[str]], str | int]


def _moment(match: re.Match[str]) -> str:
    """The date, time and offset in the groups of `match`, in ISO 8601."""
    groups = match.groupdict()
    month = _MONTHS.get(groups["month"].lower()) or int(groups["month"])
    day = f"{groups['year']}-{month:02}-{int(groups['day']):02}"
    offset = groups.get("offset") or ""
    return f"{day}T{groups['clock']}{_ZONES.get(offset, offset)}" if groups.get("clock") else day


def _basic(match: re.Match[str]) -> str:
    groups = match.groupdict()
    clock, day = groups.get("digits"), f"{groups['year']}-{groups['month']}-{groups['day']}"
    if not clock:
        return day
    return f"{day}T{clock[:2]}:{clock[2:4]}:{clock[4:6] or '00'}{groups.get('offset') or ''}"


_DATE_DIGITS = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
_SIX_DIGITS = r"(?P<digits>(?:[01]\d|2[0-3])[0-5]\d[0-5]\d)"
_FOUR_OR_SIX_DIGITS = r"(?P<digits>(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)"

_PATTERNS: Mapping[str, tuple[str, Rewrite]] = {
    "epoch_text": (rf"(?P<number>{EPOCH_DIGITS})(?:(?<=^\d{{10}})\.\d+)?", lambda match: int(match["number"])),
    "rfc2822": (rf"(?:{_WEEKDAY},? )?(?P<day>\d\d?) {_MONTH} (?P<year>\d{{4}}) {_CLOCK}(?: {_ZONE})?", _moment),
    "clf": (rf"\[?(?P<day>\d\d)/{_MONTH}/(?P<year>\d{{4}}):{_CLOCK}(?: {_ZONE})?\]?", _moment),
    "twitter": (rf"{_WEEKDAY} {_MONTH} +(?P<day>\d\d?) {_CLOCK}(?: {_ZONE})? (?P<year>\d{{4}})", _moment),
    "iso_basic": (rf"{_DATE_DIGITS}[Tt ]{_FOUR_OR_SIX_DIGITS}(?:[.,]\d+)?(?: ?{_OFFSET})?", _basic),
    "compact": (rf"{_DATE_DIGITS}{_SIX_DIGITS}?", _basic),
    "go": (rf"{_ISO} (?:[A-Z]{{2,5}}|[+-]\d\d(?:\d\d)?)(?: m=[+-]\d+\.\d+)?", lambda match: match["iso"]),
    "java_zoned": (rf"{_ISO}\[[A-Za-z0-9_/+:-]+\]", lambda match: match["iso"]),
    "dotnet": (r"\\?/Date\((?P<number>-?\d{1,15})(?:[+-]\d{4})?\)\\?/", lambda match: _of_millis(int(match["number"]))),
    "slashes": (rf"(?P<year>\d{{4}})/(?P<month>\d\d)/(?P<day>\d\d)(?:[T ]{_CLOCK}(?: ?{_ZONE})?)?", _moment),
    "us": (rf"(?P<month>\d\d?)([/.-])(?P<day>\d\d?)\2(?P<year>\d{{4}})(?:,? {_HOURS})?", _moment),
    "eu": (rf"(?P<day>\d\d?)([/.-])(?P<month>\d\d?)\2(?P<year>\d{{4}})(?:,? {_HOURS})?", _moment),
}
_OF_OBJECTS = ("mongo", "firestore")
_OF_NUMBERS = ("compact_number",)
AMBIGUOUS = ("us", "eu", *_OF_NUMBERS)
NAMED = (*_PATTERNS, *_OF_OBJECTS, *_OF_NUMBERS)

_DIRECTIVES = frozenset("YymbBdeHIMSfpzaAjTF%")
_DIRECTIVE = re.compile(r"%(.?)")
_LONG = {"%e": "%d", "%T": "%H:%M:%S", "%F": "%Y-%m-%d"}
_UTC_END = re.compile(r"(?<![%A-Za-z])(?:Z|UTC|GMT)$|(?<=[SfM])Z$")

_PROBES = (
    "2024-03-04", "2024-03-04T05:06:07", "2024-03-04 05:06:07", "2024-03-04T05:06:07Z", "2024-03-04T05:06:07.123Z",
    "1701020304", "1010101010", "1701020304050", "2001020304050607",
)  # fmt: skip


@dataclass(frozen=True)
class DateFormats:
    """The spellings that are tried. `listed` come before ISO 8601, `usual` after it.

    If `are_plain`, no listed format reads a text of ISO 8601 or of an epoch, so machine code may read those.
    """

    listed: tuple[Callable[[str], str | int | None], ...]
    usual: tuple[Callable[[str], str | int | None], ...]
    has_numbers: bool
    are_plain: bool

    def before_iso(self, text: str) -> str | int | None:
        """`text` in ISO 8601, or as a number since 1970, by a listed format; None if none of them reads it."""
        return _first(self.listed, text)

    def after_iso(self, text: str) -> str | int | None:
        """The same by an unambiguous format, for a text that is not in ISO 8601."""
        return _first(self.usual, text)


def _first(readers: tuple[Callable[[str], str | int | None], ...], text: str) -> str | int | None:
    for read in readers:
        if (found := read(text)) is not None:
            return found
    return None


@cache
def date_formats(text: str) -> DateFormats:
    """The formats in `LAKE_DATE_FORMATS`. Raises ValueError for an unknown name or an unusable format."""
    names = _names(text)
    for name in names:
        _check(name)
    if {"us", "eu"} <= set(names):
        raise ValueError("us and eu contradict each other: 01/02/2024 would be two days")
    listed = tuple(_reader(name) for name in names if name not in (*_OF_OBJECTS, *_OF_NUMBERS))
    return DateFormats(
        listed=listed,
        usual=tuple(_reader(name) for name in _PATTERNS if name not in AMBIGUOUS),
        has_numbers="compact_number" in names,
        are_plain=not any(
            read(probe) is not None for name in names if "%" in name for read in [_reader(name)] for probe in _PROBES
        ),
    )


def _names(text: str) -> list[str]:
    """The items of a list with commas, or of a JSON list, for formats that have a comma."""
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        names = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r} is not a list in JSON: {error.msg}") from error
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{text!r} is not a list of texts")
    return list(names)


def _check(name: str) -> None:
    if "%" not in name:
        if name not in NAMED:
            raise ValueError(f"{name!r} is not a date format; use %-directives, or one of {', '.join(NAMED)}")
        return
    used = _DIRECTIVE.findall(name)
    for letter in used:
        if letter not in _DIRECTIVES or not letter:
            hint = "; write UTC as it is, and offsets as %z" if letter == "Z" else ""
            raise ValueError(f"{name!r} has the unknown directive %{letter}{hint}")
    letters = set(used)
    has_day = "F" in letters or (
        letters & {"Y", "y"} and ("j" in letters or (letters & set("mbB") and letters & set("de")))
    )
    if not has_day:
        raise ValueError(f"{name!r} names no day: it needs a year (%Y), a month (%m, %b) and a day (%d), or %j")


@cache
def _reader(name: str) -> Callable[[str], str | int | None]:
    if "%" in name:
        return _directives(name)
    pattern, rewrite = _PATTERNS[name]
    compiled = re.compile(pattern, re.ASCII)

    def read(text: str) -> str | int | None:
        match = compiled.fullmatch(text)
        return rewrite(match) if match else None

    return read


def _directives(name: str) -> Callable[[str], str | None]:
    pattern = name
    for short, long in _LONG.items():
        pattern = pattern.replace(short, long)
    is_utc = "%z" not in pattern and _UTC_END.search(pattern) is not None

    def read(text: str) -> str | None:
        try:
            moment = datetime.strptime(text, pattern)
        except ValueError:
            return None
        if moment.tzinfo is None and not is_utc:
            return moment.date().isoformat()
        clock = moment.replace(tzinfo=None).isoformat(timespec="seconds")
        return f"{clock}{'Z' if is_utc else moment.strftime('%z')}"

    return read


def _of_millis(millis: int) -> str:
    """A moment with a known unit: as a number it would be read by its size."""
    seconds = millis // 1000
    if not -62_135_596_800 <= seconds < 253_402_300_800:
        return "0000-00-00"
    moment = date(1970, 1, 1).toordinal() + seconds // 86_400
    clock = seconds % 86_400
    return f"{date.fromordinal(moment)}T{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}Z"


def of_object(value: Mapping[str, Any]) -> str | None:
    """The date in an object of MongoDB or Firestore, as text; None for any other object."""
    fields = {key: child for key, child in value.items() if child is not None}
    if fields.keys() == {"$date"}:
        return _of_mongo(fields["$date"])
    for seconds, nanoseconds in (("_seconds", "_nanoseconds"), ("seconds", "nanos")):
        if seconds in fields and fields.keys() <= {seconds, nanoseconds} and _is_integer(fields[seconds]):
            return _of_millis(int(fields[seconds]) * 1000)
    return None


def _is_integer(value: Any) -> bool:
    # A column of doubles has integers as doubles.
    return type(value) is int or (type(value) is float and value.is_integer())


def _of_mongo(value: Any) -> str | None:
    if isinstance(value, Mapping) and {key for key in value if value[key] is not None} == {"$numberLong"}:
        value = value["$numberLong"]
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
            return None
        return _of_millis(int(value))
    if isinstance(value, str):
        return value
    return _of_millis(int(value)) if _is_integer(value) else None


def of_compact_number(value: float) -> str | None:
    """`20240102` as a date, for the format `compact_number`; None for other numbers."""
    text = str(int(value)) if value == value // 1 and abs(value) < 10**8 else ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else None
