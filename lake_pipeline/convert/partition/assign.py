"""Assign partitions: the day and mode of a row from its record, else from its file's key, else the default mode.

Nothing is guessed. If the date of a record can't be read or is outside the configured range, it is unpartitionable: it
is quarantined with that reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.paths import parse_path
from lake_pipeline.contract.rescue import is_unicode
from lake_pipeline.convert.partition.dates import Days, Unpartitionable
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.partitions import MAX_MODE_BYTES, PartitionKey, escape_mode

UNPARTITIONED = -1
MISSING = -1
_Codes = npt.NDArray[np.int32]

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""How Hive spells a partition value that is null."""


class KeyParser:
    """Reads the day and the mode from a key, by the named groups of `key_pattern`.

    Every match in the key contributes its groups: `date` (YYYY-MM-DD), or `year`, `month` and `day`; `mode`.
    """

    def __init__(self, key_pattern: str) -> None:
        self._pattern = re.compile(key_pattern)

    def groups(self, key: str) -> dict[str, str]:
        groups: dict[str, str] = {}
        for match in self._pattern.finditer(key):
            groups |= {name: value for name, value in match.groupdict().items() if value}
        return groups

    def day(self, key: str) -> date | None:
        groups = self.groups(key)
        try:
            if "date" in groups:
                return date.fromisoformat(groups["date"])
            if {"year", "month", "day"} <= groups.keys():
                return date(int(groups["year"]), int(groups["month"]), int(groups["day"]))
        except ValueError:
            return None
        return None

    def mode(self, key: str) -> str | None:
        return self.groups(key).get("mode")

    def partition(self, key: str) -> PartitionKey | None:
        """The partition in the key, if it has both a day and a mode that fits a path."""
        day, mode = self.day(key), self.mode(key)
        if day is None or mode is None or len(escape_mode(mode)) > MAX_MODE_BYTES:
            return None
        return PartitionKey(day, mode)


WEEK = "week"
"""The default date that is the Monday of the folder `YYYY/weekXX/`."""

_WEEK_FOLDER = re.compile(r"(\d{4})/week(\d{2})/", re.ASCII)


def default_day(default_date: str, key: str) -> date | None:
    """The day that `LAKE_DEFAULT_DATE` gives to a record without a date, by the key of its file."""
    if default_date != WEEK:
        return date.fromisoformat(default_date) if default_date else None
    match = _WEEK_FOLDER.match(key)
    try:
        return date.fromisocalendar(int(match[1]), int(match[2]), 1) if match else None
    except ValueError:
        return None


@dataclass
class Assignment:
    """The partitions of the rows of a table: `codes` index `partitions`; `UNPARTITIONED` rows are in `problems`."""

    partitions: list[PartitionKey]
    codes: npt.NDArray[np.int32]
    problems: dict[int, Unpartitionable] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyDefaults:
    """The day and mode for rows that have none themselves, from their file's key."""

    day: date | None
    mode: str


class PartitionAssigner:
    """Assigns rows to partitions. One for a conversion; it has no state except caches."""

    def __init__(self, options: ConversionOptions) -> None:
        self._options = options
        self._keys = KeyParser(options.key_pattern)
        self._days = Days(options.time_zone, options.date_formats)
        self._hides_day = [options.rules.excludes(path) for path in options.date_paths]
        self._hides_mode = options.rules.excludes(parse_path(options.mode_field))

    def key_defaults(self, key: str) -> KeyDefaults:
        day = self._keys.day(key) or default_day(self._options.default_date, key)
        return KeyDefaults(day, self._keys.mode(key) or self._options.default_mode)

    def assign(
        self,
        days: Sequence[pa.Array | Sequence[Any]],
        modes: pa.Array | Sequence[Any],
        files: Sequence[KeyDefaults],
        file_index: npt.NDArray[np.int32],
    ) -> Assignment:
        """The partition of each row, given its values (Arrow or Python values, None if missing).

        `days` has the values of each date field: the first that is not missing counts. `file_index` (one per
        row) is the index in `files` of the row's file.
        """
        day_codes, day_values = self._encode_days(days)
        mode_codes, mode_values = _encode(modes, self._record_mode)
        day_codes = _fill_missing(day_codes, day_values, [self._key_day(file) for file in files], file_index)
        mode_codes = _fill_missing(mode_codes, mode_values, [self._mode(file.mode) for file in files], file_index)
        return _combine(day_codes, day_values, mode_codes, mode_values)

    def _encode_days(self, fields: Sequence[pa.Array | Sequence[Any]]) -> tuple[_Codes, list[Any]]:
        days = [partial(self._day, is_hidden=is_hidden) for is_hidden in self._hides_day]
        codes, values = _encode(self._days.keys(fields[0]), days[0])
        for field_values, day in zip(fields[1:], days[1:], strict=True):
            if (codes != MISSING).all():
                break
            more, meanings = _encode(self._days.keys(field_values), day)
            codes = np.where((codes == MISSING) & (more != MISSING), more + len(values), codes).astype(np.int32)
            values = [*values, *meanings]
        return codes, values

    def _day(self, value: Any, *, is_hidden: bool) -> date | Unpartitionable:
        try:
            return self._in_range(self._days.of(value))
        except Unpartitionable as problem:
            return _without_value(problem, "date") if is_hidden else problem.without_traceback()

    def _key_day(self, file: KeyDefaults) -> date | Unpartitionable:
        if file.day is None:
            return Unpartitionable("no_date", f"the record has no {self._options.date_field} and its key names no date")
        try:
            return self._in_range(file.day)
        except Unpartitionable as problem:
            return problem.without_traceback()

    def _in_range(self, day: date) -> date:
        first, last = self._options.first_date, self._options.last_date
        if not first <= day <= last:
            raise Unpartitionable("date_out_of_range", f"the date {day} is outside {first} to {last} (LAKE_FIRST_DATE)")
        return day

    def _record_mode(self, value: Any) -> str | Unpartitionable:
        mode = self._mode(value)
        return _without_value(mode, "mode") if self._hides_mode and isinstance(mode, Unpartitionable) else mode

    def _mode(self, value: Any) -> str | Unpartitionable:
        match value:
            case bool():
                mode = "true" if value else "false"
            case str() if not is_unicode(value):
                return Unpartitionable("invalid_mode", f"the mode {value[:40]!r} is not valid Unicode text")
            case float() if value.is_integer():
                # A column of doubles holds 7 as 7.0; the mode must not depend on other values in the column.
                mode = str(int(value))
            case str() | int() | float():
                mode = str(value)
            case _:
                return Unpartitionable("invalid_mode", f"the mode is a {type(value).__name__}, not a text or a number")
        if mode == HIVE_NULL:
            return Unpartitionable("invalid_mode", f"readers treat the mode {mode} as null")
        if len(escape_mode(mode)) > MAX_MODE_BYTES:
            return Unpartitionable(
                "invalid_mode", f"the mode {mode[:40]!r}… is longer than {MAX_MODE_BYTES} bytes in a path"
            )
        return mode


