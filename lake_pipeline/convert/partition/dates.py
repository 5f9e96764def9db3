"""The day that a date value means, in the time zone of the lake.

Nothing is guessed: a value that can't be read as a date raises, and the record is quarantined with that reason. Columns
of dates are first reduced, without a loop, to few distinct values that mean the same days.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_pipeline.contract.rescue import Number
from lake_pipeline.convert.native.call import call
from lake_pipeline.convert.partition.date_formats import EPOCH_DIGITS, date_formats, of_compact_number, of_object

_CLOCK = r"[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:[.,]\d+)?)?"
_OFFSET = r" ?(?:[Zz]|UTC|GMT|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)"
_MOMENT = re.compile(rf"(\d{{4}}-\d\d-\d\d)(?:({_CLOCK})({_OFFSET})?)?", re.ASCII)

# The same spellings for whole columns. Those with an offset must have seconds, so that their clocks can be compared as
# text. RE2 and `re` agree on these.
_UTC_TEXT = rf"^\d{{4}}-\d\d-\d\d({_CLOCK}( ?(?:[Zz]|UTC|GMT)|[+-]00:?00)?)?$"
_LOCAL_TEXT = rf"^\d{{4}}-\d\d-\d\d({_CLOCK})?$"
_OFFSET_TEXT = rf"^\d{{4}}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:[.,]\d+)?{_OFFSET}$"
_BEFORE_OFFSET = rf"^.{{10}}{_CLOCK} ?"
_EPOCH_TEXT = rf"^({EPOCH_DIGITS})$"

_EPOCH_UNITS = ((1e11, 1), (1e14, 10**3), (1e17, 10**6), (float("inf"), 10**9))
"""Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, judged by size (until the year 5138)."""

_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unpartitionable(ValueError):
    """The record has no partition. `reason` is a short code, the text a sentence."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)

    def without_traceback(self) -> Unpartitionable:
        """A copy without the traceback, which keeps the whole block in memory."""
        return Unpartitionable(self.reason, str(self))


