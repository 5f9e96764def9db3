"""Parser rules: how the parsers handle each path, which is more than the columns of a contract.

There are also fields whose values are always rescued, excluded fields, and values that are needed as JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, WITHOUT_COLUMN, Kind, Shape


class ParserRules:
    """How records are parsed. `root` is the shape of the contract, extended with fields that have no column."""

    def __init__(self, root: Shape, rules: Rules, rescued: tuple[Path, ...]) -> None:
        self._rules = rules
        self.root = _with_columnless(root, rules, rescued)

    @cached_property
    def taken(self) -> tuple[tuple[Path, Shape], ...]:
        """The paths that a native parser must not read: those cast from text, and those without a column."""
        return tuple(
            (path, shape)
            for path, shape in self.root.leaves()
            if shape.kind in MADE_FROM_TEXT or shape.kind in WITHOUT_COLUMN
        )

    @cached_property
    def blanked(self) -> Shape:
        """`root` with a number at every path in `taken`, which the native parser reads instead."""
        blanked = self.root
        for path, _ in self.taken:
            blanked = blanked.overlaid(path, Shape(Kind.INT))
        return blanked

    @cached_property
    def texts(self) -> Mapping[str, Any]:
        """The fields whose values are needed as text, as a tree: key → True, or the tree inside."""
        tree: dict[str, Any] = {}
        for path in [*(path for path, shape in self.root.leaves() if shape.kind in MADE_FROM_TEXT), *self._pinned()]:
            inside = tree
            for key in path[:-1]:
                inside = inside.setdefault(key, {})
            inside[path[-1]] = True
        return tree

    def _pinned(self) -> list[Path]:
        """Pinned paths that will be cast from text once they have a value."""
        return [
            path
            for path, rule in self._rules.paths.items()
            if rule.pin is not None and rule.pin.kind in MADE_FROM_TEXT and self._is_open(path)
        ]

    def _is_open(self, path: Path) -> bool:
        for size in range(1, len(path) + 1):
            current = self.root.at(path[:size])
            if current is None:
                return True
            if current.kind in WITHOUT_COLUMN or (size < len(path) and current.kind not in (Kind.STRUCT, Kind.NULL)):
                return False
        return current is not None and current.storable is None


def _with_columnless(root: Shape, rules: Rules, rescued: tuple[Path, ...]) -> Shape:
    """`root` with the fields without a column: those in `rescued`, and those that the rules rescue or exclude."""
    by_rule = [path for path, rule in rules.paths.items() if rule.policy is Policy.RESCUE and not rules.is_above(path)]
    for path in [*rescued, *by_rule]:
        current = root.at(path)
        if current is None or (current.storable is None and current.kind is not Kind.STRUCT):
            root = root.overlaid(path, Shape(Kind.RESCUED))
    for path, rule in rules.paths.items():
        current = root.at(path)
        is_untyped = current is not None and current.storable is None and current.kind not in WITHOUT_COLUMN
        if rule.pin is not None and is_untyped:
            # The first value creates the pinned column, so `[]` or `{}` must not count as untyped.
            root = root.overlaid(path, Shape(Kind.NULL))
    for path in rules.excluded:
        root = root.overlaid(path, Shape(Kind.EXCLUDED))
    return root