def _without_value(problem: Unpartitionable, field: str) -> Unpartitionable:
    return Unpartitionable(problem.reason, f"the {field} is not shown, because the contract excludes its path")


def _encode(values: pa.Array | Sequence[Any], meaning: Callable[[Any], Any]) -> tuple[_Codes, list[Any]]:
    """Each row's code (MISSING for null and empty text) and the meaning of each code; distinct values are read once."""
    if not isinstance(values, pa.Array) or pa.types.is_nested(values.type):
        objects = values.to_pylist() if isinstance(values, pa.Array) else list(values)
        return _encode_objects(objects, meaning)
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    codes = encoded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int32)
    texts = encoded.dictionary.to_pylist()
    for empty in [index for index, text in enumerate(texts) if text == ""]:
        codes[codes == empty] = MISSING
    return codes, [meaning(value) for value in texts]


def _encode_objects(values: list[Any], meaning: Callable[[Any], Any]) -> tuple[_Codes, list[Any]]:
    codes_by_value: dict[tuple[type, Any], int] = {}
    meanings: list[Any] = []
    codes = np.full(len(values), MISSING, dtype=np.int32)
    for row, value in enumerate(values):
        if value is None or value == "":
            continue
        plain = isinstance(value, (str, int, float))
        # 1, 1.0 and True are equal in Python but are different modes.
        code = codes_by_value.get((type(value), value)) if plain else None
        if code is None:
            code = len(meanings)
            meanings.append(meaning(value))
            if plain:
                codes_by_value[type(value), value] = code
        codes[row] = code
    return codes, meanings


def _fill_missing(codes: _Codes, values: list[Any], by_file: list[Any], file_index: npt.NDArray[np.int32]) -> _Codes:
    """Give rows without a value the value of their file."""
    filled: _Codes = np.where(codes == MISSING, file_index + len(values), codes).astype(np.int32)
    values.extend(by_file)
    return filled


def _combine(day_codes: _Codes, days: list[Any], mode_codes: _Codes, modes: list[Any]) -> Assignment:
    both = day_codes.astype(np.int64) * len(modes) + mode_codes
    pairs, row_pairs = _distinct(both, len(days) * len(modes))
    partitions: dict[PartitionKey, int] = {}
    code_of_pair = np.empty(len(pairs), dtype=np.int32)
    problem_of_pair: dict[int, Unpartitionable] = {}
    for index, pair in enumerate(pairs.tolist()):
        day, mode = days[pair // len(modes)], modes[pair % len(modes)]
        problem = next((part for part in (day, mode) if isinstance(part, Unpartitionable)), None)
        if problem is not None:
            code_of_pair[index] = UNPARTITIONED
            problem_of_pair[index] = problem
        else:
            code_of_pair[index] = partitions.setdefault(PartitionKey(day, mode), len(partitions))
    codes = code_of_pair[row_pairs] if len(pairs) else np.empty(0, dtype=np.int32)
    unplaced = np.flatnonzero(codes == UNPARTITIONED).tolist()
    problems = {row: problem_of_pair[int(row_pairs[row])] for row in unplaced}
    return Assignment(partitions=list(partitions), codes=codes, problems=problems)


COUNTED_BOUND = 1 << 16
"""Up to this bound a table finds distinct numbers, ten times as fast as sorting."""


def _distinct(numbers: npt.NDArray[np.int64], bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct `numbers`, which are below `bound`, in order, and for each number its index among them."""
    if bound > max(COUNTED_BOUND, len(numbers)):
        return np.unique(numbers, return_inverse=True)
    distinct = np.flatnonzero(np.bincount(numbers, minlength=bound))
    index_of = np.empty(bound, dtype=np.int64)
    index_of[distinct] = np.arange(len(distinct))
    return distinct, index_of[numbers]
