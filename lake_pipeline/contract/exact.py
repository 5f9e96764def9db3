"""Exact: from the text of a JSON value to a Python value that has lost nothing of it.

Numbers that no column holds stay as they were written, and keys that stand more than once are all kept.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from lake_pipeline.contract.rescue import INT64, Number, Repeated, Source

MAX_NESTING = 256
"""Objects and lists inside one another, the record included. Deeper text is taken for an attack, not for data."""

MAX_OBJECTS = 4_000_000
"""Objects in a record that is decoded here. Each takes a quarter of a kilobyte, however small it is: a record of 32 MB
could be two gigabytes of them."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def decode(text: str) -> Any:
    """The value of one JSON text. Numbers beyond 64 bits or not finite are `Number`, repeated keys give `Repeated`.

    Raises `json.JSONDecodeError`, and RecursionError for what is nested deeper than Python reads.
    """
    return _DECODER.decode(text)


def with_sources(record: dict[str, Any], line: str, wanted: Any) -> dict[str, Any]:
    """`record`, which was decoded from `line`, with a `Source` for each value that `wanted` asks for.

    `wanted` is a tree: key → True, or the tree inside (see `Reading.texts`). Nulls stay None.
    """
    _put(record, _sources(line, _behind_blanks(line, 0), wanted)[0])
    return record


def _put(record: dict[str, Any], found: dict[str, Any]) -> None:
    for key, source in found.items():
        if isinstance(source, dict):
            _put(record[key], source)
        elif record[key] is not None:
            record[key] = Source(source, record[key])


def _sources(text: str, at: int, wanted: Any) -> tuple[dict[str, Any], int]:
    """The texts of what is wanted in the object that begins at `at`, and where the object ends.

    The text is known to be JSON. Of a key that stands more than once the last one counts.
    """
    found: dict[str, Any] = {}
    at = _behind_blanks(text, at + 1)
    while text[at] != "}":
        key, at = _scan_string(text, _behind_blanks(text, at) + 1, True)
        start = _behind_blanks(text, _behind_blanks(text, at) + 1)
        inside = wanted.get(key)
        found.pop(key, None)
        if isinstance(inside, dict) and text[start] == "{":
            found[key], at = _sources(text, start, inside)
        else:
            _, at = _DECODER.raw_decode(text, start)
            if inside is True:
                found[key] = text[start:at]
        at = _behind_blanks(text, at)
        if text[at] == ",":
            at += 1
    return found, at + 1


def _behind_blanks(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def nesting(text: str) -> int:
    """How deep brackets stand inside one another, at most, in a JSON text."""
    brackets = _STRING.sub("", text).encode().translate(None, _NO_BRACKETS)
    steps = np.where(np.frombuffer(brackets, dtype=np.uint8) & 4, np.int8(-1), np.int8(1))
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def objects(text: str) -> int:
    """How many objects are in a JSON text."""
    return _STRING.sub("", text).count("{")


def _integer(text: str) -> int | Number:
    if len(text) < 19:
        return int(text)  # fits whatever it is, and there may be millions
    # 4,300 digits are Python's limit; beyond 20 no number fits 64 bits anyway.
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
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]  # what the decoder itself reads keys with
