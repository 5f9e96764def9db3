"""The manifest of a batch: the parts it is about to publish, and the outcome of each file.

Recording the manifest in the ledger is the point of no return, so it has everything that is needed to roll the batch
forward without its worker. It is serialized as JSON (ledger column, conversion reports).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class PendingObject:
    """A complete object that is not visible until it is published.

    `token` is the handle of the store (a temporary name, a multipart upload id). `etag` and `size` (bytes) are those
    of the published object.
    """

    key: str
    token: str
    size: int
    etag: str


@dataclass(frozen=True, kw_only=True)
class CuratedPart:
    """One Parquet file of curated rows. `rows_by_file` maps file_id to its rows; they add up to `rows`."""

    object: PendingObject
    partition: PartitionKey
    rows: int
    rows_by_file: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class QuarantinePart:
    """One Parquet file of quarantined records: file, record, offset, reason and raw bytes."""

    object: PendingObject
    rows: int


@dataclass(frozen=True, kw_only=True)
class RewrittenPart:
    """A published Parquet file that is rewritten with the same key and rows and a wider type of a column.

    `replaces` is the ETag of the object that it replaces. `rescued_by_file` maps file_id to the rows whose first
    rescued value comes from this rewrite: a value that does not fit the wider type.
    """

    object: PendingObject
    replaces: str
    rows: int
    rescued_by_file: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReducedPart:
    """A published Parquet file from which the rows of some raw files are removed.

    It is rewritten with the same key as `object`, with the remaining `rows`; if none remains, `object` is None and the
    file is deleted. `replaces` is the ETag of the published object, `removed_by_file` maps file_id to removed rows.
    `is_wider` if a column became wider at the same time; `rescued_by_file` is as in `RewrittenPart`.
    """

    key: str
    replaces: str
    rows: int
    removed_by_file: Mapping[int, int]
    object: PendingObject | None
    is_wider: bool = False
    rescued_by_file: Mapping[int, int] = field(default_factory=dict)

    @property
    def rows_before(self) -> int:
        return self.rows + sum(self.removed_by_file.values())

    def to_json(self) -> dict[str, Any]:
        """The JSON object that `from_json` reads."""
        return {
            "key": self.key,
            "replaces": self.replaces,
            "rows": self.rows,
            "removed_by_file": {str(file): rows for file, rows in self.removed_by_file.items()},
            "object": asdict(self.object) if self.object else None,
            "is_wider": self.is_wider,
            "rescued_by_file": {str(file): rows for file, rows in self.rescued_by_file.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ReducedPart:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other data."""
        return cls(
            key=data["key"],
            replaces=data["replaces"],
            rows=data["rows"],
            removed_by_file={int(file): rows for file, rows in data["removed_by_file"].items()},
            object=PendingObject(**data["object"]) if data["object"] else None,
            is_wider=data["is_wider"],
            rescued_by_file={int(file): rows for file, rows in data["rescued_by_file"].items()},
        )


class Outcome(StrEnum):
    """The outcome of a file in a batch."""

    CONVERTED = "CONVERTED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


UNAVAILABLE = "unavailable"
"""The reason of a FAILED file whose store failed: it does not cost an attempt."""

UNREADABLE = "unreadable"
"""The reason of a FAILED file that can't be read although the store works, as a probe has to confirm."""

MISSING = "missing"
"""The reason of a REFUSED file whose object is gone, as a probe of the store has to confirm."""

NOTHING_TO_PUBLISH = "nothing_to_publish"
"""The reason of a REFUSED file with records of which none can be published: often a setting is wrong."""


