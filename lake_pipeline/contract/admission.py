"""Admission: what a contract takes in of what was seen in records, under its rules.

Only what is admitted gets a column. What is not stays unknown to the contract, and its values are rescued, or their
records quarantined. Everything here depends on order of appearance alone, so that every machine decides alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.shapes import Kind, Shape

JSON = Shape(Kind.JSON)

MOST_RESCUED = 64
"""Fields without a column that fast parsing is told of; each costs it a search. Those beyond are parsed tolerantly."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """`shape` (of whole records) is what the contract grows by; `rescued` are new fields that get no column."""

    shape: Shape
    rescued: tuple[Path, ...]


def admit(root: Shape, seen: Shape, rules: Rules) -> Admission:
    """Sort what was `seen` in whole records beside the contract's `root`, which is empty where it is being born."""
    gate = _Gate(rules, is_first=not root.fields, room=rules.max_columns - sum(1 for _ in root.leaves()))
    return Admission(shape=gate.struct(root, seen, ()), rescued=tuple(gate.rescued))


def heeded(seen: Shape, rules: Rules, path: Path = ()) -> Shape:
    """`seen` without what the rules let no column change its type for: pinned paths, and all that may not evolve."""
    fields = {}
    for key, child in seen.fields.items():
        below = (*path, key)
        if rules.pin_at(below) is None and rules.policy_at(below) is Policy.EVOLVE:
            fields[key] = heeded(child, rules, below)
        elif rules.is_above(below):
            fields[key] = heeded(Shape(Kind.STRUCT, child.fields), rules, below)
    return Shape(seen.kind, fields, seen.item, seen.digits)


@dataclass
class _Gate:
    """One admission. `room` is how many columns the table may still get."""

    rules: Rules
    is_first: bool
    room: int
    rescued: list[Path] = field(default_factory=list)

    def struct(self, known: Shape, seen: Shape, path: Path) -> Shape:
        """What the struct `known` at `path` takes in of `seen`."""
        fields: dict[str, Shape] = {}
        size = len(known.fields)
        for key, child in seen.fields.items():
            below = (*path, key)
            if key in known.fields:
                taken = self._known(known.fields[key], child, below)
            else:
                taken = self._new(child, below, has_room=not path or size < self.rules.max_fields)
                size += taken is not None
            if taken is not None:
                fields[key] = taken
        return Shape(Kind.STRUCT, fields)

    def _known(self, known: Shape, seen: Shape, path: Path) -> Shape | None:
        if known.kind is Kind.STRUCT and known.fields:
            return self.struct(known, seen, path) if seen.kind is Kind.STRUCT else None
        if known.storable is None:
            taken = self._new(seen, path, is_known=True)
            # Records with nothing but an empty list or object there may have been shredded already: no text of theirs.
            is_more = taken is not JSON or seen.storable is not None or known.kind is Kind.NULL
            return taken if is_more else None
        if known.kind is Kind.LIST and seen.kind is Kind.LIST:
            may_grow = self._policy(path) is Policy.EVOLVE and self._is_bounded(known.grown(seen), len(path))
            return seen if may_grow else None
        return self.rules.pin_at(path)

    def _new(self, seen: Shape, path: Path, *, is_known: bool = False, has_room: bool = True) -> Shape | None:
        """What a field without a column becomes; None where it gets none."""
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
            return self._leaf(rule.pin, path, is_known)
        if seen.kind is Kind.STRUCT and seen.fields and self._is_object(seen, path):
            inside = self.struct(Shape(Kind.STRUCT), seen, path)
            return inside if inside.fields else None
        if self._is_bounded(seen, len(path)):
            return self._leaf(seen, path, is_known)
        return self._rescue(path) if self.rules.is_above(path) else self._leaf(JSON, path, is_known)

    def _leaf(self, shape: Shape, path: Path, is_known: bool) -> Shape | None:
        if is_known:
            return shape
        if self.room <= 0:
            return self._rescue(path)
        self.room -= 1
        return shape

    def _rescue(self, path: Path) -> Shape | None:
        """Note a field that gets no column."""
        if self._policy(path) is not Policy.FREEZE and not self.rules.is_above(path):
            self.rescued.append(path)
        return None

    def _policy(self, path: Path) -> Policy:
        return self.rules.policy_at(path, is_first=self.is_first)

    def _is_object(self, seen: Shape, path: Path) -> bool:
        """Whether its fields become columns: it is neither too deep nor a map whose keys are data."""
        return len(path) < self.rules.max_depth and len(seen.fields) <= self.rules.max_fields

    def _is_bounded(self, shape: Shape, depth: int) -> bool:
        """Whether a list or scalar at `depth` can be a column of its own shape: nothing in it too deep or too wide."""
        if shape.kind is Kind.JSON:
            return False
        if shape.kind not in (Kind.STRUCT, Kind.LIST):
            return True
        if depth >= self.rules.max_depth or len(shape.fields) > self.rules.max_fields:
            return False
        children = [*shape.fields.values(), *([shape.item] if shape.item is not None else [])]
        return all(self._is_bounded(child, depth + 1) for child in children)
