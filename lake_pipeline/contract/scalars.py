"""Casting a JSON text to a timestamp, date, decimal or text, exactly or not at all.

This module defines the rules, value by value. `convert/parse/cast.py` casts common formats many at a time and must give
the same results.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from lake_pipeline.contract.shapes import Kind, Shape

EPOCH_UNITS = ((10**11, 1_000_000), (10**14, 1_000), (10**17, 1))
"""Numbers below each bound are seconds, milliseconds or microseconds since 1970: (bound, microseconds of one).
Larger ones are nanoseconds."""

FIRST_MICROSECOND = -62_135_596_800_000_000
LAST_MICROSECOND = 253_402_300_799_999_999
"""The years 1 to 9999, in UTC."""

_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?"
    r" ?(?:[Zz]|([+-])(\d{2})(?::?(\d{2}))?)?)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)


class Inexact(ValueError):
    """The value cannot be cast to the column's type without a loss."""


def cast_text(text: str, shape: Shape) -> Any:
    """Cast the JSON `text` of a value (not null) to `shape`, whose kind is in `MADE_FROM_TEXT`.

    Returns a str, datetime (UTC), date or Decimal. Raises `Inexact`.
    """
    match shape.kind:
        case Kind.JSON:
            return _json(text)
        case Kind.TEXT:
            return _text(text)
        case Kind.TIMESTAMP:
            return _timestamp(text)
        case Kind.DATE:
            return _date(text)
        case _:
            assert shape.digits is not None, "only decimals are left"
            return _decimal(text, *shape.digits)


def _json(text: str) -> str:
    """The text itself, unless it is JSON only for Python."""
    if "NaN" in text or "Infinity" in text:
        try:
            json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
        except ValueError as error:
            raise Inexact from error
    return text


def _refuse(constant: str) -> None:
    raise Inexact(constant)


def _text(text: str) -> str:
    if text[0] in "{[NI" or text.startswith("-I"):
        raise Inexact
    return _string(text) if text[0] == '"' else text


def _string(text: str) -> str:
    """The value of a JSON string. Lone surrogates have no UTF-8 encoding."""
    value: str = json.loads(text)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Inexact from error
    return value


def _timestamp(text: str) -> datetime:
    micros = _micros_of_text(_string(text)) if text[0] == '"' else _micros_of_epoch(_number(text))
    if not FIRST_MICROSECOND <= micros <= LAST_MICROSECOND:
        raise Inexact
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _micros_of_text(text: str) -> int:
    match = _ISO.fullmatch(text.strip())
    if not match:
        raise Inexact
    day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    digits = (fraction or "").rstrip("0")
    if len(digits) > 6 or int(offset_hours or 0) > 23 or int(offset_minutes or 0) > 59:
        raise Inexact
    try:
        at = date.fromisoformat(day)
        local = datetime(at.year, at.month, at.day, int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError as error:
        raise Inexact from error
    offset = int(offset_hours or 0) * 3600 + int(offset_minutes or 0) * 60
    since = local - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86400 + since.seconds - (-offset if sign == "-" else offset)
    return seconds * 1_000_000 + int(digits.ljust(6, "0"))


def _micros_of_epoch(value: Decimal) -> int:
    size = abs(value)
    micros_each = next((micros for bound, micros in EPOCH_UNITS if size < bound), None)
    with localcontext() as context:
        context.prec = 5000
        micros = value * micros_each if micros_each is not None else value / 1000
        if size > 10**22 or micros != micros.to_integral_value():
            raise Inexact
        return int(micros)


def _date(text: str) -> date:
    value = _string(text) if text[0] == '"' else ""
    if not _DATE.fullmatch(value):
        raise Inexact
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Inexact from error


def _decimal(text: str, precision: int, scale: int) -> Decimal:
    value = _number(_string(text) if text[0] == '"' else text)
    with localcontext() as context:
        context.prec = 5000
        try:
            fixed = value.quantize(Decimal(1).scaleb(-scale))
        except InvalidOperation as error:
            raise Inexact from error
    if fixed != value or abs(fixed) >= Decimal(10) ** (precision - scale):
        raise Inexact
    return fixed


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text) or len(text) > 1000:
        raise Inexact
    return Decimal(text)
