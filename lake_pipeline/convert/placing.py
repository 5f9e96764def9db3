"""Placing: the day and the mode of a row, from its record, else from its file's key, else the default mode.

Nothing is guessed: a record with a date that can't be read, or outside the configured range, has no place and
goes to quarantine with that reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.rescue import is_unicode
from lake_pipeline.convert.days import Days, NoPlace
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.partitions import MAX_MODE_BYTES, PartitionKey, escape_mode

UNPLACED = -1

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""How Hive spells a partition value that is null."""


class KeyPlacer:
    """Reads the day and the mode that a key promises, by the named groups of `key_pattern`.

    Every match in the key contributes its groups: `date` (YYYY-MM-DD), or `year`, `month` and `day`; `mode`.
    """

    def __init__(self, key_pattern: str) -> None:
        self._pattern = re.compile(key_pattern)

    def groups(self, key: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for match in self._pattern.finditer(key):
            found |= {name: value for name, value in match.groupdict().items() if value}
        return found

    def day(self, key: str) -> date | None:
        found = self.groups(key)
        try:
            if "date" in found:
                return date.fromisoformat(found["date"])
            if {"year", "month", "day"} <= found.keys():
                return date(int(found["year"]), int(found["month"]), int(found["day"]))
        except ValueError:
            return None
        return None

    def mode(self, key: str) -> str | None:
        return self.groups(key).get("mode")

    def partition(self, key: str) -> PartitionKey | None:
        """The partition the key promises, if it promises both a day and a mode that fits a path."""
        day, mode = self.day(key), self.mode(key)
        if day is None or mode is None or len(escape_mode(mode)) > MAX_MODE_BYTES:
            return None
        return PartitionKey(day, mode)


@dataclass
class Places:
    """Where the rows of a table go: `codes` index `partitions`, `UNPLACED` has an entry in `problems`."""

    partitions: list[PartitionKey]
    codes: npt.NDArray[np.int32]
    problems: dict[int, NoPlace] = field(default_factory=dict)


@dataclass(frozen=True)
class FilePlace:
    """What a file's key says of rows that say nothing themselves."""

    day: date | None
    mode: str


class Placer:
    """Finds the places of rows. One for a conversion; free of state but for what is computed once."""

    def __init__(self, options: ConversionOptions) -> None:
        self._options = options
        self._keys = KeyPlacer(options.key_pattern)
        self._days = Days(options.time_zone)

    def of_key(self, key: str) -> FilePlace:
        return FilePlace(self._keys.day(key), self._keys.mode(key) or self._options.default_mode)

    def place(
        self,
        days: pa.Array | Sequence[Any],
        modes: pa.Array | Sequence[Any],
        files: Sequence[FilePlace],
        file_index: npt.NDArray[np.int32],
    ) -> Places:
        """The place of each row from its day and mode values (Arrow or Python values, None where missing).

        `file_index` (one per row) says which of `files` a row came from.
        """
        day_codes, day_values = _coded(self._days.keys(days), self._day)
        mode_codes, mode_values = _coded(modes, self._mode)
        day_codes = _fill(day_codes, day_values, [self._key_day(file) for file in files], file_index)
        mode_codes = _fill(mode_codes, mode_values, [self._mode(file.mode) for file in files], file_index)
        return _combine(day_codes, day_values, mode_codes, mode_values)

    def _day(self, value: Any) -> date | NoPlace:
        try:
            return self._in_range(self._days.of(value))
        except NoPlace as problem:
            return problem.forgetting()

    def _key_day(self, file: FilePlace) -> date | NoPlace:
        if file.day is None:
            return NoPlace("no_date", f"the record has no {self._options.date_field} and its key names no date")
        try:
            return self._in_range(file.day)
        except NoPlace as problem:
            return problem.forgetting()

    def _in_range(self, day: date) -> date:
        first, last = self._options.first_date, self._options.last_date
        if not first <= day <= last:
            raise NoPlace("date_out_of_range", f"the date {day} is outside {first} to {last} (LAKE_FIRST_DATE)")
        return day

    def _mode(self, value: Any) -> str | NoPlace:
        match value:
            case bool():
                mode = "true" if value else "false"
            case str() if not is_unicode(value):
                return NoPlace("invalid_mode", f"the mode {value[:40]!r} is no Unicode text")
            case float() if value.is_integer():
                # A column of doubles holds 7 as 7.0; the mode must not depend on what else the column has seen.
                mode = str(int(value))
            case str() | int() | float():
                mode = str(value)
            case _:
                return NoPlace("invalid_mode", f"the mode is a {type(value).__name__}, not a text or a number")
        if mode == HIVE_NULL:
            return NoPlace("invalid_mode", f"the mode {mode} is what readers take for none")
        if len(escape_mode(mode)) > MAX_MODE_BYTES:
            return NoPlace("invalid_mode", f"the mode {mode[:40]!r}… is longer than {MAX_MODE_BYTES} bytes in a path")
        return mode


MISSING = -1
_Codes = npt.NDArray[np.int32]


def _coded(values: pa.Array | Sequence[Any], meaning: Callable[[Any], Any]) -> tuple[_Codes, list[Any]]:
    """Each row's code (MISSING for null and empty text) and what each code means; distinct values are read once."""
    if not isinstance(values, pa.Array) or pa.types.is_nested(values.type):
        objects = values.to_pylist() if isinstance(values, pa.Array) else list(values)
        return _coded_objects(objects, meaning)
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    codes = encoded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int32)
    texts = encoded.dictionary.to_pylist()
    for empty in [index for index, text in enumerate(texts) if text == ""]:
        codes[codes == empty] = MISSING
    return codes, [meaning(value) for value in texts]


