"""The data files of a reader: their versions and columns, and reading the row groups of one.

`CuratedFiles` is a value that can be sent to other processes; each opens its own store. The order of rows is decided in
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

from lake_pipeline.consume.file_version import open_version
from lake_pipeline.contract.contract import Contract
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.curated import CuratedFile
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.selections import Selection
from lake_pipeline.storage.factory import open_store
from lake_pipeline.storage.location import Location
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.usecases.lake import Lake

PARTITION_SCHEMA = pa.schema([("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()), ("mode", pa.string())])

PIECE_ROWS = 32_768
"""Rows of neighboring row groups that are read in one call, since each call costs half a millisecond."""

_FORMAT = ds.ParquetFileFormat()


@dataclass(frozen=True)
class FileVersion:
    """A version of a published file with its row count."""

    key: str
    etag: str
    rows: int
    partition: PartitionKey

    @property
    def constants(self) -> dict[str, Any]:
        """The values of the partition columns, the same for every row."""
        day = self.partition.day
        return {"year": day.year, "month": day.month, "day": day.day, "mode": self.partition.mode}

    @property
    def guarantee(self) -> Any:
        """The same as an expression."""
        return reduce(and_, (pc.field(name) == pc.scalar(value) for name, value in self.constants.items()))


@dataclass(frozen=True)
class Filter:
    """A filter expression, and the columns to read for it: the selected ones, then the others that it names."""

    where: Any
    schema: pa.Schema

    def applied(self, table: pa.Table) -> pa.Table:
        """The matching rows, in order, which needs a plan without threads; other row groups use the other cores."""
        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
        matching = acero.Declaration("filter", acero.FilterNodeOptions(self.where), [source])
        return matching.to_table(use_threads=False)


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of some row groups of an open file; they end at row `end` of the file."""

    file: OpenFile
    groups: tuple[int, ...]
    start: int
    stop: int
    end: int

    def read(self, schema: pa.Schema) -> pa.Table:
        """The rows with the columns of `schema`, even if the file was written with an older contract."""
        table = self.file.read(self.groups, schema)
        return table if self.stop - self.start == table.num_rows else table.slice(self.start, self.stop - self.start)

    def with_next(self, other: Piece) -> Piece | None:
        """Both as one piece; None if they are not neighbors, or have too many rows."""
        rows = self.stop - self.start + other.stop - other.start
        if self.groups[-1] + 1 != other.groups[0] or rows > PIECE_ROWS:
            return None
        return Piece(self.file, self.groups + other.groups, self.start, self.start + rows, other.end)


@dataclass(frozen=True)
class OpenFile:
    """A version with its footer. `group_rows` has the row count of each row group."""

    version: FileVersion
    source: pa.NativeFile
    reader: pq.ParquetFile = field(repr=False)

    @cached_property
    def group_rows(self) -> tuple[int, ...]:
        metadata = self.reader.metadata
        return tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))

    @cached_property
    def fragment(self) -> Any:
        """The file for filters: its statistics and its partition exclude row groups without a match."""
        return _FORMAT.make_fragment(self.source, partition_expression=self.version.guarantee)

    def read(self, groups: Sequence[int], schema: pa.Schema) -> pa.Table:
        """Row groups with the columns of the schema."""
        # Pieces are read in parallel; more threads inside each of them would only compete.
        stored = self._reader().read_row_groups(groups, columns=schema.names, use_threads=False)
        if stored.schema.equals(schema):
            return pa.Table.from_arrays(stored.columns, schema=schema)
        rows = sum(self.group_rows[group] for group in groups)
        columns = [_as_in_schema(field, stored, self.version.constants, rows) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)

    def _reader(self) -> pq.ParquetFile:
        if isinstance(self.source, pa.MemoryMappedFile):
            return self.reader
        # It prefetches and caches the columns of a row group, so threads cannot share one reader.
        return pq.ParquetFile(self.source, metadata=self.reader.metadata, pre_buffer=True)

    def pieces(self, first: int, last: int, groups: frozenset[int]) -> list[Piece]:
        """Rows `first` to `last` of the file in `groups`. Small neighboring row groups are one piece."""
        pieces: list[Piece] = []
        begin = 0
        for group, rows in enumerate(self.group_rows):
            start, stop = max(first - begin, 0), min(last - begin, rows)
            if start < stop and group in groups:
                piece = Piece(self, (group,), start, stop, begin + stop)
                if pieces and (both := pieces[-1].with_next(piece)):
                    pieces[-1] = both
                else:
                    pieces.append(piece)
            begin += rows
        return pieces


