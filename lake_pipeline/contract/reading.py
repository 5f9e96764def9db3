"""Reading: what the parsers are told to do with each path, which is more than the columns of a contract.

Beside the columns there are fields whose values are known to be rescued, fields that are excluded, and values that
are needed as the text they were written as.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, WITHOUT_COLUMN, Kind, Shape


class Reading:
    """How records are read: with `root`, the shape of the contract and of what has no column beside it."""

    def __init__(self, root: Shape, rules: Rules, rescued: tuple[Path, ...]) -> None:
        self._rules = rules
        self.root = _with_columnless(root, rules, rescued)

    @cached_property
    def taken(self) -> tuple[tuple[Path, Shape], ...]:
        """The paths that a native parser is kept from reading: what is made from text, and what has no column."""
        return tuple(
            (path, shape)
            for path, shape in self.root.leaves()
            if shape.kind in MADE_FROM_TEXT or shape.kind in WITHOUT_COLUMN
        )

    @cached_property
    def blanked(self) -> Shape:
        """`root` with a number at every path that is taken: what is read natively in its place."""
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
        """Pinned paths that will be made from text as soon as a value is seen."""
        return [
            path
            for path, rule in self._rules.paths.items()
            if rule.pin is not None and rule.pin.kind in MADE_FROM_TEXT and self._is_open(path)
        ]

    def _is_open(self, path: Path) -> bool:
        for size in range(1, len(path) + 1):
            found = self.root.at(path[:size])
            if found is None:
                return True
            if found.kind in WITHOUT_COLUMN or (size < len(path) and found.kind not in (Kind.STRUCT, Kind.NULL)):
                return False
        return found is not None and found.storable is None


def _with_columnless(root: Shape, rules: Rules, rescued: tuple[Path, ...]) -> Shape:
    """`root` with the fields that have no column: those found `rescued`, those that the rules rescue or exclude."""
    by_rule = [path for path, rule in rules.paths.items() if rule.policy is Policy.RESCUE and not rules.is_above(path)]
    for path in [*rescued, *by_rule]:
        found = root.at(path)
        if found is None or (found.storable is None and found.kind is not Kind.STRUCT):
            root = root.overlaid(path, Shape(Kind.RESCUED))
    for path, rule in rules.paths.items():
        found = root.at(path)
        if rule.pin is not None and found is not None and found.storable is None and found.kind not in WITHOUT_COLUMN:
            # The first value makes the pinned column, so that no `[]` or `{}` may pass as untyped.
            root = root.overlaid(path, Shape(Kind.NULL))
    for path in rules.excluded:
        root = root.overlaid(path, Shape(Kind.EXCLUDED))
    return root
