"""What a batch is about to publish: parts nobody can see yet, and what became of each file.

The manifest is the point of no return once it is in the ledger, so it holds everything that is needed to
roll the batch forward without its worker. It travels as JSON (ledger column, conversion reports).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class PendingObject:
    """A complete object that no reader can see until it is published.

    `token` is the store's handle on it (a temporary name, a multipart upload id); `etag` is what the
    published object will carry, `size` its bytes.
    """

    key: str
    token: str
    size: int
    etag: str


@dataclass(frozen=True, kw_only=True)
class CuratedPart:
    """One Parquet file of curated rows. `rows_by_file` maps file_id to the rows it gave; they add up to `rows`."""

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
    """A published Parquet file written again under its own key, with the same rows and a wider type of a column.

    `replaces` is the ETag of the object it takes the place of. `rescued_by_file` maps file_id to the rows that have
    a value in `_rescued` only since then, because it does not fit the wider type.
    """

    object: PendingObject
    replaces: str
    rows: int
    rescued_by_file: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StrippedPart:
    """A published Parquet file that loses the rows of some raw files.

    It is written again under its own key as `object` with the `rows` that stay; where none stays, `object` is None
    and the file is deleted. `replaces` is the ETag of what stands there, `removed_by_file` maps file_id to the rows
    that go. `is_wider` where a column became wider at the same time; `rescued_by_file` counts rows whose first value
    was rescued by that.
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
        """A JSON object that `from_json` reads back."""
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
    def from_json(cls, data: Mapping[str, Any]) -> StrippedPart:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            key=data["key"],
            replaces=data["replaces"],
            rows=data["rows"],
            removed_by_file={int(file): rows for file, rows in data["removed_by_file"].items()},
            object=PendingObject(**data["object"]) if data["object"] else None,
            is_wider=data.get("is_wider", False),
            rescued_by_file={int(file): rows for file, rows in data.get("rescued_by_file", {}).items()},
        )


class Outcome(StrEnum):
    """What became of a file in a batch."""

    CONVERTED = "CONVERTED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class FileOutcome:
    """The account of one file: `read == published + quarantined` always holds.

    REFUSED means that nothing of it was published and trying again won't help (`reason` is a short code,
    `error` the sentence for the operator). FAILED means that trying again may help; its counts are zero.
    `rescued` counts published rows with a value in `_rescued`.
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
        """A JSON object that `from_json` reads back."""
        return {**asdict(self), "outcome": self.outcome.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileOutcome:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(**{**data, "outcome": Outcome(data["outcome"])})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a batch publishes, and the account of each of its files.

    Where its contract makes a column wider, `rewritten` are the published files that had the narrower type as of
    the lake commit `as_of`; None where no type changes. `stripped` are published files that lose the rows of the raw
    files `superseded` (by id: they become SUPERSEDED), or of those that were `rebuilt` from their originals, with
    their new accounts: those files stay SUCCEEDED. `unquarantined` are files of quarantined records that lose those of
    the same raw files.
    """

    curated: tuple[CuratedPart, ...]
    quarantine: tuple[QuarantinePart, ...]
    files: tuple[FileOutcome, ...]
    rewritten: tuple[RewrittenPart, ...] = ()
    as_of: int | None = None
    stripped: tuple[StrippedPart, ...] = ()
    unquarantined: tuple[StrippedPart, ...] = ()
    superseded: tuple[int, ...] = ()
    rebuilt: tuple[FileOutcome, ...] = ()

    @property
    def objects(self) -> tuple[PendingObject, ...]:
        """All pending objects, in the order they are made visible: quarantine first, so nothing is unaccounted."""
        return (
            *(part.object for part in self.quarantine),
            *(part.object for part in self.rewritten),
            *(part.object for part in (*self.unquarantined, *self.stripped) if part.object),
            *(part.object for part in self.curated),
        )

    @property
    def deleted(self) -> tuple[str, ...]:
        """The keys of published files of which no row stays."""
        return tuple(part.key for part in (*self.unquarantined, *self.stripped) if part.object is None)

    @property
    def partitions(self) -> tuple[PartitionKey, ...]:
        """The partitions that gain rows, sorted."""
        return tuple(sorted({part.partition for part in self.curated}))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
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
            "stripped": [part.to_json() for part in self.stripped],
            "unquarantined": [part.to_json() for part in self.unquarantined],
            "superseded": list(self.superseded),
            "rebuilt": [file.to_json() for file in self.rebuilt],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
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
            # Manifests of batches that were recorded before there were widenings have neither.
            rewritten=tuple(
                RewrittenPart(
                    object=PendingObject(**part["object"]),
                    replaces=part["replaces"],
                    rows=part["rows"],
                    rescued_by_file={int(file): rows for file, rows in part["rescued_by_file"].items()},
                )
                for part in data.get("rewritten", ())
            ),
            as_of=data.get("as_of"),
            # Nor have those from before rows could be taken out.
            stripped=tuple(map(StrippedPart.from_json, data.get("stripped", ()))),
            unquarantined=tuple(map(StrippedPart.from_json, data.get("unquarantined", ()))),
            superseded=tuple(data.get("superseded", ())),
            rebuilt=tuple(map(FileOutcome.from_json, data.get("rebuilt", ()))),
        )
