"""The plain reference: what a conversion must make of a text, by the plainest means there are.

Nothing here is fast, and nothing is shared with the kernel: bytes are walked one by one, and `json` from the standard
library decides what is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lake_pipeline.contract.contract import Column
from lake_pipeline.contract.paths import parse_path
from lake_pipeline.contract.shapes import Kind
from lake_pipeline_tests.factories import Converted

SPACES = b" \t\r\n"
MAX_DEPTH = 256


def reference(line: bytes) -> dict[str, Any] | None:
    """The record; None where it is broken."""
    try:
        record = loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and depth(record) <= MAX_DEPTH else None


def loads(text: str) -> Any:
    """A JSON value. What Python would not hold exactly or at all stays text."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits, parse_constant=str)


def depth(value: Any) -> int:
    """Objects and lists inside one another. (A loop: Python gives up on recursion before `json` does.)"""
    levels, inside = 0, [value]
    while inside := [child for child in inside if isinstance(child, (dict, list))]:
        levels += 1
        inside = [inner for child in inside for inner in (child.values() if isinstance(child, dict) else child)]
    return levels


def has_repeated_keys(line: bytes) -> bool:
    """Whether a key stands more than once in some object of a record."""
    found = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        found.append(len(dict(items)) < len(items))

    json.loads(line, object_pairs_hook=pairs, parse_int=str)
    return any(found)


def records_of_lines(text: bytes) -> Iterator[bytes]:
    """The records of a text of lines: each line that is not blank, or the documents it is made of."""
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
    """What was found in a text: `documents` by start and end, where one was left open, whether in an array."""

    documents: list[tuple[int, int]]
    open_start: int | None
    in_array: bool


def walk(text: str) -> Walk:
    """Find documents byte by byte: what an outermost bracket encloses, or, where it is an array's, the elements."""
    found: list[tuple[int, int]] = []
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
                found.append((start, at + 1))
        slashes = slashes + 1 if char == "\\" else 0
    return Walk(documents=found, open_start=start if nesting > level else None, in_array=nesting > 0 and level == 1)


def rebuilt(row: dict[str, Any], converted: Converted) -> dict[str, Any]:
    """The record that a published row tells of: its columns at their paths, and what was rescued at its path."""
    record: dict[str, Any] = {}
    found = {column.path: _value(row[column.name], column) for column in converted.contract.columns}
    found |= {parse_path(path): value for path, value in loads(row["_rescued"] or "{}").items()}
    for path, value in found.items():
        if value is not None:
            inside = record
            for key in path[:-1]:
                inside = inside.setdefault(key, {})
            inside[path[-1]] = value
    return record


def _value(value: Any, column: Column) -> Any:
    return loads(value) if column.shape.kind is Kind.JSON and value is not None else value


def alike(left: Any, right: Any) -> bool:
    """Equal as JSON, where a null is a missing key, and the keys inside lists may have become safe names."""
    if isinstance(left, dict) and isinstance(right, dict):
        mine, theirs = solid(left), solid(right)
        if mine.keys() == theirs.keys():
            return all(alike(mine[key], theirs[key]) for key in mine)
        pairs = zip(sorted(mine.values(), key=repr), sorted(theirs.values(), key=repr), strict=False)
        return len(mine) == len(theirs) and all(alike(one, other) for one, other in pairs)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, str) and isinstance(right, (dict, list)):
        return alike(loads(left), right)  # below the deepest level values are kept as text
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right) or (hollow(left) and hollow(right))


def solid(found: dict[str, Any]) -> dict[str, Any]:
    """Without keys that hold no value."""
    return {key: value for key, value in found.items() if not hollow(value)}


def hollow(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(hollow(child) for child in value.values()))
