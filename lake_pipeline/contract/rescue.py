"""Rescue: fit a record into its shape, and keep as JSON text whatever does not fit.

No value is dropped: it is in its column, or in `_rescued` under its path, as exactly as it was written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from lake_pipeline.contract.moments import Inexact, made
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, Kind, Shape

EXACT_INT = 2**53
"""Integers up to here are exact as doubles (IEEE 754 binary64)."""


INT64 = range(-(2**63), 2**63)
"""Integers that a column of integers holds."""


class Number:
    """A number that no column holds exactly (beyond 64 bits, not finite), kept as it was written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Repeated(dict[str, Any]):
    """An object in which keys stood more than once: the last value counts, `earlier` holds the others in order."""

    __slots__ = ("earlier",)
    earlier: tuple[tuple[str, Any], ...]


class Source:
    """A value with the text it was written as, for columns that are made from text."""

    def __init__(self, text: str, value: Any) -> None:
        self.text = text
        self.value = value


MANY = 1000
"""Items of a long list that are looked at together; most of them are fine as they are."""

_AS_IT_IS: Mapping[Kind, frozenset[type]] = {
    Kind.BOOL: frozenset({bool, type(None)}),
    Kind.INT: frozenset({int, type(None)}),
    Kind.DOUBLE: frozenset({float, int, type(None)}),
    Kind.STRING: frozenset({str, type(None)}),
    Kind.LIST: frozenset({list, type(None)}),
    Kind.STRUCT: frozenset({dict, type(None)}),
}
"""The types of values that may stand as they are in a column of some kind."""


_SCALARS: Mapping[Kind, type] = {Kind.BOOL: bool, Kind.INT: int, Kind.DOUBLE: float, Kind.STRING: str}
"""The type of the values that a column of some kind holds."""


class Misfit(Exception):
    """A value that does not fit; raised and caught inside this module."""


