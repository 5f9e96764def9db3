"""Inference: the shape of records from a sample of them, by majority.

Where values of different kinds stand at one path the more frequent kind gets the column, and the others are
rescued: one odd record must not turn a column of numbers into text. Integers beside fractions are doubles. An object
whose keys are data is JSON: a column for each key would be thousands of columns, each with a handful of values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rescue import INT64, Repeated, Source, by_key, is_unicode
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.shapes import EMPTY, Kind, Shape

UNKNOWN = Shape(Kind.NULL)

MAP_OBJECTS = 20
"""An object is taken for a map when at least this many of it were seen, with at least `MAP_KEYS` rare keys."""

MAP_KEYS = 32
MAP_SHARE = 0.9
"""The share of its keys that must be rare."""

MAX_KEY = 1024
"""A longer key is data or damage; every schema, footer and contract would have to carry it."""

RARE = 0.01
"""A key is rare that stands in no more than this share of the objects, or in one."""


def infer(records: Iterable[dict[str, Any]], rules: Rules | None = None, known: Shape = EMPTY) -> Shape:
    """The shape of whole records as `loads` gives them. No records give an empty struct.

    Where `known`, the shape of the contract, has a kind already, values of that kind count whatever their number: only
    records with a surprise come here, so that they are no majority of anything.
    """
    rules = rules or Rules()
    votes = _Votes()
    votes.count(list(records), rules.deepest)
    fields = {key: child.shape((key,), rules, known.fields.get(key, UNKNOWN)) for key, child in votes.fields.items()}
    return Shape(Kind.STRUCT, fields)


@dataclass
class _Votes:
    """What was seen at one path. `seen` counts the objects that have the key, whatever its value."""

    seen: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    fields: dict[str, _Votes] = field(default_factory=dict)
    item: _Votes | None = None

    def count(self, values: Sequence[Any], levels: int) -> None:
        """Count all the values of the path at once, looking into them for so many levels.

        Path by path, not value by value: a record may be one list of fifteen million numbers.
        """
        self.seen += len(values)
        found = Counter(map(type, values))
        if int in found:
            found[int] -= _beyond_64_bits([value for value in values if type(value) is int])
        for each, number in found.items():
            if number and each in _KINDS:
                self.kinds[_KINDS[each]] += number
        if levels == 0:
            return
        if dict in found or Repeated in found:
            for key, inside in by_key(value for value in values if isinstance(value, dict)).items():
                if _is_name(key):
                    self.fields.setdefault(key, _Votes()).count(inside, levels - 1)
        if list in found:
            self.item = self.item or _Votes()
            self.item.count([child for value in values if type(value) is list for child in value], levels - 1)

    def shape(self, path: Path | None, rules: Rules, known: Shape) -> Shape:
        """The shape at `path`, where the contract has `known`; None stands for all paths inside lists."""
        kind = self._winner(known)
        if kind is Kind.STRUCT:
            if self._is_map(rules, known) and not (path and rules.is_above(path)):
                return Shape(Kind.JSON)
            inside = {
                key: votes.shape((*path, key) if path else None, rules, known.fields.get(key, UNKNOWN))
                for key, votes in self.fields.items()
            }
            return Shape(kind, inside)
        if kind is Kind.LIST:
            return Shape(kind, item=self.item.shape(None, rules, known.item or UNKNOWN) if self.item else UNKNOWN)
        return Shape(kind)

    def _winner(self, known: Shape) -> Kind:
        kinds = Counter(self.kinds)
        if kinds[Kind.DOUBLE] and (kinds[Kind.INT] or known.kind is Kind.INT):
            kinds[Kind.DOUBLE] += kinds.pop(Kind.INT, 0)
            if known.kind is Kind.INT:
                return Kind.DOUBLE
        if kinds[known.kind]:
            return known.kind
        # A tie goes to the kind that is first by name, so that every engine decides alike.
        return max(sorted(+kinds), key=lambda kind: kinds[kind], default=Kind.NULL)

    def _is_map(self, rules: Rules, known: Shape) -> bool:
        """Whether the keys of the objects seen here are data: too many, or nearly all of them rare.

        How many an object has that has columns already is bounded where it gets more of them (`admission`).
        """
        if len(self.fields) > rules.max_fields and not known.fields:
            return True
        objects = self.kinds[Kind.STRUCT]
        if objects < MAP_OBJECTS or len(self.fields) < MAP_KEYS:
            return False
        rare = sum(child.seen <= max(1, objects * RARE) for child in self.fields.values())
        return rare >= MAP_KEYS and rare >= MAP_SHARE * len(self.fields)


def _is_name(key: str) -> bool:
    """False for keys that no schema can or should hold: with a lone surrogate, or longer than `MAX_KEY` characters."""
    return len(key) <= MAX_KEY and (key.isascii() or is_unicode(key))


def _beyond_64_bits(integers: list[int]) -> int:
    """How many of them no column of integers holds."""
    if min(integers) in INT64 and max(integers) in INT64:
        return 0
    return sum(value not in INT64 for value in integers)


_KINDS = {
    Source: Kind.JSON,
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    list: Kind.LIST,
    dict: Kind.STRUCT,
    Repeated: Kind.STRUCT,
}
"""The kind of each type of values. Others (None, numbers beyond 64 bits) have no column of their own."""
