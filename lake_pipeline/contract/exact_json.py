"""Exact JSON: decode a JSON text to Python values without losing anything.

Numbers that no column can store are kept as text, and all values of repeated keys are kept.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from lake_pipeline.contract.rescue import INT64, Number, Repeated, Source

MAX_NESTING = 256
"""Levels of nested objects and lists, including the record. Deeper text is treated as an attack."""

MAX_OBJECTS = 4_000_000
"""Objects in a record that is decoded here. Each takes at least 256 bytes, so a record of 32 MB could take 2 GB."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def decode(text: str) -> Any:
    """The value of one JSON text. Numbers beyond 64 bits or not finite are `Number`, repeated keys give `Repeated`.

    Raises `json.JSONDecodeError`, and RecursionError if it is nested too deep for Python.
    """
    return _DECODER.decode(text)


def with_sources(record: dict[str, Any], line: str, fields: Any) -> dict[str, Any]:
    """`record`, which was decoded from `line`, with a `Source` for each value of `fields`.

    `fields` is a tree: key → True, or the tree inside (see `ParserRules.texts`). Nulls stay None.
    """
    _put(record, _sources(line, _skip_whitespace(line, 0), fields)[0])
    return record


def _put(record: dict[str, Any], sources: dict[str, Any]) -> None:
    for key, source in sources.items():
        if isinstance(source, dict):
            _put(record[key], source)
        elif record[key] is not None:
            record[key] = Source(source, record[key])


def _sources(text: str, at: int, fields: Any) -> tuple[dict[str, Any], int]:
    """The texts of `fields` in the object that starts at `at`, and the position after the object.

    The text must be valid JSON. The last value of a repeated key counts.
    """
    sources: dict[str, Any] = {}
    at = _skip_whitespace(text, at + 1)
    while text[at] != "}":
        key, at = _scan_string(text, _skip_whitespace(text, at) + 1, True)
        start = _skip_whitespace(text, _skip_whitespace(text, at) + 1)
        inside = fields.get(key)
        sources.pop(key, None)
        if isinstance(inside, dict) and text[start] == "{":
            sources[key], at = _sources(text, start, inside)
        else:
            _, at = _DECODER.raw_decode(text, start)
            if inside is True:
                sources[key] = text[start:at]
        at = _skip_whitespace(text, at)
        if text[at] == ",":
            at += 1
    return sources, at + 1


def value_spans(text: str, fields: Any) -> list[tuple[int, int, Any]]:
    """Where the values of `fields` are in the object that `text` is: first character, end, and what the tree has there.

    `fields` is a tree: key → anything but a dict, or the tree inside. Values of repeated keys are all in it. Raises
    ValueError or IndexError if the text is not JSON.
    """
    spans: list[tuple[int, int, Any]] = []
    _span_object(text, _skip_whitespace(text, 0), fields, spans)
    return spans


def _span_object(text: str, at: int, fields: Any, spans: list[tuple[int, int, Any]]) -> int:
    at = _skip_whitespace(text, at + 1)
    while text[at] != "}":
        key, at = _scan_string(text, _skip_whitespace(text, at) + 1, True)
        start = _skip_whitespace(text, _skip_whitespace(text, at) + 1)
        inside = fields.get(key)
        if isinstance(inside, dict) and text[start] == "{":
            at = _span_object(text, start, inside, spans)
        else:
            at = _end_of_value(text, start)
            if inside is not None and not isinstance(inside, dict):
                spans.append((start, at, inside))
        at = _skip_whitespace(text, at)
        if text[at] == ",":
            at += 1
    return at + 1


def _end_of_value(text: str, start: int) -> int:
    return int(_DECODER.raw_decode(text, start)[1])


def _skip_whitespace(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def nesting(text: str) -> int:
    """The maximum nesting depth of a JSON text."""
    brackets = _STRING.sub("", text).encode().translate(None, _NO_BRACKETS)
    steps = np.where(np.frombuffer(brackets, dtype=np.uint8) & 4, np.int8(-1), np.int8(1))
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def objects(text: str) -> int:
    """The number of objects in a JSON text."""
    return _STRING.sub("", text).count("{")


def _integer(text: str) -> int | Number:
    if len(text) < 19:
        return int(text)  # always fits; fast, since there may be millions
    # Python's limit is 4,300 digits; no number with more than 20 fits 64 bits.
    value = int(text) if len(text) <= 20 else None
    return value if value is not None and value in INT64 else Number(text)


def _fraction(text: str) -> float | Number:
    value = float(text)
    return value if math.isfinite(value) else Number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeated = Repeated(value)
    last = {key: index for index, (key, _) in enumerate(pairs)}
    repeated.earlier = tuple(pair for index, pair in enumerate(pairs) if last[pair[0]] != index)
    return repeated


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=Number, object_pairs_hook=_object)
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]  # the decoder reads keys with it too