def fit(record: dict[str, Any], root: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part of `record` that fits `root` (same keys), and what was rescued: shown path → value."""
    rescued: dict[str, Any] = {}
    return _fit_struct(record, root, (), rescued), rescued


def _fit_struct(value: dict[str, Any], shape: Shape, path: Path, rescued: dict[str, Any]) -> dict[str, Any]:
    fitted: dict[str, Any] = {}
    for key, child in value.items():
        expected = shape.fields.get(key)
        if child is None:
            continue
        if expected is not None and _fits_as_it_is(child, expected.kind):
            fitted[key] = child
        elif expected is not None and expected.kind is Kind.STRUCT and expected.fields and isinstance(child, dict):
            fitted[key] = _fit_struct(child, expected, (*path, key), rescued)
        elif not _fit_column(key, child, expected, fitted):
            rescued[show_path((*path, key))] = _plain(child)
    if isinstance(value, Repeated):
        for key, child in value.earlier:
            rescued.setdefault(show_path((*path, key)) + "[earlier]", []).append(child)
    return fitted


def _plain(value: Any) -> Any:
    """A value without the texts that its parts were written as."""
    if isinstance(value, Source):
        return value.value
    if isinstance(value, dict):
        for key, child in value.items():
            value[key] = _plain(child)
    return value


def _fit_column(key: str, value: Any, shape: Shape | None, fitted: dict[str, Any]) -> bool:
    """Put `value` into `fitted` as far as its column can hold it; False where something is left over."""
    if shape is None or shape.storable is None:
        return False
    if shape.kind in MADE_FROM_TEXT:
        return _fit_text(key, value, shape, fitted)
    lost: list[Any] = []
    try:
        fitted[key] = _fit_value(value, shape, lost)
    except Misfit:
        return False
    return not lost


def _fit_text(key: str, source: Source, shape: Shape, fitted: dict[str, Any]) -> bool:
    try:
        fitted[key] = made(source.text, shape)
    except Inexact:
        return False
    return True


def _fit_value(value: Any, shape: Shape, lost: list[Any]) -> Any:
    """`value` as the column holds it. Untyped parts go to `lost`; raises Misfit where a typed part does not fit."""
    if value is None:
        return None
    if shape.storable is None:
        lost.append(value)
        return None
    if shape.kind is Kind.LIST and shape.item is not None and isinstance(value, list):
        return _fit_items(value, shape.item, lost)
    if shape.kind is Kind.STRUCT and isinstance(value, dict) and not isinstance(value, Repeated):
        if not value.keys() <= shape.fields.keys():
            raise Misfit
        return _fit_fields(value, shape, lost)
    return _fit_scalar(value, shape.kind)


def _fit_items(values: list[Any], shape: Shape, lost: list[Any]) -> list[Any]:
    if len(values) < MANY:
        return [_fit_value(child, shape, lost) for child in values]
    # Item by item costs microseconds and a second copy: half a minute and half a gigabyte for a record of 30 MB.
    fitted = values
    for first in range(0, len(values), MANY):
        some = values[first : first + MANY]
        if not _fit_as_they_are(some, shape):
            fitted = values[:] if fitted is values else fitted
            fitted[first : first + MANY] = [_fit_value(child, shape, lost) for child in some]
    return fitted


def _fit_fields(value: dict[str, Any], shape: Shape, lost: list[Any]) -> dict[str, Any]:
    """An object as the column holds it: itself where nothing in it changes, for there may be millions."""
    fitted = value
    for key, child in value.items():
        kept = _fit_value(child, shape.fields[key], lost)
        if kept is not child:
            fitted = {**fitted, key: kept}
    return fitted


def _fit_as_they_are(values: list[Any], shape: Shape) -> bool:
    """Whether `_fit_value` would give each of them back equal, and nothing lost; False also where it is hard to say."""
    if not shape.is_settled or shape.kind not in _AS_IT_IS or not set(map(type, values)) <= _AS_IT_IS[shape.kind]:
        return False
    match shape.kind:
        case Kind.DOUBLE:
            return all(abs(value) <= EXACT_INT for value in values if type(value) is int)
        case Kind.STRING:
            return is_unicode("".join(filter(None, values)))
        case Kind.LIST if shape.item is not None:
            return _fit_as_they_are(list(chain.from_iterable(filter(None, values))), shape.item)
        case Kind.STRUCT:
            found = by_key(filter(None, values))
            return found.keys() <= shape.fields.keys() and all(
                _fit_as_they_are(inside, shape.fields[key]) for key, inside in found.items()
            )
        case _:
            return True


def by_key(objects: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each key, in order of appearance."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for value in objects:
        for key, child in value.items():
            found[key].append(child)
    return found


def _fit_scalar(value: Any, kind: Kind) -> Any:
    if _fits_as_it_is(value, kind) or (kind is Kind.DOUBLE and type(value) is int and abs(value) <= EXACT_INT):
        return value
    raise Misfit


def _fits_as_it_is(value: Any, kind: Kind) -> bool:
    """Whether a column of `kind` holds `value`, which is no list and no object, without a change."""
    # Types are compared, not matched: this is asked for every value of every record with a surprise.
    found = type(value)
    return found is _SCALARS.get(kind) and (found is not str or is_unicode(value))


def is_unicode(text: str) -> bool:
    """False for text with lone surrogates, which no UTF-8 column can hold."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_text(rescued: dict[str, Any]) -> str:
    """Rescued values as one JSON object, sorted by path. Numbers stand as they were written, lone surrogates as
    `\\ud800`.
    """
    return _text({path: rescued[path] for path in sorted(rescued)})


def without(record: dict[str, Any], path: Path) -> None:
    """Take what stands at `path` out of `record`, also where keys stand more than once."""
    key, rest = path[0], path[1:]
    if not rest:
        record.pop(key, None)
        if isinstance(record, Repeated):
            record.earlier = tuple(pair for pair in record.earlier if pair[0] != key)
        return
    earlier = record.earlier if isinstance(record, Repeated) else ()
    for child in [record.get(key), *(child for name, child in earlier if name == key)]:
        if isinstance(child, dict):
            without(child, rest)


def add_rescued(text: str | None, path: str, value: Any) -> str:
    """`text`, what was rescued before (as `to_text` gives it), with `value` at `path` beside it.

    What stands there stays as it is, and so does a value that was rescued at this path already.
    """
    if text is None or text == "{}":
        return to_text({path: value})
    # Numbers stay text: some of them have more digits than Python reads.
    if path in json.loads(text, parse_int=str, parse_float=str):
        return text
    return f"{text[:-1]},{_string(path)}:{_text(value)}}}"


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _string(value)
    if kind is dict:
        return "{" + ",".join([f"{_string(key)}:{_text(child)}" for key, child in value.items()]) + "}"
    if kind is list:
        # Two frames of Python for each level: a value may be as deep as records are, and there is a limit to them.
        return "[" + ",".join([",".join(map(_text, value[at : at + MANY])) for at in range(0, len(value), MANY)]) + "]"
    if kind is Repeated:
        pairs = [*value.earlier, *value.items()]
        return "{" + ",".join([f"{_string(key)}:{_text(child)}" for key, child in pairs]) + "}"
    if kind is Number:
        # NaN and Infinity are no JSON numbers, so readers get them as strings.
        return str(value.text) if value.text.lstrip("-")[:1].isdigit() else _string(value.text)
    return json.dumps(value) if value is None or kind is bool else repr(value)


def _string(text: str) -> str:
    # What json.dumps comes down to: rescued values may be in every record.
    return _quoted(text) if is_unicode(text) else _quoted_ascii(text)


_quoted = json.encoder.encode_basestring
_quoted_ascii = json.encoder.encode_basestring_ascii
