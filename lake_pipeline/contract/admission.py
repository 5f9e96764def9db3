"""Admission: which new fields get a column, under the rules of the contract.

Values of other fields are rescued, or their records are quarantined. All decisions depend only on the order of
appearance, so that every machine decides the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.shapes import Kind, Shape

JSON = Shape(Kind.JSON)

MAX_RESCUED = 64
"""Limit on fields without a column that the fast parser skips; each costs a search. The tolerant parser does more."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """`shape` (of whole records) is added to the contract; `rescued` are new fields that get no column."""

    shape: Shape
    rescued: tuple[Path, ...]


def admit(root: Shape, seen: Shape, rules: Rules) -> Admission:
    """Decide about `seen`, the shape of records, for a contract with the shape `root` (empty for the first one)."""
    gate = _Gate(rules, is_first=not root.fields, room=rules.max_columns - sum(1 for _ in root.leaves()))
    return Admission(shape=gate.struct(root, seen, ()), rescued=tuple(gate.rescued))


def evolvable(seen: Shape, rules: Rules, path: Path = ()) -> Shape:
    """`seen` without the paths whose columns must keep their type: pinned paths, and paths that may not evolve."""
    fields = {}
    for key, child in seen.fields.items():
        below = (*path, key)
        if rules.pin_at(below) is None and rules.policy_at(below) is Policy.EVOLVE:
            fields[key] = evolvable(child, rules, below)
        elif rules.is_above(below):
            fields[key] = evolvable(Shape(Kind.STRUCT, child.fields), rules, below)
    return Shape(seen.kind, fields, seen.item, seen.digits)


@dataclass
class _Gate:
    """One admission. `room` is the number of columns that the table may still get."""

    rules: Rules
    is_first: bool
    room: int
    rescued: list[Path] = field(default_factory=list)

    def struct(self, current: Shape, seen: Shape, path: Path) -> Shape:
        """The part of `seen` that the struct `current` at `path` gets."""
        fields: dict[str, Shape] = {}
        size = len(current.fields)
        for key, child in seen.fields.items():
            below = (*path, key)
            if key in current.fields:
                admitted = self._existing(current.fields[key], child, below)
            else:
                admitted = self._new(child, below, has_room=not path or size < self.rules.max_fields)
                size += admitted is not None
            if admitted is not None:
                fields[key] = admitted
        return Shape(Kind.STRUCT, fields)

    def _existing(self, current: Shape, seen: Shape, path: Path) -> Shape | None:
        if current.kind is Kind.STRUCT and current.fields:
            return self.struct(current, seen, path) if seen.kind is Kind.STRUCT else None
        if current.storable is None:
            admitted = self._new(seen, path, exists=True)
            # The fast parser may have parsed records with an empty list or object here: their text is lost.
            adds = admitted is not JSON or seen.storable is not None or current.kind is Kind.NULL
            return admitted if adds else None
        if current.kind is Kind.LIST and seen.kind is Kind.LIST:
            may_grow = self._policy(path) is Policy.EVOLVE and self._is_bounded(current.evolved(seen), len(path))
            return seen if may_grow else None
        return self.rules.pin_at(path)

    def _new(self, seen: Shape, path: Path, *, exists: bool = False, has_room: bool = True) -> Shape | None:
        """The shape of the column for a field without one; None if it gets none."""
        rule = self.rules.paths.get(path)
        if rule is not None and rule.exclude:
            return None
        if not has_room:
            return self._rescue(path)
        if seen.kind is Kind.STRUCT and self.rules.is_above(path):
            inside = self.struct(Shape(Kind.STRUCT), seen, path)
            return inside if inside.fields else None
        if self._policy(path) is not Policy.EVOLVE:
            return self._rescue(path) if seen.kind is not Kind.NULL else None
        if rule is not None and rule.pin is not None and seen.kind is not Kind.NULL:
            return self._leaf(rule.pin, path, exists)
        if seen.kind is Kind.STRUCT and seen.fields and self._is_object(seen, path):
            inside = self.struct(Shape(Kind.STRUCT), seen, path)
            return inside if inside.fields else None
        if self._is_bounded(seen, len(path)):
            return self._leaf(seen, path, exists)
        return self._rescue(path) if self.rules.is_above(path) else self._leaf(JSON, path, exists)

    def _leaf(self, shape: Shape, path: Path, exists: bool) -> Shape | None:
        if exists:
            return shape
        if self.room <= 0:
            return self._rescue(path)
        self.room -= 1
        return shape

    def _rescue(self, path: Path) -> Shape | None:
        """Record a field that gets no column."""
        if self._policy(path) is not Policy.FREEZE and not self.rules.is_above(path):
            self.rescued.append(path)
        return None

    def _policy(self, path: Path) -> Policy:
        return self.rules.policy_at(path, is_first=self.is_first)

    def _is_object(self, seen: Shape, path: Path) -> bool:
        """Whether its fields become columns: it is neither too deep nor a map with keys that are data."""
        return len(path) < self.rules.max_depth and len(seen.fields) <= self.rules.max_fields

    def _is_bounded(self, shape: Shape, depth: int) -> bool:
        """Whether a list or scalar at `depth` can be a typed column: nothing in it is too deep or too wide."""
        if shape.kind is Kind.JSON:
            return False
        if shape.kind not in (Kind.STRUCT, Kind.LIST):
            return True
        if depth >= self.rules.max_depth or len(shape.fields) > self.rules.max_fields:
            return False
        children = [*shape.fields.values(), *([shape.item] if shape.item is not None else [])]
        return all(self._is_bounded(child, depth + 1) for child in children)
