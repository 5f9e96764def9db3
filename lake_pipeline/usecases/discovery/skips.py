"""Skips: what a discovery did not read, counted by reason, with the entries that a person has to look at.

Memory is bounded: of a million bad names, as many are kept as the ledger stores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from lake_pipeline.ledger.skipped import MAX_ENTRIES
from lake_pipeline.model.skipped import SkippedEntry, SkipReason, name_problem
from lake_pipeline.storage.object_store import ListingReport, ObjectInfo

EXAMPLES = 3
"""Expected entries, such as hidden files, that are kept for each reason."""


class Skips:
    """Gathers skipped entries. `report` is for the listings of one discovery."""

    def __init__(self) -> None:
        self.counts: Counter[SkipReason] = Counter()
        self.problems: list[SkippedEntry] = []
        self.examples: list[SkippedEntry] = []
        self.report = ListingReport(on_skip=self._add)

    def _add(self, entry: SkippedEntry) -> None:
        self.counts[entry.reason] += 1
        if not entry.reason.is_problem:
            if self.counts[entry.reason] <= EXAMPLES:
                self.examples.append(entry)
        elif len(self.problems) < MAX_ENTRIES:
            self.problems.append(entry)


def with_valid_keys(objects: Iterable[ObjectInfo], report: ListingReport) -> Iterator[ObjectInfo]:
    """The objects whose keys can be registered; the others are reported."""
    for info in objects:
        problem = name_problem(info.key)
        if problem is None:
            yield info
        else:
            report.skip(info.key, SkipReason.INVALID_NAME, problem)
