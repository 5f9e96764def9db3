"""Inference: the shape of records from a sample, by majority.

If a path has values of different kinds, the most frequent kind gets the column and the others are rescued: one unusual
record must not turn a column of numbers into text. Integers mixed with fractions are doubles, unless that would rescue
more values than it saves: ids are often beyond 2^53. `7.0` among integers is one of them. An object whose keys are
data becomes JSON: a column for each key would give thousands of columns with few values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rescue import EXACT_INT, INT64, Repeated, Source, by_key, is_unicode, is_whole
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.shapes import EMPTY, Kind, Shape

UNKNOWN = Shape(Kind.NULL)

MAP_OBJECTS = 20
"""An object is treated as a map if at least this many were seen, with at least `MAP_KEYS` rare keys."""

MAP_KEYS = 32
MAP_SHARE = 0.9
"""The ratio of its keys that must be rare."""

MAX_KEY = 1024
"""A longer key is data or corruption; every schema, footer and contract would contain it."""

RARE_SHARE = 0.01
"""A key is rare if at most this ratio of the objects has it, or only one."""


def infer(records: Iterable[dict[str, Any]], rules: Rules | None = None, current: Shape = EMPTY) -> Shape:
    """The shape of whole records as `decode` returns them. Without records it is an empty struct.

    If `current`, the shape of the contract, already has a kind at a path, that kind wins if any value has it: only
    records that do not fit the contract come here, so they are not a representative sample.
    """
    rules = rules or Rules()
    votes = _Votes()
    votes.count(list(records), rules.deepest)
    fields = {key: child.shape((key,), rules, current.fields.get(key, UNKNOWN)) for key, child in votes.fields.items()}
    return Shape(Kind.STRUCT, fields)


@dataclass
class _Votes:
    """What was seen at one path. `seen` counts the objects that have the key, with any value.

    `whole` are fractions like `7.0`, which `kinds` does not count; `large` are the integers that no double holds.
    """

    seen: int = 0
    whole: int = 0
    large: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    fields: dict[str, _Votes] = field(default_factory=dict)
    item: _Votes | None = None

    def count(self, values: Sequence[Any], levels: int) -> None:
        """Count all values of the path at once, down to `levels` levels inside them.

        Path by path instead of value by value: a record may be a list of fifteen million numbers.
        """
        self.seen += len(values)
        types = Counter(map(type, values))
        if int in types:
            integers = [value for value in values if type(value) is int]
            types[int] -= _beyond_64_bits(integers)
            self.large += sum(abs(value) > EXACT_INT for value in integers)
        if float in types:
            whole = sum(is_whole(value) for value in values if type(value) is float)
            types[float] -= whole
            self.whole += whole
        for type_, number in types.items():
            if number and type_ in _KINDS:
                self.kinds[_KINDS[type_]] += number
        if levels == 0:
            return
        if dict in types or Repeated in types:
            for key, inside in by_key(value for value in values if isinstance(value, dict)).items():
                if _is_name(key):
                    self.fields.setdefault(key, _Votes()).count(inside, levels - 1)
        if list in types:
            self.item = self.item or _Votes()
            self.item.count([child for value in values if type(value) is list for child in value], levels - 1)

    def shape(self, path: Path | None, rules: Rules, current: Shape) -> Shape:
        """The shape at `path`, for which the contract has `current`. `path` is None inside lists."""
        kind = self._winner(current)
        if kind is Kind.STRUCT:
            if self._is_map(rules, current) and not (path and rules.is_above(path)):
                return Shape(Kind.JSON)
            inside = {
                key: votes.shape((*path, key) if path else None, rules, current.fields.get(key, UNKNOWN))
                for key, votes in self.fields.items()
            }
            return Shape(kind, inside)
        if kind is Kind.LIST:
            return Shape(kind, item=self.item.shape(None, rules, current.item or UNKNOWN) if self.item else UNKNOWN)
        return Shape(kind)

    def _winner(self, current: Shape) -> Kind:
        kinds = Counter(self.kinds)
        integers, fractions = kinds.pop(Kind.INT, 0), kinds.pop(Kind.DOUBLE, 0)
        if fractions and current.kind is Kind.INT:
            return Kind.DOUBLE
        kinds[self._number(current, integers, fractions)] += integers + fractions + self.whole
        if kinds[current.kind]:
            return current.kind
        # In a tie the kind that is first by name wins, so that every engine decides the same.
        return max(sorted(+kinds), key=lambda kind: kinds[kind], default=Kind.NULL)

    def _number(self, current: Shape, integers: int, fractions: int) -> Kind:
        """The kind of a column for all numbers at this path."""
        if current.kind in (Kind.INT, Kind.DOUBLE):
            return current.kind
        if fractions:
            return Kind.INT if self.large > fractions else Kind.DOUBLE
        return Kind.INT if integers else Kind.DOUBLE

    def _is_map(self, rules: Rules, current: Shape) -> bool:
        """Whether the keys of the objects are data: too many, or nearly all of them rare.

        For an object that already has columns, `admission` limits how many are added.
        """
        if len(self.fields) > rules.max_fields and not current.fields:
            return True
        objects = self.kinds[Kind.STRUCT]
        if objects < MAP_OBJECTS or len(self.fields) < MAP_KEYS:
            return False
        rare = sum(child.seen <= max(1, objects * RARE_SHARE) for child in self.fields.values())
        return rare >= MAP_KEYS and rare >= MAP_SHARE * len(self.fields)


def _is_name(key: str) -> bool:
    """False for keys that cannot be in a schema: with a lone surrogate, or longer than `MAX_KEY` characters."""
    return len(key) <= MAX_KEY and (key.isascii() or is_unicode(key))


def _beyond_64_bits(integers: list[int]) -> int:
    """How many of them do not fit a column of integers."""
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
"""The kind of each type of values. Others (None, numbers beyond 64 bits) have no column."""
