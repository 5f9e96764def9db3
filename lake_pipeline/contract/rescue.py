"""Rescue: fit a record into its shape, and keep the values that do not fit as JSON text.

No value is lost: it is in its column, or in `_rescued` under its path, exactly as it was written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.scalars import Inexact, cast_text
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, Kind, Shape

EXACT_INT = 2**53
"""Integers up to here are exact as doubles (IEEE 754 binary64)."""


INT64 = range(-(2**63), 2**63)
"""The values of a column of integers."""


def is_whole(fraction: float) -> bool:
    """Whether a number that is written as a fraction is an integer to a column of integers: `7.0` and `1e2` are.

    Above 2^53 every double is a whole number, whatever the digits in the file were.
    """
    return abs(fraction) <= EXACT_INT and fraction.is_integer()


class Number:
    """A number that no column can store exactly (beyond 64 bits, or not finite), kept as its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Repeated(dict[str, Any]):
    """An object with repeated keys: the last value of a key counts, `earlier` has the others in order."""

    __slots__ = ("earlier",)
    earlier: tuple[tuple[str, Any], ...]


class Source:
    """A value with its JSON text, for columns that are cast from text."""

    def __init__(self, text: str, value: Any) -> None:
        self.text = text
        self.value = value


SLICE_VALUES = 1000
"""Items of a long list that are checked together; most of them need no change."""

_AS_IT_IS: Mapping[Kind, frozenset[type]] = {
    Kind.BOOL: frozenset({bool, type(None)}),
    Kind.INT: frozenset({int, type(None)}),
    Kind.DOUBLE: frozenset({float, int, type(None)}),
    Kind.STRING: frozenset({str, type(None)}),
    Kind.LIST: frozenset({list, type(None)}),
    Kind.STRUCT: frozenset({dict, type(None)}),
}
"""For each kind of column, the types of values that may need no change."""


_SCALARS: Mapping[Kind, type] = {Kind.BOOL: bool, Kind.INT: int, Kind.DOUBLE: float, Kind.STRING: str}
"""For each kind of column, the type of its values."""


class Misfit(Exception):
    """A value that does not fit. Raised and caught inside this module."""


def fit(record: dict[str, Any], root: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part of `record` that fits `root` (same keys), and the rescued values: path as text → value."""
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
    """A value without the JSON texts of its parts."""
    if isinstance(value, Source):
        return value.value
    if isinstance(value, dict):
        for key, child in value.items():
            value[key] = _plain(child)
    return value


def _fit_column(key: str, value: Any, shape: Shape | None, fitted: dict[str, Any]) -> bool:
    """Put the part of `value` that its column can hold into `fitted`. False if something is left over."""
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
        fitted[key] = cast_text(source.text, shape)
    except Inexact:
        return False
    return True


def _fit_value(value: Any, shape: Shape, lost: list[Any]) -> Any:
    """`value` for its column. Untyped parts go to `lost`. Raises Misfit if a typed part does not fit."""
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
    if len(values) < SLICE_VALUES:
        return [_fit_value(child, shape, lost) for child in values]
    # Item by item costs microseconds and a second copy: half a minute and half a gigabyte for a record of 30 MB.
    fitted = values
    for first in range(0, len(values), SLICE_VALUES):
        items = values[first : first + SLICE_VALUES]
        if not _fit_as_they_are(items, shape):
            fitted = values[:] if fitted is values else fitted
            fitted[first : first + SLICE_VALUES] = [_fit_value(child, shape, lost) for child in items]
    return fitted


def _fit_fields(value: dict[str, Any], shape: Shape, lost: list[Any]) -> dict[str, Any]:
    """An object for its column. It is not copied if nothing changes, since there may be millions."""
    fitted = value
    for key, child in value.items():
        fitted_child = _fit_value(child, shape.fields[key], lost)
        if fitted_child is not child:
            fitted = {**fitted, key: fitted_child}
    return fitted


def _fit_as_they_are(values: list[Any], shape: Shape) -> bool:
    """Whether `_fit_value` would return each value unchanged, without losses. False also if unknown."""
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
            children = by_key(filter(None, values))
            return children.keys() <= shape.fields.keys() and all(
                _fit_as_they_are(inside, shape.fields[key]) for key, inside in children.items()
            )
        case _:
            return True


def by_key(objects: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each key, in order of appearance."""
    children: defaultdict[str, list[Any]] = defaultdict(list)
    for value in objects:
        for key, child in value.items():
            children[key].append(child)
    return children


def _fit_scalar(value: Any, kind: Kind) -> Any:
    if _fits_as_it_is(value, kind) or (kind is Kind.DOUBLE and type(value) is int and abs(value) <= EXACT_INT):
        return value
    if kind is Kind.INT and type(value) is float and is_whole(value):
        return int(value)
    raise Misfit


def _fits_as_it_is(value: Any, kind: Kind) -> bool:
    """Whether a column of `kind` stores the scalar `value` without a change."""
    # Types are compared, not matched, for speed: this runs for every value of every record that does not fit.
    type_ = type(value)
    return type_ is _SCALARS.get(kind) and (type_ is not str or is_unicode(value))


def is_unicode(text: str) -> bool:
    """False for text with lone surrogates, which have no UTF-8 encoding."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_text(rescued: dict[str, Any]) -> str:
    """Rescued values as one JSON object, sorted by path. Numbers are unchanged, lone surrogates become `\\ud800`."""
    return _text({path: rescued[path] for path in sorted(rescued)})


def record_text(record: dict[str, Any]) -> str:
    """A record as one JSON object, with its keys in their order and repeated ones first."""
    return _text(record)


def without(record: dict[str, Any], path: Path) -> None:
    """Remove the value at `path` from `record`, also from objects with repeated keys."""
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
    """`text`, the output of `to_text`, with `value` added at `path`.

    Existing values do not change, including a value that was already rescued at this path.
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
        # Two Python frames for each level: values may be as deep as records, and the number of frames is limited.
        return (
            "["
            + ",".join(
                [",".join(map(_text, value[at : at + SLICE_VALUES])) for at in range(0, len(value), SLICE_VALUES)]
            )
            + "]"
        )
    if kind is Repeated:
        pairs = [*value.earlier, *value.items()]
        return "{" + ",".join([f"{_string(key)}:{_text(child)}" for key, child in pairs]) + "}"
    if kind is Number:
        # NaN and Infinity are not valid JSON numbers, so readers get them as strings.
        return str(value.text) if value.text.lstrip("-")[:1].isdigit() else _string(value.text)
    return json.dumps(value) if value is None or kind is bool else repr(value)


def _string(text: str) -> str:
    # The same as json.dumps, but faster: every record may have rescued values.
    return _quoted(text) if is_unicode(text) else _quoted_ascii(text)


_quoted = json.encoder.encode_basestring
_quoted_ascii = json.encoder.encode_basestring_ascii
