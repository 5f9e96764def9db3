"""Decoding by rule: records are rewritten before they are parsed, so that both parsers see decoded values.

`decode = "json"` replaces a text that holds JSON by that JSON, `dynamodb` and `mongo` take the types off their values,
and `from_text` replaces a text by the number, boolean or moment in it. What can't be decoded exactly stays as it is.
Only contracts with such rules come here. The bytes of quarantined records are always the original ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lake_pipeline.contract.exact_json import MAX_NESTING, decode, nesting, value_spans
from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rescue import INT64, Number, Repeated, record_text
from lake_pipeline.contract.rules import Decode, Rules
from lake_pipeline.contract.shapes import Kind

_INTEGER = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)

Rewrite = Callable[[str], str | None]
"""The JSON text of a value → its replacement; None if the value stays as it is."""


class Decoder:
    """The decoding of one set of rules."""

    def __init__(self, rules: Rules) -> None:
        # Outer values first: a decoded text may contain values with a rule.
        by_depth: dict[int, list[tuple[Path, Rewrite]]] = {}
        for path, rule in rules.paths.items():
            if rule.decode is not None:
                by_depth.setdefault(len(path), []).append((path, _REWRITES[rule.decode]))
            elif rule.from_text and rule.pin is not None:
                by_depth.setdefault(len(path), []).append((path, _FROM_TEXT[rule.pin.kind]))
        self._trees = [_tree(by_depth[depth]) for depth in sorted(by_depth)]

    def lines(self, lines: bytes) -> bytes:
        """The records in `lines`, each ended by a newline, with decoded values."""
        return b"".join([self.line(line) + b"\n" for line in lines.split(b"\n")[:-1]]) if self._trees else lines

    def line(self, line: bytes) -> bytes:
        """One record; unchanged if it is not JSON."""
        for tree in self._trees:
            try:
                line = _rewritten(line.decode(), tree).encode()
            except (ValueError, IndexError, RecursionError):
                return line
        return line


def _tree(rewrites: Iterable[tuple[Path, Rewrite]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, rewrite in rewrites:
        inside = tree
        for key in path[:-1]:
            inside = inside.setdefault(key, {})
        inside[path[-1]] = rewrite
    return tree


def _rewritten(text: str, tree: Mapping[str, Any]) -> str:
    if not text.lstrip().startswith("{"):
        return text
    pieces, done = [], 0
    for start, end, rewrite in sorted(value_spans(text, tree), key=lambda span: span[0]):
        replacement = rewrite(text[start:end])
        if replacement is not None:
            pieces += [text[done:start], replacement]
            done = end
    return "".join([*pieces, text[done:]])


def _json(text: str) -> str | None:
    """The object or list in a text."""
    if not text.startswith('"'):
        return None
    inside = json.loads(text).strip()
    if inside[:1] not in ("{", "[") or nesting(inside) > MAX_NESTING // 2:
        return None
    decode(inside)
    # Line ends are outside of strings, or it would not be JSON.
    inside = inside.replace("\n", " ").replace("\r", " ")
    return inside if inside.isascii() or _is_unicode(inside) else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_types(convert: Callable[[Any], Any]) -> Rewrite:
    def rewrite(text: str) -> str | None:
        if not text.startswith(("{", "[")):
            return None
        return _text(convert(decode(text)))

    return rewrite


def _text(value: Any) -> str:
    # An object around it, because only whole records have a text.
    return record_text({"": value})[4:-1]


def _of_dynamodb(value: Any) -> Any:
    """An attribute value without its type, or an object of them."""
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((kind, inner),) = value.items()
        decoded = _dynamodb_value(kind, inner)
        if decoded is not _UNKNOWN:
            return decoded
    return {key: _of_dynamodb(child) for key, child in value.items()}


_UNKNOWN = object()


def _dynamodb_value(kind: str, inner: Any) -> Any:
    match kind, inner:
        case ("S" | "B", str()):
            return inner
        case ("N", str()) if _NUMBER.fullmatch(inner):
            return Number(inner)
        case ("BOOL", bool()):
            return inner
        case ("NULL", True):
            return None
        case ("L", list()):
            return [_of_dynamodb(child) for child in inner]
        case ("M", dict()) if type(inner) is dict:
            return {key: _of_dynamodb(child) for key, child in inner.items()}
        case ("SS" | "BS", list()) if all(isinstance(child, str) for child in inner):
            return inner
        case ("NS", list()) if all(isinstance(child, str) and _NUMBER.fullmatch(child) for child in inner):
            return [Number(child) for child in inner]
        case _:
            return _UNKNOWN


def _of_mongo(value: Any) -> Any:
    """A value of Extended JSON (versions 1 and 2) without its types; types that JSON can't express stay."""
    if isinstance(value, list):
        return [_of_mongo(child) for child in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((kind, inner),) = value.items()
        decoded = _mongo_value(kind, inner)
        if decoded is not _UNKNOWN:
            return decoded
    return {key: _of_mongo(child) for key, child in value.items()}


def _mongo_value(kind: str, inner: Any) -> Any:
    match kind, inner:
        case ("$oid" | "$uuid" | "$symbol" | "$numberDecimal", str()):
            return inner
        case ("$numberInt" | "$numberLong", str()) if _INTEGER.fullmatch(inner):
            return Number(inner)
        case ("$numberDouble", str()) if _NUMBER.fullmatch(inner):
            return Number(inner)
        case ("$date", str() | int()) if not isinstance(inner, bool):
            return inner
        case ("$date", dict()):
            return _mongo_value(*next(iter(inner.items()))) if inner.keys() == {"$numberLong"} else _UNKNOWN
        case _:
            return _UNKNOWN


def _from_text(convert: Callable[[str], str | None]) -> Rewrite:
    def rewrite(text: str) -> str | None:
        return convert(json.loads(text).strip()) if text.startswith('"') else None

    return rewrite


def _integer(text: str) -> str | None:
    return text if _INTEGER.fullmatch(text) and len(text) <= 20 and int(text) in INT64 else None


def _double(text: str) -> str | None:
    return text if _NUMBER.fullmatch(text) else None


def _boolean(text: str) -> str | None:
    return text.lower() if text.lower() in ("true", "false") else None


def _exact(rewrite: Rewrite) -> Rewrite:
    """A value with repeated keys stays as it is: no column holds it."""

    def checked(text: str) -> str | None:
        return None if _has_repeated(decode(text)) else rewrite(text)

    return checked


def _has_repeated(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_repeated, value))
    return isinstance(value, Repeated) or (isinstance(value, dict) and any(map(_has_repeated, value.values())))


_REWRITES: Mapping[Decode, Rewrite] = {
    Decode.JSON: _json,
    Decode.DYNAMODB: _exact(_without_types(_of_dynamodb)),
    Decode.MONGO: _exact(_without_types(_of_mongo)),
}
_FROM_TEXT: Mapping[Kind, Rewrite] = {
    Kind.INT: _from_text(_integer),
    Kind.DOUBLE: _from_text(_double),
    Kind.BOOL: _from_text(_boolean),
    Kind.TIMESTAMP: _from_text(_double),
}