@dataclass(frozen=True)
class CuratedFiles:
    """Versions of published files, the location of the lake, the schema for reading, and the selected columns."""

    location: Location
    versions: tuple[FileVersion, ...]
    schema: pa.Schema
    columns: tuple[str, ...]

    @classmethod
    def of_snapshot(cls, lake: Lake, name: str) -> CuratedFiles:
        """The files of a snapshot, with the columns and types of its time. Raises `PermanentError` if there is none."""
        snapshot = lake.ledger.snapshots.get(name)
        contract = lake.ledger.contracts.version(snapshot.contract_version)
        return cls._of(lake, contract, lake.ledger.snapshots.files(snapshot), snapshot.selection)

    @classmethod
    def of_selection(cls, lake: Lake, selection: Selection) -> CuratedFiles:
        """The files that a selection matches now. They are not retained: a rebuild ends such a reader with an error."""
        selected = lake.ledger.snapshots.select(selection)
        return cls._of(lake, lake.ledger.contracts.latest(), [entry.file for entry in selected], selection)

    @classmethod
    def _of(
        cls, lake: Lake, contract: Contract | None, files: Sequence[CuratedFile], selection: Selection
    ) -> CuratedFiles:
        if contract is None:
            raise PermanentError("Nothing is published yet: run `lake discover`, then `lake ingest`.")
        schema = pa.schema([*contract.arrow_schema().remove_metadata(), *PARTITION_SCHEMA])
        versions = tuple(FileVersion(file.key, file.etag, file.rows, file.partition) for file in files)
        files_of_lake = cls(lake.store.location, versions, schema, tuple(schema.names))
        return files_of_lake if selection.columns is None else files_of_lake.with_columns(selection.columns)

    def with_columns(self, columns: Sequence[str]) -> CuratedFiles:
        """The same files with only these columns. Raises `PermanentError` for an unknown column."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise PermanentError(f"There is no column {missing[0]}; the columns are {', '.join(self.columns)}.")
        return CuratedFiles(self.location, self.versions, self.schema, tuple(columns))

    def within(self, selection: Selection) -> CuratedFiles:
        """The files of some days and modes."""
        versions = tuple(version for version in self.versions if selection.holds(version.partition))
        return CuratedFiles(self.location, versions, self.schema, self.columns)

    def matching(self, where: Any) -> CuratedFiles:
        """The files whose partition may have rows that match `where`. Opens no file.

        Raises `PermanentError` if the expression does not fit the schema.
        """
        _check(where, self.schema)
        nowhere = fs.LocalFileSystem()
        fragments = [
            _FORMAT.make_fragment(str(number), nowhere, partition_expression=version.guarantee)
            for number, version in enumerate(self.versions)
        ]
        dataset = ds.FileSystemDataset(fragments, self.schema, _FORMAT, nowhere)
        matching = {int(fragment.path) for fragment in dataset.get_fragments(where)}
        versions = tuple(version for number, version in enumerate(self.versions) if number in matching)
        return CuratedFiles(self.location, versions, self.schema, self.columns)

    @cached_property
    def read_schema(self) -> pa.Schema:
        """The schema of the selected columns, in their order."""
        return pa.schema([self.schema.field(name) for name in self.columns])

    def open(self, version: FileVersion) -> OpenFile:
        """Read the footer of a file. Raises `PermanentError` if it is missing, or differs from the ledger."""
        source = open_version(self.store, version.key, version.etag)
        try:
            file = OpenFile(version, source, pq.ParquetFile(source, pre_buffer=False))
        except pa.ArrowException as error:
            raise PermanentError(f"{version.key} can't be read: {error}. Run `lake fsck`.") from error
        if file.reader.metadata.num_rows != version.rows:
            raise PermanentError(
                f"{version.key} has {file.reader.metadata.num_rows} rows, but {version.rows} were published. "
                "Run `lake fsck`."
            )
        return file

    def filter(self, where: Any) -> Filter | None:
        """`where` for `read`; None if there is none. Raises `PermanentError` if it does not fit the schema."""
        if where is None:
            return None
        _check(where, self.schema)
        named = [field for field in self.schema if _is_named(field.name, where, self.schema)]
        return Filter(
            where, pa.schema([*self.read_schema, *(field for field in named if field.name not in self.columns)])
        )

    def groups_of(self, file: OpenFile, where: Any) -> frozenset[int]:
        """The row groups that may have rows that match `where`, according to their statistics."""
        if where is None:
            return frozenset(range(len(file.group_rows)))
        return frozenset(group.id for group in file.fragment.subset(where, schema=self.schema).row_groups)

    def read(self, piece: Piece, filter: Filter | None) -> pa.Table:  # noqa: A002
        """The selected columns of the rows of a piece that match the filter, in order."""
        if filter is None:
            return piece.read(self.read_schema)
        # Positions count rows before the filter, which may name a column that is not selected.
        return filter.applied(piece.read(filter.schema)).select(list(self.columns))

    @property
    def store(self) -> ObjectStore:
        """The store, opened once per process: a forked process must not share connections."""
        return _store_of(self.location, os.getpid())


@lru_cache
def _store_of(location: Location, process: int) -> ObjectStore:  # noqa: ARG001
    return open_store(location)


def _as_in_schema(field: pa.Field, stored: pa.Table, constants: dict[str, Any], rows: int) -> Any:
    """A column of a row group as in the schema: older files lack it, or have a narrower type."""
    if field.name in constants:
        return pa.repeat(pa.scalar(constants[field.name], field.type), rows)
    position = stored.schema.get_field_index(field.name)
    if position < 0:
        return pa.nulls(rows, field.type)
    column = stored.column(position)
    return column if column.type == field.type else column.cast(field.type)


def _check(where: Any, schema: pa.Schema) -> None:
    try:
        schema.empty_table().filter(where)
    except pa.ArrowException as error:
        problem = str(error).partition(" in ")[0]
        raise PermanentError(
            f"The filter does not fit the table: {problem}. The columns are {', '.join(schema.names)}."
        ) from error


def _is_named(name: str, where: Any, schema: pa.Schema) -> bool:
    """Whether `where` names the column. pyarrow offers no list of names, but rejects the filter without the column."""
    if name not in str(where):
        return False
    try:
        pa.schema([field for field in schema if field.name != name]).empty_table().filter(where)
    except pa.ArrowInvalid:
        return True
    return False
