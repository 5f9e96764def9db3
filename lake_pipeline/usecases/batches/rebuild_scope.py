"""The scope of a rebuild: what is published in the partitions at one moment, and the checks that it loses no row.

Nothing is converted or changed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lake_pipeline.convert.request import ConversionReport
from lake_pipeline.errors import FilesMoved, PermanentError, TransientError
from lake_pipeline.ledger.curated import CuratedFile
from lake_pipeline.ledger.lineage import LineageLink, SourceFile
from lake_pipeline.model.manifest import CuratedPart, Outcome, ReducedPart
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication import location_check

MAX_NAMED_ITEMS = 5
"""Files or partitions that an error names."""


@dataclass(frozen=True, kw_only=True)
class RebuildScope:
    """The data files of `partitions`, the raw files they come from, and all data files with rows of those."""

    partitions: frozenset[PartitionKey]
    curated: tuple[CuratedFile, ...]
    sources: tuple[SourceFile, ...]
    links: tuple[LineageLink, ...]

    @property
    def reduced(self) -> tuple[ReducedPart, ...]:
        """All of these data files, deleted."""
        rows: dict[str, Counter[int]] = {file.key: Counter() for file in self.curated}
        for link in self.links:
            if link.curated_key in rows:
                rows[link.curated_key][link.file_id] += link.rows
        return tuple(
            ReducedPart(key=file.key, replaces=file.etag, rows=0, removed_by_file=dict(rows[file.key]), object=None)
            for file in self.curated
        )

    def outside(self) -> Counter[tuple[int, PartitionKey]]:
        """Rows of the same raw files in other partitions, which stay as they are."""
        rows: Counter[tuple[int, PartitionKey]] = Counter()
        for link in self.links:
            if link.partition not in self.partitions:
                rows[link.file_id, link.partition] += link.rows
        return rows


def look(lake: Lake, partitions: Collection[PartitionKey]) -> RebuildScope:
    """The scope of a rebuild of `partitions` at this moment."""
    curated = lake.ledger.curated.files(partitions)
    sources = lake.ledger.lineage.sources(partitions)
    links = lake.ledger.lineage.links([source.file.file_id for source in sources])
    return RebuildScope(
        partitions=frozenset(partitions), curated=tuple(curated), sources=tuple(sources), links=tuple(links)
    )


def check_outcomes(lake: Lake, scope: RebuildScope, report: ConversionReport) -> None:
    """Raises unless every original was converted, and no other file."""
    if {file.file_id for file in report.manifest.files} != {source.file.file_id for source in scope.sources}:
        raise FilesMoved("Other batches published into these partitions, or removed rows, since the run began.")
    location_check.check_outcomes(lake, report.manifest.files)
    bad = [file for file in report.manifest.files if file.outcome is not Outcome.CONVERTED]
    if not bad:
        return
    if look(lake, scope.partitions).sources != scope.sources:
        raise FilesMoved("Originals were moved to the archive meanwhile.")
    errors = "; ".join(str(file.error) for file in bad[:MAX_NAMED_ITEMS])
    kind = TransientError if all(file.outcome is Outcome.FAILED for file in bad) else PermanentError
    raise kind(f"Nothing was rebuilt, because {len(bad)} originals can't be converted: {errors}")


def check_outside(scope: RebuildScope, parts: Iterable[CuratedPart]) -> None:
    """Raises `PermanentError` if the files now have other rows in partitions that are not rebuilt."""
    after: Counter[tuple[int, PartitionKey]] = Counter()
    for part in parts:
        for file_id, rows in part.rows_by_file.items():
            after[file_id, part.partition] += rows
    before = scope.outside()
    differing = sorted({partition for (_, partition) in (after - before) | (before - after)})
    if differing:
        named = ", ".join(map(str, differing[:MAX_NAMED_ITEMS])) + (" …" if len(differing) > MAX_NAMED_ITEMS else "")
        raise PermanentError(
            f"Nothing was rebuilt: the same files now have other rows in {len(differing)} partitions outside the "
            f"chosen ones, so rows would be lost or duplicated. Rebuild these with them: {named}"
        )
