"""The files behind a reader: which versions, with what columns, and reading row groups of one.

It is a value that travels to other processes; each opens the store for itself. In which order rows come is a matter of
`dataset`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, reduce
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.acero as acero
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
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

PIECE_ROWS = 32_768
"""Rows of neighbouring row groups that are read in one call: each call costs half a millisecond besides."""

_FORMAT = ds.ParquetFileFormat()


@dataclass(frozen=True)
class FileVersion:
    """A version of a published file with its rows."""

    key: str
    etag: str
    rows: int
    partition: PartitionKey

    @property
    def constants(self) -> dict[str, Any]:
        """What its partition says about every row: the values of the partition columns."""
        day = self.partition.day
        return {"year": day.year, "month": day.month, "day": day.day, "mode": self.partition.mode}

    @property
    def guarantee(self) -> Any:
        """The same as an expression."""
        return reduce(and_, (pc.field(name) == pc.scalar(value) for name, value in self.constants.items()))


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted: an expression, and the columns that are read for it: those wanted, then those it names."""

    where: Any
    schema: pa.Schema

    def applied(self, table: pa.Table) -> pa.Table:
        """The rows that fit, in their order: a plan without threads keeps it, and other row groups have the cores."""
        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
        fitting = acero.Declaration("filter", acero.FilterNodeOptions(self.where), [source])
        return fitting.to_table(use_threads=False)


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of some row groups of an opened file; they end at row `end` of the file."""

    file: OpenFile
    groups: tuple[int, ...]
    start: int
    stop: int
    end: int

    def read(self, schema: pa.Schema) -> pa.Table:
        """Its rows with the columns of the schema, whenever the file was written."""
        table = self.file.read(self.groups, schema)
        return table if self.stop - self.start == table.num_rows else table.slice(self.start, self.stop - self.start)

    def with_next(self, other: Piece) -> Piece | None:
        """Both as one; None if they are not neighbours, or too many rows."""
        rows = self.stop - self.start + other.stop - other.start
        if self.groups[-1] + 1 != other.groups[0] or rows > PIECE_ROWS:
            return None
        return Piece(self.file, self.groups + other.groups, self.start, self.start + rows, other.end)


@dataclass(frozen=True)
class OpenFile:
    """A version whose footer was read. `group_rows` are the rows of its row groups."""

    version: FileVersion
    source: pa.NativeFile
    reader: pq.ParquetFile = field(repr=False)

    @cached_property
    def group_rows(self) -> tuple[int, ...]:
        metadata = self.reader.metadata
        return tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))

    @cached_property
    def fragment(self) -> Any:
        """The file as filters are applied to it; its statistics and its partition rule out what does not fit."""
        return _FORMAT.make_fragment(self.source, partition_expression=self.version.guarantee)

    def read(self, groups: Sequence[int], schema: pa.Schema) -> pa.Table:
        """Row groups with the columns of the schema."""
        # Pieces are read side by side; threads inside of each would only get into each other's way.
        stored = self._reader().read_row_groups(groups, columns=schema.names, use_threads=False)
        if stored.schema.equals(schema):
            return pa.Table.from_arrays(stored.columns, schema=schema)
        rows = sum(self.group_rows[group] for group in groups)
        columns = [_as_wanted(field, stored, self.version.constants, rows) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)

    def _reader(self) -> pq.ParquetFile:
        if isinstance(self.source, pa.MemoryMappedFile):
            return self.reader
        # Fetches the columns of a row group together, and remembers them, so that no two threads can use the same one.
        return pq.ParquetFile(self.source, metadata=self.reader.metadata, pre_buffer=True)

    def pieces(self, first: int, last: int, groups: frozenset[int]) -> list[Piece]:
        """What rows `first` to `last` of the file are, of some row groups: small neighbours are read together."""
        found: list[Piece] = []
        begin = 0
        for group, rows in enumerate(self.group_rows):
            start, stop = max(first - begin, 0), min(last - begin, rows)
            if start < stop and group in groups:
                piece = Piece(self, (group,), start, stop, begin + stop)
                if found and (both := found[-1].with_next(piece)):
                    found[-1] = both
                else:
                    found.append(piece)
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
        """Without the files whose partition says that no row fits `where`. Opens none.

        Raises `PermanentError` for an expression that does not fit the schema.
        """
        _check(where, self.schema)
        nowhere = fs.LocalFileSystem()
        fragments = [
            _FORMAT.make_fragment(str(number), nowhere, partition_expression=version.guarantee)
            for number, version in enumerate(self.versions)
        ]
        dataset = ds.FileSystemDataset(fragments, self.schema, _FORMAT, nowhere)
        kept = {int(fragment.path) for fragment in dataset.get_fragments(where)}
        versions = tuple(version for number, version in enumerate(self.versions) if number in kept)
        return CuratedFiles(self.place, versions, self.schema, self.columns)

    @cached_property
    def read_schema(self) -> pa.Schema:
        """The schema of what is read: the wanted columns, in their order."""
        return pa.schema([self.schema.field(name) for name in self.columns])

    def open(self, version: FileVersion) -> OpenFile:
        """Read the footer of a file. Raises `PermanentError` where it is gone, or is not what the ledger knows."""
        source = open_version(self.store, version.key, version.etag)
        try:
            file = OpenFile(version, source, pq.ParquetFile(source, pre_buffer=False))
        except pa.ArrowException as error:
            raise PermanentError(f"{version.key} can't be read: {error}. Run `lake fsck`.") from error
        if file.reader.metadata.num_rows != version.rows:
            raise PermanentError(
                f"{version.key} has {file.reader.metadata.num_rows} rows, and {version.rows} were published. "
                "Run `lake fsck`."
            )
        return file

    def filter(self, where: Any) -> Filter | None:
        """`where` for `read`; None where nothing is left out. Raises `PermanentError` for one that does not fit."""
        if where is None:
            return None
        _check(where, self.schema)
        named = [field for field in self.schema if _is_named(field.name, where, self.schema)]
        return Filter(
            where, pa.schema([*self.read_schema, *(field for field in named if field.name not in self.columns)])
        )

    def groups_of(self, file: OpenFile, where: Any) -> frozenset[int]:
        """The row groups of which the statistics do not say that no row fits `where`."""
        if where is None:
            return frozenset(range(len(file.group_rows)))
        return frozenset(group.id for group in file.fragment.subset(where, schema=self.schema).row_groups)

    def read(self, piece: Piece, filter: Filter | None) -> pa.Table:  # noqa: A002
        """The wanted columns of the rows of a piece that fit the filter, in their order."""
        if filter is None:
            return piece.read(self.read_schema)
        # Positions are those before the filter, which may name a column that is not wanted.
        return filter.applied(piece.read(filter.schema)).select(list(self.columns))

    @property
    def store(self) -> ObjectStore:
        """The store, opened once for each process: one that was forked must not share connections."""
        return _store_of(self.place, os.getpid())


@lru_cache
def _store_of(place: Place, process: int) -> ObjectStore:  # noqa: ARG001
    return open_store(place)


def _as_wanted(wanted: pa.Field, stored: pa.Table, constants: dict[str, Any], rows: int) -> Any:
    """A column of a row group as the schema has it: files of a day before it came lack it, or have another type."""
    if wanted.name in constants:
        return pa.repeat(pa.scalar(constants[wanted.name], wanted.type), rows)
    place = stored.schema.get_field_index(wanted.name)
    if place < 0:
        return pa.nulls(rows, wanted.type)
    column = stored.column(place)
    return column if column.type == wanted.type else column.cast(wanted.type)


def _check(where: Any, schema: pa.Schema) -> None:
    try:
        schema.empty_table().filter(where)
    except pa.ArrowException as error:
        told = str(error).partition(" in ")[0]
        raise PermanentError(
            f"The filter does not fit the table: {told}. There are {', '.join(schema.names)}."
        ) from error


def _is_named(name: str, where: Any, schema: pa.Schema) -> bool:
    """Whether `where` names the column. An expression of pyarrow can't be asked; without the column it is refused."""
    if name not in str(where):
        return False
    try:
        pa.schema([field for field in schema if field.name != name]).empty_table().filter(where)
    except pa.ArrowInvalid:
        return True
    return False