@dataclass(frozen=True, kw_only=True)
class FileOutcome:
    """The account of one file: `read == published + quarantined` always holds.

    REFUSED: nothing of it was published and a retry won't help (`reason` is a short code, `error` the sentence for the
    operator). FAILED: a retry may help; its counts are zero. `rescued` counts published rows with a value in
    `_rescued`.
    """

    file_id: int
    outcome: Outcome
    read: int = 0
    published: int = 0
    quarantined: int = 0
    rescued: int = 0
    reason: str | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if self.read != self.published + self.quarantined:
            raise ValueError(
                f"file {self.file_id}: {self.read} records read, but {self.published} published "
                f"and {self.quarantined} quarantined"
            )

    def to_json(self) -> dict[str, Any]:
        """The JSON object that `from_json` reads."""
        return {**asdict(self), "outcome": self.outcome.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileOutcome:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other data."""
        return cls(**{**data, "outcome": Outcome(data["outcome"])})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that a batch publishes, and the account of each of its files.

    If its contract widens a column, `rewritten` are the published files that had the narrower type as of the commit
    `as_of` (None if no type changes). `reduced` are published files that lose the rows of the raw files `superseded`
    (ids; they become SUPERSEDED) or `rebuilt` (with their new accounts; they stay SUCCEEDED). `reduced_quarantine` are
    files of quarantined records that lose those of the same raw files.
    """

    curated: tuple[CuratedPart, ...]
    quarantine: tuple[QuarantinePart, ...]
    files: tuple[FileOutcome, ...]
    rewritten: tuple[RewrittenPart, ...] = ()
    as_of: int | None = None
    reduced: tuple[ReducedPart, ...] = ()
    reduced_quarantine: tuple[ReducedPart, ...] = ()
    superseded: tuple[int, ...] = ()
    rebuilt: tuple[FileOutcome, ...] = ()

    @property
    def objects(self) -> tuple[PendingObject, ...]:
        """All pending objects in the order of publication: quarantine first, so that every record is accounted for."""
        return (
            *(part.object for part in self.quarantine),
            *(part.object for part in self.rewritten),
            *(part.object for part in (*self.reduced_quarantine, *self.reduced) if part.object),
            *(part.object for part in self.curated),
        )

    @property
    def deleted(self) -> tuple[str, ...]:
        """The keys of published files that have no rows left."""
        return tuple(part.key for part in (*self.reduced_quarantine, *self.reduced) if part.object is None)

    @property
    def partitions(self) -> tuple[PartitionKey, ...]:
        """The partitions that gain rows, sorted."""
        return tuple(sorted({part.partition for part in self.curated}))

    def to_json(self) -> dict[str, Any]:
        """The JSON object that `from_json` reads."""
        return {
            "curated": [
                {
                    "object": asdict(part.object),
                    "partition": str(part.partition),
                    "rows": part.rows,
                    "rows_by_file": {str(file): rows for file, rows in part.rows_by_file.items()},
                }
                for part in self.curated
            ],
            "quarantine": [{"object": asdict(part.object), "rows": part.rows} for part in self.quarantine],
            "files": [file.to_json() for file in self.files],
            "rewritten": [
                {
                    "object": asdict(part.object),
                    "replaces": part.replaces,
                    "rows": part.rows,
                    "rescued_by_file": {str(file): rows for file, rows in part.rescued_by_file.items()},
                }
                for part in self.rewritten
            ],
            "as_of": self.as_of,
            "reduced": [part.to_json() for part in self.reduced],
            "reduced_quarantine": [part.to_json() for part in self.reduced_quarantine],
            "superseded": list(self.superseded),
            "rebuilt": [file.to_json() for file in self.rebuilt],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other data."""
        return cls(
            curated=tuple(
                CuratedPart(
                    object=PendingObject(**part["object"]),
                    partition=PartitionKey.parse(part["partition"]),
                    rows=part["rows"],
                    rows_by_file={int(file): rows for file, rows in part["rows_by_file"].items()},
                )
                for part in data["curated"]
            ),
            quarantine=tuple(
                QuarantinePart(object=PendingObject(**part["object"]), rows=part["rows"]) for part in data["quarantine"]
            ),
            files=tuple(map(FileOutcome.from_json, data["files"])),
            rewritten=tuple(
                RewrittenPart(
                    object=PendingObject(**part["object"]),
                    replaces=part["replaces"],
                    rows=part["rows"],
                    rescued_by_file={int(file): rows for file, rows in part["rescued_by_file"].items()},
                )
                for part in data["rewritten"]
            ),
            as_of=data["as_of"],
            reduced=tuple(map(ReducedPart.from_json, data["reduced"])),
            reduced_quarantine=tuple(map(ReducedPart.from_json, data["reduced_quarantine"])),
            superseded=tuple(data["superseded"]),
            rebuilt=tuple(map(FileOutcome.from_json, data["rebuilt"])),
        )
