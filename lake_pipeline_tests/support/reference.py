"""The reference implementation: the expected result of a conversion, by the simplest means.

It is slow and shares nothing with the kernel: bytes are read one by one, and `json` from the standard library decides
what is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from lake_pipeline.contract.contract import Column
from lake_pipeline.contract.paths import parse_path
from lake_pipeline.contract.shapes import Kind
from lake_pipeline_tests.support.factories import Converted

SPACES = b" \t\r\n"
MAX_DEPTH = 256


def reference(line: bytes) -> dict[str, Any] | None:
    """The record; None if it is malformed."""
    try:
        record = loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and depth(record) <= MAX_DEPTH else None


def loads(text: str) -> Any:
    """A JSON value. Numbers that Python can't hold exactly stay text."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits, parse_constant=str)


def depth(value: Any) -> int:
    """The nesting depth. A loop, because Python's recursion limit is lower than that of `json`."""
    levels, inside = 0, [value]
    while inside := [child for child in inside if isinstance(child, (dict, list))]:
        levels += 1
        inside = [inner for child in inside for inner in (child.values() if isinstance(child, dict) else child)]
    return levels


def has_repeated_keys(line: bytes) -> bool:
    """Whether an object of the record repeats a key."""
    repeats = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        repeats.append(len(dict(items)) < len(items))

    json.loads(line, object_pairs_hook=pairs, parse_int=str)
    return any(repeats)


def records_of_lines(text: bytes) -> Iterator[bytes]:
    """The records of NDJSON: each line that is not blank, or the documents on it."""
    for line in text.split(b"\n"):
        if record := line.strip(SPACES):
            yield from _joined(record) if b"}{" in record else [record]


def _joined(line: bytes) -> list[bytes]:
    spans = walk(line.decode("latin-1")).documents
    edges = [0, *(end for _, end in spans)]
    whole = len(spans) > 1 and edges[-1] == len(line) and [start for start, _ in spans] == edges[:-1]
    return [line[start:end] for start, end in spans] if whole else [line]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """`documents` by start and end, the start of an unfinished one, and whether the text ends inside an array."""

    documents: list[tuple[int, int]]
    open_start: int | None
    in_array: bool


def walk(text: str) -> Walk:
    """Find documents byte by byte: the contents of the outermost brackets, or the elements of an outermost array."""
    documents: list[tuple[int, int]] = []
    level = nesting = start = slashes = 0
    in_string = False
    for at, char in enumerate(text):
        if char == '"' and slashes % 2 == 0:
            in_string = not in_string
        elif char in "{[" and not in_string:
            level = int(char == "[") if nesting == 0 else level
            start = at if nesting == level else start
            nesting += 1
        elif char in "}]" and not in_string and nesting:
            nesting -= 1
            if nesting == level:
                documents.append((start, at + 1))
        slashes = slashes + 1 if char == "\\" else 0
    return Walk(documents=documents, open_start=start if nesting > level else None, in_array=nesting > 0 and level == 1)


def rebuilt(row: dict[str, Any], converted: Converted) -> dict[str, Any]:
    """The record of a published row: its columns and its rescued values, at their paths."""
    record: dict[str, Any] = {}
    values = {column.path: _value(row[column.name], column) for column in converted.contract.columns}
    values |= {parse_path(path): value for path, value in loads(row["_rescued"] or "{}").items()}
    for path, value in values.items():
        if value is not None:
            inside = record
            for key in path[:-1]:
                inside = inside.setdefault(key, {})
            inside[path[-1]] = value
    return record


def _value(value: Any, column: Column) -> Any:
    return loads(value) if column.shape.kind is Kind.JSON and value is not None else value


def alike(left: Any, right: Any) -> bool:
    """Equal as JSON, if a null equals a missing key and keys inside lists may be replaced by safe names."""
    if isinstance(left, dict) and isinstance(right, dict):
        mine, theirs = without_empty(left), without_empty(right)
        if mine.keys() == theirs.keys():
            return all(alike(mine[key], theirs[key]) for key in mine)
        return len(mine) == len(theirs) and any(
            all(map(alike, mine.values(), order)) for order in permutations(theirs.values())
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, str) and isinstance(right, (dict, list)):
        return alike(loads(left), right)  # below the deepest level values are kept as text
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right) or (is_empty(left) and is_empty(right))


def without_empty(values: dict[str, Any]) -> dict[str, Any]:
    """Without keys that have no value."""
    return {key: value for key, value in values.items() if not is_empty(value)}


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(is_empty(child) for child in value.values()))
