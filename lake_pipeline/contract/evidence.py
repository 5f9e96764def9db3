"""Evidence: what was seen at each JSON path, as counts that add up over blocks, batches and years.

It explains a contract to people and remembers which columns would have become wider. It decides nothing, and it
is bounded: raw data may hold any number of different paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.shapes import Shape

ALL = ""
"""The path under which the rows themselves are counted: what shares are shares of."""

MOST_PATHS = 5000
"""Paths that are kept beside those of columns. Keys that are data would give millions."""

LONGEST_PATH = 500
"""Characters of a path; longer ones are not kept. An index of PostgreSQL holds 2,700 bytes."""

EARLIER = "[earlier]"
"""The mark of `_rescued` on values of a key that stood more than once; their kind here is `repeated`."""


@dataclass(frozen=True)
class Seen:
    """`rows` with a value of one kind at one path; `first` and `last` are the lowest and highest of their file_ids."""

    rows: int
    first: int
    last: int

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.rows + other.rows, min(self.first, other.first), max(self.last, other.last))


@dataclass
class Evidence:
    """What some rows held: (shown path, kind) → how often. A kind is that of the column, or of what was rescued.

    `wishes` are columns that met fractions and could not become wider: shown path → the shape that would hold both.
    """

    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    wishes: dict[str, Shape] = field(default_factory=dict)

    def note(self, path: str, kind: str, seen: Seen) -> None:
        """Count `seen` too. Beyond `MOST_PATHS` only what was seen before is counted."""
        known = self.seen.get((path, kind))
        if known is not None:
            self.seen[path, kind] = known + seen
        elif len(path) <= LONGEST_PATH:
            self.seen[path, kind] = seen

    def note_rescued(self, path: str, kind: str, seen: Seen) -> None:
        """Count a value that fits no column, at a path that may be one of millions."""
        if path.endswith(EARLIER):
            path, kind = path.removesuffix(EARLIER), "repeated"
        if (path, kind) in self.seen or len(self.seen) < MOST_PATHS:
            self.note(path, kind, seen)

    def add(self, other: Evidence) -> None:
        """Count what `other` counted."""
        for (path, kind), seen in other.seen.items():
            self.note(path, kind, seen)
        self.wishes.update(other.wishes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "seen": [[path, kind, seen.rows, seen.first, seen.last] for (path, kind), seen in self.seen.items()],
            "wishes": {path: shape.to_json() for path, shape in self.wishes.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """The inverse of `to_json`."""
        return cls(
            seen={(path, kind): Seen(rows, first, last) for path, kind, rows, first, last in data["seen"]},
            wishes={path: Shape.from_json(shape) for path, shape in data["wishes"].items()},
        )
