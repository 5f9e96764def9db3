"""Lineage: the versions of a raw file and the data files that have their rows."""

from __future__ import annotations

from dataclasses import dataclass

from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.lineage import LineageLink, SourceFile
from lake_pipeline.usecases.lake import Lake


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """All versions of one key, or the version of one id, with a link to each data file that has their rows."""

    versions: tuple[SourceFile, ...]
    links: tuple[LineageLink, ...]

    @property
    def rows(self) -> int:
        return sum(link.rows for link in self.links)


def lineage(lake: Lake, file: str) -> Lineage:
    """The lineage of `file`: a key, or an id as in `_file_id`.

    Raises `PermanentError` if the ledger has no such file.
    """
    versions = lake.ledger.files.versions(file)
    if not versions:
        raise PermanentError(f"The ledger has no file {file!r}. Use its key in the landing zone, or its _file_id.")
    links = lake.ledger.lineage.links([version.file.file_id for version in versions])
    return Lineage(versions=tuple(versions), links=tuple(links))
