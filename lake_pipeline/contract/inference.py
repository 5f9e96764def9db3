"""Inference: the shape of records from a sample of them, by majority.

Where values of different kinds stand at one path the more frequent kind gets the column, and the others are
rescued: one odd record must not turn a column of numbers into text. Integers beside fractions are doubles. An object
whose keys are data is JSON: a column for each key would be thousands of columns, each with a handful of values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rescue import INT64, Source, is_unicode
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.shapes import Kind, Shape

MAP_OBJECTS = 20
"""An object is taken for a map when at least this many of it were seen, with at least `MAP_KEYS` rare keys."""

MAP_KEYS = 32
MAP_SHARE = 0.9
"""The share of its keys that must be rare."""

MAX_KEY = 1024
"""A longer key is data or damage; every schema, footer and contract would have to carry it."""

RARE = 0.01
"""A key is rare that stands in no more than this share of the objects, or in one."""


def infer(records: Iterable[dict[str, Any]], rules: Rules | None = None) -> Shape:
    """The shape of whole records as `loads` gives them. No records give an empty struct."""
    rules = rules or Rules()
    votes = _Votes()
    for record in records:
        votes.count(record, rules.deepest)
    fields = {key: child.shape((key,), rules) for key, child in votes.fields.items()}
    return Shape(Kind.STRUCT, fields)


@dataclass(slots=True)
class _Votes:
    """What was seen at one path. `seen` counts the objects that have the key, whatever its value.

    Kinds are counted by the Python type of their values: a sample holds a hundred thousand of them.
    """

    seen: int = 0
    types: dict[type, int] = field(default_factory=dict)
    fields: dict[str, _Votes] = field(default_factory=dict)
    item: _Votes | None = None

    def count(self, value: Any, levels: int) -> None:
        """Count a value, looking into it for so many levels."""
        self.seen += 1
        kind = type(value)
        if kind is int and value not in INT64:
            return
        self.types[kind] = self.types.get(kind, 0) + 1
        if levels == 0:
            return
        if kind is dict:
            fields = self.fields
            for key, child in value.items():
                votes = fields.get(key)
                if votes is None:
                    if not _is_name(key):
                        continue
                    votes = fields[key] = _Votes()
                votes.count(child, levels - 1)
        elif kind is list:
            self.item = self.item or _Votes()
            for child in value:
                self.item.count(child, levels - 1)

    def shape(self, path: Path | None, rules: Rules) -> Shape:
        """The shape at `path`; None stands for all paths inside lists."""
        kind = self._winner()
        if kind is Kind.STRUCT:
            if self._is_map(rules) and not (path and rules.is_above(path)):
                return Shape(Kind.JSON)
            inside = {key: votes.shape((*path, key) if path else None, rules) for key, votes in self.fields.items()}
            return Shape(kind, inside)
        if kind is Kind.LIST:
            return Shape(kind, item=self.item.shape(None, rules) if self.item else Shape(Kind.NULL))
        return Shape(kind)

    def _winner(self) -> Kind:
        kinds = Counter({kind: self.types[each] for each, kind in _KINDS.items() if each in self.types})
        if kinds[Kind.INT] and kinds[Kind.DOUBLE]:
            kinds[Kind.DOUBLE] += kinds.pop(Kind.INT)
        # A tie goes to the kind that is first by name, so that every engine decides alike.
        return max(sorted(kinds), key=lambda kind: kinds[kind], default=Kind.NULL)

    def _is_map(self, rules: Rules) -> bool:
        """Whether the keys of the objects seen here are data: too many, or nearly all of them rare."""
        if len(self.fields) > rules.max_fields:
            return True
        objects = self.types.get(dict, 0)
        if objects < MAP_OBJECTS or len(self.fields) < MAP_KEYS:
            return False
        rare = sum(child.seen <= max(1, objects * RARE) for child in self.fields.values())
        return rare >= MAP_KEYS and rare >= MAP_SHARE * len(self.fields)


def _is_name(key: str) -> bool:
    """False for keys that no schema can or should hold: with a lone surrogate, or longer than `MAX_KEY` characters."""
    return len(key) <= MAX_KEY and (key.isascii() or is_unicode(key))


_KINDS = {
    Source: Kind.JSON,
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    list: Kind.LIST,
    dict: Kind.STRUCT,
}
"""The kinds of values by their type; what is not here (null, numbers beyond 64 bits) has no column of its own."""
