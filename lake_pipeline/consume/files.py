"""The files behind a reader: which versions, with what columns, and reading a row group of one.

It is a value that travels to other processes; each opens the store for itself. In which order rows come is a matter of
`dataset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from lake_pipeline.consume.versions import open_version
from lake_pipeline.contract.contract import Contract
from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.views import CuratedFile
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.opening import open_store
from lake_pipeline.storage.places import Place

PARTITION_SCHEMA = pa.schema([("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()), ("mode", pa.string())])

_FORMAT = ds.ParquetFileFormat()


@dataclass(frozen=True)
class FileVersion:
    """A version of a published file with its rows."""

    key: str
    etag: str
    rows: int
    partition: PartitionKey

    @property
    def guarantee(self) -> Any:
        """What its partition says about every row, as an expression."""
        day = self.partition.day
        values = {"year": day.year, "month": day.month, "day": day.day, "mode": self.partition.mode}
        return reduce(and_, (pc.field(name) == pc.scalar(value) for name, value in values.items()))


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of the row group `group` of an opened file; they end at row `end` of the file."""

    file: OpenFile
    group: int
    start: int
    stop: int
    end: int

    @property
    def is_whole(self) -> bool:
        return (self.start, self.stop) == (0, self.file.group_rows[self.group])


@dataclass(frozen=True)
class OpenFile:
    """A file whose footer was read. `group_rows` are the rows of its row groups."""

    fragment: Any
    group_rows: tuple[int, ...]

    def pieces(self, first: int, last: int, groups: frozenset[int]) -> list[Piece]:
        """What rows `first` to `last` of the file are, of some row groups."""
        found, begin = [], 0
        for group, rows in enumerate(self.group_rows):
            start, stop = max(first - begin, 0), min(last - begin, rows)
            if start < stop and group in groups:
                found.append(Piece(self, group, start, stop, begin + stop))
            begin += rows
        return found


@dataclass(frozen=True)
class CuratedFiles:
    """Versions of published files at a place, the schema that all of them are read with, and the columns wanted."""

    place: Place
    versions: tuple[FileVersion, ...]
    schema: pa.Schema
    columns: tuple[str, ...]

    @classmethod
    def of_snapshot(cls, lake: Lake, name: str) -> CuratedFiles:
        """What a snapshot holds, with the columns and types of its day. Raises `PermanentError` where there is none."""
        snapshot = lake.ledger.snapshot(name)
        contract = lake.ledger.contract_of_version(snapshot.contract_version)
        return cls._of(lake, contract, lake.ledger.snapshot_files(snapshot), snapshot.selection)

    @classmethod
    def of_selection(cls, lake: Lake, selection: Selection) -> CuratedFiles:
        """What a selection finds now. Nobody keeps these files: a rebuild ends such a reader with an error."""
        found = lake.ledger.selected_files(selection)
        return cls._of(lake, lake.ledger.contract(), [each.file for each in found], selection)

    @classmethod
    def _of(
        cls, lake: Lake, contract: Contract | None, files: Sequence[CuratedFile], selection: Selection
    ) -> CuratedFiles:
        if contract is None:
            raise PermanentError("Nothing is published yet: run `lake discover`, then `lake ingest`.")
        schema = pa.schema([*contract.arrow_schema().remove_metadata(), *PARTITION_SCHEMA])
        versions = tuple(FileVersion(file.key, file.etag, file.rows, file.partition) for file in files)
        made = cls(lake.store.place, versions, schema, tuple(schema.names))
        return made if selection.columns is None else made.with_columns(selection.columns)

    def with_columns(self, columns: Sequence[str]) -> CuratedFiles:
        """The same with these columns alone. Raises `PermanentError` for one that is not there."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise PermanentError(f"There is no column {missing[0]}; there are {', '.join(self.columns)}.")
        return CuratedFiles(self.place, self.versions, self.schema, tuple(columns))

    def within(self, selection: Selection) -> CuratedFiles:
        """The files of some days and modes."""
        versions = tuple(version for version in self.versions if selection.holds(version.partition))
        return CuratedFiles(self.place, versions, self.schema, self.columns)

    def matching(self, where: Any) -> CuratedFiles:
        """Without the files whose partition says that no row fits `where`. Opens none."""
        nowhere = fs.LocalFileSystem()
        fragments = [
            _FORMAT.make_fragment(str(number), nowhere, partition_expression=version.guarantee)
            for number, version in enumerate(self.versions)
        ]
        dataset = ds.FileSystemDataset(fragments, self.schema, _FORMAT, nowhere)
        kept = {int(fragment.path) for fragment in dataset.get_fragments(where)}
        versions = tuple(version for number, version in enumerate(self.versions) if number in kept)
        return CuratedFiles(self.place, versions, self.schema, self.columns)

    @property
    def read_schema(self) -> pa.Schema:
        """The schema of what is read: the wanted columns, in their order."""
        return pa.schema([self.schema.field(name) for name in self.columns])

    def open(self, version: FileVersion) -> OpenFile:
        """Read the footer of a file. Raises `PermanentError` where it is gone, or is not what the ledger knows."""
        file = open_version(self.store, version.key, version.etag)
        try:
            fragment = _FORMAT.make_fragment(file, partition_expression=version.guarantee)
            fragment.ensure_complete_metadata()
        except pa.ArrowException as error:
            raise PermanentError(f"{version.key} can't be read: {error}. Run `lake fsck`.") from error
        groups = tuple(group.num_rows for group in fragment.row_groups)
        if sum(groups) != version.rows:
            raise PermanentError(
                f"{version.key} has {sum(groups)} rows, and {version.rows} were published. Run `lake fsck`."
            )
        return OpenFile(fragment, groups)

    def groups_of(self, file: OpenFile, where: Any) -> frozenset[int]:
        """The row groups of which the statistics do not say that no row fits `where`."""
        if where is None:
            return frozenset(range(len(file.group_rows)))
        return frozenset(group.id for group in file.fragment.subset(where, schema=self.schema).row_groups)

    def read(self, piece: Piece, where: Any) -> pa.Table:
        """The wanted columns of the rows of a piece that fit `where`."""
        fragment = piece.file.fragment.subset(row_group_ids=[piece.group])
        # Row groups are read side by side; threads inside of each would only get into each other's way.
        read = partial(fragment.to_table, schema=self.schema, use_threads=False)
        if piece.is_whole:
            return read(columns=list(self.columns), filter=where)
        if where is None:
            table = read(columns=list(self.columns))
            return table.slice(piece.start, piece.stop - piece.start)
        # The filter may name a column that is not wanted, and positions are those before it.
        table = read().slice(piece.start, piece.stop - piece.start)
        return table.filter(where).select(list(self.columns))

    @cached_property
    def store(self) -> ObjectStore:
        """The store, opened once for each process."""
        return open_store(self.place)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "store"}
