"""Evidence: the values seen at each JSON path, as counts that are added up over blocks and batches.

It explains a contract, and it records which columns could not be widened. It makes no decisions. Its size is limited:
raw data may have any number of different paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lake_pipeline.contract.shapes import Kind, Shape

ALL = ""
"""The path under which all rows are counted: the denominator of shares."""

MAX_PATHS = 5000
"""Limit on paths without a column. If keys are data, there may be millions."""

MAX_PATH_LENGTH = 500
"""Characters of a path; longer ones are not counted. A PostgreSQL index entry has at most 2,700 bytes."""

EARLIER = "[earlier]"
"""The suffix in `_rescued` for earlier values of a repeated key; their kind here is `repeated`."""


@dataclass(frozen=True)
class Seen:
    """`rows` with a value of one kind at one path; `first` and `last` are their lowest and highest file_id."""

    rows: int
    first: int
    last: int

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.rows + other.rows, min(self.first, other.first), max(self.last, other.last))


@dataclass
class Evidence:
    """Values of some rows: (path as text, kind) → counts. The kind is that of the column or of the rescued value.

    `wanted_widenings` are columns that met fractions and could not be widened: path as text → the shape for both.
    Those in `lossy_widenings` hold integers that no double holds.
    """

    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    wanted_widenings: dict[str, Shape] = field(default_factory=dict)
    lossy_widenings: set[str] = field(default_factory=set)

    def note(self, path: str, kind: str, seen: Seen) -> None:
        """Add `seen` to the counts."""
        counted = self.seen.get((path, kind))
        if counted is not None:
            self.seen[path, kind] = counted + seen
        elif len(path) <= MAX_PATH_LENGTH:
            self.seen[path, kind] = seen

    def note_rescued(self, path: str, kind: str, seen: Seen) -> None:
        """Count a value that fits no column. Above `MAX_PATHS`, only paths that are already counted."""
        if path.endswith(EARLIER):
            path, kind = path.removesuffix(EARLIER), "repeated"
        if (path, kind) in self.seen or len(self.seen) < MAX_PATHS:
            self.note(path, kind, seen)

    def add(self, other: Evidence) -> None:
        """Add the counts of `other`."""
        for (path, kind), seen in other.seen.items():
            self.note(path, kind, seen)
        self.wanted_widenings.update(other.wanted_widenings)
        self.lossy_widenings |= other.lossy_widenings

    def integers_outside(self, paths: Iterable[str]) -> set[str]:
        """Which of the columns at `paths`, all with doubles, had integers that were rescued: no double holds them."""
        return {path for path in paths if (path, Kind.INT.value) in self.seen}

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "seen": [[path, kind, seen.rows, seen.first, seen.last] for (path, kind), seen in self.seen.items()],
            "wishes": {path: shape.to_json() for path, shape in self.wanted_widenings.items()},
            "lossy": sorted(self.lossy_widenings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """The inverse of `to_json`."""
        return cls(
            seen={(path, kind): Seen(rows, first, last) for path, kind, rows, first, last in data["seen"]},
            wanted_widenings={path: Shape.from_json(shape) for path, shape in data["wishes"].items()},
            lossy_widenings=set(data.get("lossy", ())),
        )
