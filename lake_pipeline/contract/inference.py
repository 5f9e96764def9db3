"""Inference: the shape of records from a sample of them, by majority.

Where values of different kinds stand at one path the more frequent kind gets the column, and the others are
rescued: one odd record must not turn a column of numbers into text. Integers beside fractions are doubles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.rescue import INT64, Number
from lake_pipeline.contract.shapes import Kind, Shape


def infer(records: Iterable[dict[str, Any]]) -> Shape:
    """The shape of whole records as `loads` gives them. No records give an empty struct."""
    votes = _Votes()
    for record in records:
        votes.count(record)
    shape = votes.shape()
    return shape if shape.kind is Kind.STRUCT else Shape(Kind.STRUCT)


@dataclass
class _Votes:
    """What was seen at one path."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    fields: dict[str, _Votes] = field(default_factory=dict)
    item: _Votes | None = None

    def count(self, value: Any) -> None:
        kind = _kind_of(value)
        if kind is None:
            return
        self.kinds[kind] += 1
        if kind is Kind.STRUCT:
            for key, child in value.items():
                self.fields.setdefault(key, _Votes()).count(child)
        elif kind is Kind.LIST:
            self.item = self.item or _Votes()
            for child in value:
                self.item.count(child)

    def shape(self) -> Shape:
        kind = self._winner()
        if kind is Kind.STRUCT:
            return Shape(kind, {key: votes.shape() for key, votes in self.fields.items()})
        if kind is Kind.LIST:
            return Shape(kind, item=self.item.shape() if self.item else Shape(Kind.NULL))
        return Shape(kind)

    def _winner(self) -> Kind:
        kinds = Counter(self.kinds)
        if kinds[Kind.INT] and kinds[Kind.DOUBLE]:
            kinds[Kind.DOUBLE] += kinds.pop(Kind.INT)
        # A tie goes to the kind that is first by name, so that every engine decides alike.
        return max(sorted(kinds), key=lambda kind: kinds[kind], default=Kind.NULL)


def _kind_of(value: Any) -> Kind | None:
    """The kind of a value; None for what has no column of its own (null, numbers beyond 64 bits)."""
    match value:
        case None | Number():
            return None
        case bool():
            return Kind.BOOL
        case int():
            return Kind.INT if value in INT64 else None
        case float():
            return Kind.DOUBLE
        case str():
            return Kind.STRING
        case list():
            return Kind.LIST
        case _:
            return Kind.STRUCT
