"""Rescue: fit a record into its shape, and keep as JSON text whatever does not fit.

No value is dropped: it is in its column, or in `_rescued` under its path, as exactly as it was written.
"""

from __future__ import annotations

import json
from typing import Any

from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.shapes import Kind, Shape

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

    earlier: list[tuple[str, Any]]


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
        if expected is not None and expected.kind is Kind.STRUCT and expected.fields and isinstance(child, dict):
            fitted[key] = _fit_struct(child, expected, (*path, key), rescued)
        elif not _fit_column(key, child, expected, fitted):
            rescued[show_path((*path, key))] = child
    if isinstance(value, Repeated):
        for key, child in value.earlier:
            rescued.setdefault(show_path((*path, key)) + "[earlier]", []).append(child)
    return fitted


def _fit_column(key: str, value: Any, shape: Shape | None, fitted: dict[str, Any]) -> bool:
    """Put `value` into `fitted` as far as its column can hold it; False where something is left over."""
    if shape is None or shape.storable is None:
        return False
    lost: list[Any] = []
    try:
        fitted[key] = _fit_value(value, shape, lost)
    except Misfit:
        return False
    return not lost


def _fit_value(value: Any, shape: Shape, lost: list[Any]) -> Any:
    """`value` as the column holds it. Untyped parts go to `lost`; raises Misfit where a typed part does not fit."""
    if value is None:
        return None
    if shape.storable is None:
        lost.append(value)
        return None
    match shape.kind:
        case Kind.LIST if isinstance(value, list) and shape.item is not None:
            return [_fit_value(child, shape.item, lost) for child in value]
        case Kind.STRUCT if isinstance(value, dict) and not isinstance(value, Repeated):
            if not value.keys() <= shape.fields.keys():
                raise Misfit
            return {key: _fit_value(child, shape.fields[key], lost) for key, child in value.items()}
        case _:
            return _fit_scalar(value, shape.kind)


def _fit_scalar(value: Any, kind: Kind) -> Any:
    match kind, value:
        case Kind.BOOL, bool():
            return value
        case (Kind.INT, bool()) | (Kind.DOUBLE, bool()):
            raise Misfit
        case Kind.INT, int():
            return value
        case Kind.DOUBLE, float():
            return value
        case Kind.DOUBLE, int() if abs(value) <= EXACT_INT:
            return float(value)
        case Kind.STRING, str() if _is_unicode(value):
            return value
        case _:
            raise Misfit


def _is_unicode(text: str) -> bool:
    """False for text with lone surrogates, which no UTF-8 column can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_text(rescued: dict[str, Any]) -> str:
    """Rescued values as one JSON object. Numbers stand as they were written, lone surrogates as `\\ud800`."""
    return _text(rescued)


def _text(value: Any) -> str:
    match value:
        case Number():
            # NaN and Infinity are no JSON numbers, so readers get them as strings.
            return value.text if value.text.lstrip("-")[:1].isdigit() else json.dumps(value.text)
        case Repeated():
            pairs = [*value.earlier, *value.items()]
            return "{" + ",".join(f"{_string(key)}:{_text(child)}" for key, child in pairs) + "}"
        case dict():
            return "{" + ",".join(f"{_string(key)}:{_text(child)}" for key, child in value.items()) + "}"
        case list():
            return "[" + ",".join(_text(child) for child in value) + "]"
        case str():
            return _string(value)
        case _:
            return json.dumps(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=not _is_unicode(text))
