"""The files of the demo's landing zone, and how many of their records are malformed or have no date.

The plan is data: the expected counts of a run follow from it without reading a file. It has three weeks of January
2026: the first two arrive as history, the third as a weekly drop, with some late files of the second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto

from lake_pipeline.storage.zones import HISTORY

FIRST_DAY = date(2026, 1, 5)
"""A Monday: ISO week 2 of 2026."""

LATE_FIELD_DAY = FIRST_DAY + timedelta(days=14)
"""From this day on records have a new field, and one field changes its type."""

MODES = ("live", "test", "replay", "sandbox")


class Shape(Enum):
    """The layout of the records in a file."""

    LINES = auto()
    ARRAY = auto()
    DOCUMENT = auto()


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """One file to write. `broken` of its `records` are malformed, `undated` others have no valid date.

    If it has one mode and one day, they are in the key, and its records may lack them.
    """

    key: str
    shape: Shape
    records: int
    days: tuple[date, ...]
    modes: tuple[str, ...] = MODES
    broken: int = 0
    undated: int = 0

    @property
    def gzipped(self) -> bool:
        return self.key.endswith(".gz")

    @property
    def labeled(self) -> bool:
        return len(self.days) == 1 and len(self.modes) == 1


@dataclass(frozen=True, kw_only=True)
class DemoCounts:
    """The expected counts of a run over the landing zone: `records` = `broken` + `undated` + `good`."""

    files: int
    records: int
    broken: int
    undated: int
    good: int

    @classmethod
    def of(cls, files: Iterable[PlannedFile]) -> DemoCounts:
        """The counts of a plan."""
        plan = tuple(files)
        records, broken, undated = (
            sum(file.records for file in plan),
            sum(file.broken for file in plan),
            sum(file.undated for file in plan),
        )
        return cls(files=len(plan), records=records, broken=broken, undated=undated, good=records - broken - undated)


def landing_zone_plan() -> tuple[PlannedFile, ...]:
    """Every file of the demo: 48 files, 20,000 records."""
    return (*_history(), *_late_files(), *_labeled_drop(), *_mixed_drop())


def _days(first: int, count: int) -> tuple[date, ...]:
    return tuple(FIRST_DAY + timedelta(days=first + day) for day in range(count))


def _history() -> Iterable[PlannedFile]:
    fortnight = _days(0, 14)
    for number in range(20):
        ending = ".json.gz" if number % 3 == 2 else ".json"
        yield PlannedFile(
            key=f"{HISTORY}events/part-{number:04}{ending}",
            shape=Shape.LINES,
            records=500,
            days=fortnight,
            broken=3 if number % 4 == 0 else 0,
            undated=4 if number % 2 == 0 else 0,
        )
    for number in range(2):
        yield PlannedFile(
            key=f"{HISTORY}exports/export-{number:02}.json", shape=Shape.ARRAY, records=250, days=fortnight, undated=5
        )
    for number in range(5):
        yield PlannedFile(
            key=f"{HISTORY}incidents/incident-{number:03}.json", shape=Shape.DOCUMENT, records=1, days=fortnight
        )


def _late_files() -> Iterable[PlannedFile]:
    """Files of the second week that arrived as a weekly drop."""
    for number in range(4):
        yield PlannedFile(
            key=f"2026/week03/late-{number:04}.json", shape=Shape.LINES, records=500, days=_days(7, 7), broken=2
        )


def _labeled_drop() -> Iterable[PlannedFile]:
    """Files with date and mode in the key, which Dagster can request by partition."""
    for number, day in enumerate(_days(14, 4)):
        for mode in ("live", "sandbox"):
            yield PlannedFile(
                key=f"2026/week04/date={day}_mode={mode}_0001.json",
                shape=Shape.LINES,
                records=400,
                days=(day,),
                modes=(mode,),
                broken=number % 2,
            )


def _mixed_drop() -> Iterable[PlannedFile]:
    week = _days(14, 7)
    for number in range(8):
        ending = ".json.gz" if number % 4 == 3 else ".json"
        yield PlannedFile(
            key=f"2026/week04/events-{number:04}{ending}",
            shape=Shape.LINES,
            records=500,
            days=week,
            broken=1,
            undated=number,
        )
    yield PlannedFile(key="2026/week04/export.json", shape=Shape.ARRAY, records=295, days=week, undated=3)