class Days:
    """The days of one time zone, given by its IANA name. `formats` is the text of `LAKE_DATE_FORMATS`."""

    def __init__(self, time_zone: str, formats: str = "") -> None:
        self._formats = date_formats(formats)
        self._zone = ZoneInfo(time_zone)
        self._is_utc = time_zone == "UTC"
        self._midnight = lru_cache(maxsize=10_000)(self._find_midnight)

    def of(self, value: Any) -> date:
        """The day of a JSON value: a text in a known format, or a number since the epoch. Raises `Unpartitionable`."""
        match value:
            case bool():
                pass
            case str():
                return self._of_text(value)
            case int() | float():
                return self._of_number(value)
            case datetime():
                return value.replace(tzinfo=value.tzinfo or UTC).astimezone(self._zone).date()
            case date():
                return value
            case Number():
                raise Unpartitionable("date_out_of_range", f"the date {value.text[:40]} is not a valid moment in time")
            case dict() if (moment := of_object(value)) is not None:
                return self._of_text(moment)
            case _:
                pass
        raise Unpartitionable("invalid_date", f"the date is {_kind(value)}, not a text or a number")

    def _of_text(self, text: str) -> date:
        text = text.strip()
        listed = self._formats.before_iso(text)
        if isinstance(listed, int):
            return self._of_epoch(listed)
        match = _MOMENT.fullmatch(listed or text)
        return self._of_iso(match, text) if match else self._of_unusual(text)

    def _of_unusual(self, text: str) -> date:
        """The day of a text that is not in ISO 8601."""
        usual = self._formats.after_iso(text)
        if isinstance(usual, int):
            return self._of_epoch(usual)
        if usual is not None and (match := _MOMENT.fullmatch(usual)):
            return self._of_iso(match, text)
        raise Unpartitionable("invalid_date", f"the date {text[:60]!r} is in no known format (LAKE_DATE_FORMATS)")

    def _of_iso(self, match: re.Match[str], text: str) -> date:
        day, clock, offset = match.groups()
        try:
            moment = date.fromisoformat(day)
            return moment if offset is None else self._local_day(moment, _seconds_of(clock), _offset_seconds(offset))
        except (ValueError, OverflowError) as error:
            raise Unpartitionable("invalid_date", f"the date {text[:60]!r} does not exist") from error

    def _of_number(self, value: float) -> date:
        compact = of_compact_number(value) if self._formats.has_numbers else None
        match = _MOMENT.fullmatch(compact) if compact else None
        return self._of_iso(match, str(value)) if match else self._of_epoch(value)

    def _local_day(self, day: date, seconds: int, offset: int) -> date:
        """The local day of the moment that is `seconds` into `day` on clocks `offset` seconds ahead of UTC."""
        if self._is_utc and not offset:
            return day
        moment = datetime(day.year, day.month, day.day, tzinfo=timezone(timedelta(seconds=offset)))
        return (moment + timedelta(seconds=seconds)).astimezone(self._zone).date()

    def _of_epoch(self, value: float) -> date:
        unit = next(unit for limit, unit in _EPOCH_UNITS if abs(value) < limit or limit == float("inf"))
        try:
            return (_EPOCH + timedelta(seconds=value // unit)).astimezone(self._zone).date()
        except (OverflowError, ValueError) as error:
            raise Unpartitionable("date_out_of_range", f"the date {value} is not a valid moment in time") from error

    def keys(self, values: pa.Array | Sequence[Any]) -> pa.Array | Sequence[Any]:
        """Values with the same days as `values` and far fewer distinct ones: `of` returns the same for both."""
        if not isinstance(values, pa.Array):
            return values
        if pa.types.is_string(values.type):
            if not self._formats.are_plain:
                return values
            plain = parse_plain_dates(values, is_utc=self._is_utc)
            return self._text_keys(values) if plain is None else plain
        if self._formats.has_numbers:
            return values
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            return self._epoch_keys(values)
        return values

    def _text_keys(self, texts: pa.Array) -> pa.Array:
        plain = pc.match_substring_regex(texts, _UTC_TEXT if self._is_utc else _LOCAL_TEXT)
        keys = pc.if_else(plain, pc.utf8_slice_codeunits(texts, 0, 10), texts)
        if pc.all(plain, min_count=0).as_py():
            return keys
        keys = self._epoch_text_keys(keys, texts)
        moved = pc.fill_null(pc.and_not(pc.match_substring_regex(texts, _OFFSET_TEXT), plain), False)
        return pc.replace_with_mask(keys, moved, self._moved_keys(texts.filter(moved)))

    def _epoch_text_keys(self, keys: pa.Array, texts: pa.Array) -> pa.Array:
        """`keys` with the days of the texts that are numbers since 1970."""
        are_epochs = pc.fill_null(pc.match_substring_regex(texts, _EPOCH_TEXT), False)
        if not pc.any(are_epochs).as_py():
            return keys
        moments = self._epoch_keys(texts.filter(are_epochs).cast(pa.int64())).dictionary_encode()
        days = [self._of_epoch(value).isoformat() for value in moments.dictionary.to_pylist()]
        return pc.replace_with_mask(keys, are_epochs, pa.array(days, pa.string()).take(moments.indices))

    def _moved_keys(self, texts: pa.Array) -> pa.Array:
        """Texts with an offset: one of two for each day and offset, before local midnight and from midnight on."""
        offsets = pc.replace_substring_regex(texts, _BEFORE_OFFSET, "", max_replacements=1)
        groups = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, 10), offsets, " ").dictionary_encode()
        clocks = pc.utf8_slice_codeunits(texts, 11, 19)
        splits = [self._split(*group.split(" ")) for group in groups.dictionary.to_pylist()]
        midnights, before, after = (
            pa.array([split[part] for split in splits], pa.string()).take(groups.indices) for part in range(3)
        )
        keys = pc.if_else(pc.greater_equal(clocks, midnights), after, before)
        return pc.coalesce(keys, texts)

    def _split(self, day: str, offset: str) -> tuple[str, str, str] | tuple[None, None, None]:
        """When local midnight is on a day elsewhere, and a text before and after it; None if it is not fixed."""
        try:
            midnight = self._midnight(date.fromisoformat(day), _offset_seconds(offset))
        except (ValueError, OverflowError):
            midnight = None
        if midnight is None:
            return None, None, None
        clock = f"{midnight // 3600:02}:{midnight // 60 % 60:02}:{midnight % 60:02}"
        # Nothing comes after 24:00:00, and no such text may be created.
        last = clock if midnight < _DAY else "23:59:59"
        return clock, f"{day}T00:00:00{offset}", f"{day}T{last}{offset}"

    def _find_midnight(self, day: date, offset: int) -> int | None:
        """Seconds into `day` (on clocks `offset` seconds ahead of UTC) at which a local day begins.

        86,400 if that is at its end or its start. None if local clocks change during the day.
        """
        start = datetime(day.year, day.month, day.day, tzinfo=timezone(timedelta(seconds=offset)))
        first, last = (
            (start + timedelta(seconds=seconds)).astimezone(self._zone).utcoffset() for seconds in (0, _DAY - 1)
        )
        if first != last or first is None:
            return None
        ahead = int(first.total_seconds()) - offset
        return -ahead % _DAY or _DAY

    def _epoch_keys(self, values: pa.Array) -> pa.Array:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        *smaller, (_, largest) = _EPOCH_UNITS
        # Compared as integers if they are: as a double, the last ones below a limit would be equal to it.
        limits = np.array([limit for limit, _ in smaller]).astype(numbers.dtype)
        is_below = [(numbers > -limit) & (numbers < limit) for limit in limits]
        units = np.select(is_below, [unit for _, unit in smaller], largest)
        seconds = numbers // units
        days, of_day = np.unique(seconds // _DAY, return_inverse=True)
        midnights = np.array([self._epoch_midnight(day) for day in days.tolist()], dtype=np.float64)[of_day]
        begin = seconds // _DAY * _DAY
        keys = np.where(seconds - begin >= midnights, begin + np.where(midnights < _DAY, midnights, 0), begin)
        # If clocks change that day, or if the seconds would be read as a smaller unit, values stay unchanged.
        keys = np.where(np.isnan(midnights), seconds, keys)
        is_short = np.abs(seconds.astype(np.float64)) < _EPOCH_UNITS[0][0]
        # In two steps, because the keys are doubles here and would round the numbers.
        keys = np.where(is_short, np.where(is_short, keys, 0).astype(numbers.dtype), numbers)
        return pa.array(keys, mask=missing)

    def _epoch_midnight(self, day: float) -> float:
        try:
            midnight = self._midnight((_EPOCH + timedelta(days=day)).date(), 0)
        except (ValueError, OverflowError):
            return float("nan")
        return float("nan") if midnight is None else midnight


def _kind(value: Any) -> str:
    """What a value of JSON is called."""
    return {bool: "a boolean", dict: "an object", list: "a list"}.get(type(value), "no value")


def _seconds_of(clock: str) -> int:
    """Seconds into the day of `T10:30`, `T10:30:15` or `T10:30:15.25`; a leap second is the one before it."""
    hours, minutes, *seconds = clock[1:9].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + (min(int(seconds[0]), 59) if seconds else 0)


def _offset_seconds(offset: str) -> int:
    """Seconds ahead of UTC of `Z`, `UTC`, `+02`, `+0200` or `+02:00`."""
    text = offset.strip()
    if text in ("Z", "z", "UTC", "GMT"):
        return 0
    seconds = int(text[1:3]) * 3600 + int(text[3:].removeprefix(":") or 0) * 60
    return -seconds if text[0] == "-" else seconds


def parse_plain_dates(texts: pa.Array, *, is_utc: bool) -> pa.Array | None:
    """The days of `texts` as a dictionary array of `YYYY-MM-DD`; None if some text is not a plain date or date and
    time.

    It does not check that the day exists. With `is_utc` a time may end in `Z`; without, it must have no offset. This is
    machine code: one regular expression over a column took longer than parsing the numbers of the whole record.
    """
    _, offsets, data = texts.buffers()
    if data is None or offsets is None:
        return None
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    valid = None if not texts.null_count else texts.is_valid().to_numpy(zero_copy_only=False)
    keys = np.empty(len(texts), dtype=np.int32)
    if not call("day_keys", data.address, ends, 0 if valid is None else valid, len(texts), is_utc, keys):
        return None
    encoded = pa.array(keys, mask=None if valid is None else ~valid).dictionary_encode()
    days = [f"{key // 10_000:04}-{key // 100 % 100:02}-{key % 100:02}" for key in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(days, pa.string()))