def _coded_objects(values: list[Any], meaning: Callable[[Any], Any]) -> tuple[_Codes, list[Any]]:
    known: dict[tuple[type, Any], int] = {}
    meanings: list[Any] = []
    codes = np.full(len(values), MISSING, dtype=np.int32)
    for row, value in enumerate(values):
        if value is None or value == "":
            continue
        plain = isinstance(value, (str, int, float))
        # 1, 1.0 and True are equal to Python and are not the same mode.
        code = known.get((type(value), value)) if plain else None
        if code is None:
            code = len(meanings)
            meanings.append(meaning(value))
            if plain:
                known[type(value), value] = code
        codes[row] = code
    return codes, meanings


def _fill(codes: _Codes, values: list[Any], by_file: list[Any], file_index: npt.NDArray[np.int32]) -> _Codes:
    """Give rows without a value of their own the value of their file."""
    filled: _Codes = np.where(codes == MISSING, file_index + len(values), codes).astype(np.int32)
    values.extend(by_file)
    return filled


def _combine(day_codes: _Codes, days: list[Any], mode_codes: _Codes, modes: list[Any]) -> Places:
    both = day_codes.astype(np.int64) * len(modes) + mode_codes
    pairs, row_pairs = _distinct(both, len(days) * len(modes))
    partitions: dict[PartitionKey, int] = {}
    code_of_pair = np.empty(len(pairs), dtype=np.int32)
    problem_of_pair: dict[int, NoPlace] = {}
    for index, pair in enumerate(pairs.tolist()):
        day, mode = days[pair // len(modes)], modes[pair % len(modes)]
        problem = next((part for part in (day, mode) if isinstance(part, NoPlace)), None)
        if problem is not None:
            code_of_pair[index] = UNPLACED
            problem_of_pair[index] = problem
        else:
            code_of_pair[index] = partitions.setdefault(PartitionKey(day, mode), len(partitions))
    codes = code_of_pair[row_pairs] if len(pairs) else np.empty(0, dtype=np.int32)
    unplaced = np.flatnonzero(codes == UNPLACED).tolist()
    problems = {row: problem_of_pair[int(row_pairs[row])] for row in unplaced}
    return Places(partitions=list(partitions), codes=codes, problems=problems)


FEW = 1 << 16
"""So many numbers are told apart by a table of them, ten times as fast as by sorting."""


def _distinct(numbers: npt.NDArray[np.int64], bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct `numbers`, which are below `bound`, in order, and of each number which of them it is."""
    if bound > max(FEW, len(numbers)):
        return np.unique(numbers, return_inverse=True)
    found = np.flatnonzero(np.bincount(numbers, minlength=bound))
    index_of = np.empty(bound, dtype=np.int64)
    index_of[found] = np.arange(len(found))
    return found, index_of[numbers]
