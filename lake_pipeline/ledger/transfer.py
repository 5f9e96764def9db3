"""Transfer: a whole ledger as one file, to move it to another server.

The file is a ZIP archive with a header and one member for each table, in the text format of COPY. It is written and
read as a stream, so memory is bounded. Which lake the ledger belongs to is checked by the caller.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import IO, Any, BinaryIO

import psycopg2
from psycopg2 import sql
from sqlalchemy import Connection

from lake_pipeline import __version__
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.migrations import REVISION
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.json_document import parse_document

FORMAT = 1
HEADER = "ledger.json"
FOLDER = "tables/"

FILES = "file_processing_status"
"""Its rows are never deleted, which a trigger enforces."""


@dataclass(frozen=True, kw_only=True)
class LedgerHeader:
    """What a file says about the ledger in it: `revision` of the schema, `version` of the program, id of the `lake`."""

    revision: str
    version: str
    lake: str | None


@dataclass(frozen=True, kw_only=True)
class _Table:
    name: str
    columns: Sequence[str]


class Transfer(Component):
    """Exports and restores all tables."""

    def export(self, target: BinaryIO, lake: str | None) -> int:
        """Write the ledger as of now to `target`; returns the number of rows. Workers may go on meanwhile.

        `lake` is the id of the lake, for the header.
        """
        header = {"format": FORMAT, "revision": REVISION, "version": __version__, "lake": lake}
        with self._database.transaction():
            pass  # The first transaction checks the schema, and the one below must begin with its isolation level.
        rows = 0
        with self._database.transaction() as connection, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            connection.execute(query("freeze_snapshot"))
            archive.writestr(HEADER, json.dumps(header))
            for table in _tables(connection):
                with archive.open(f"{FOLDER}{table.name}", "w", force_zip64=True) as member:
                    rows += _copy(connection, "COPY {} ({}) TO STDOUT", table, member)
        return rows

    def restore(self, source: BinaryIO) -> int:
        """Fill this ledger, which must be empty, from a file that `export` wrote; returns the number of rows.

        In one transaction. Raises `PermanentError` if the ledger is not empty, or for another file, and whatever
        `read_header` does.
        """
        read_header(source)
        with zipfile.ZipFile(source) as archive, self._database.transaction() as connection:
            tables = list(_tables(connection))
            _check_members(archive, tables)
            if not connection.scalar(query("ledger_is_empty")):
                raise PermanentError(
                    "This ledger has files already, so nothing was restored. Restore into an empty database, or with "
                    "another LAKE_HOME."
                )
            try:
                rows = _fill_all(connection, archive, tables)
            except (
                psycopg2.DataError,
                psycopg2.IntegrityError,
                psycopg2.ProgrammingError,
                zipfile.BadZipFile,
            ) as error:
                raise PermanentError(
                    f"The file could not be restored, and nothing was written: {' '.join(str(error).split())}"
                ) from error
        return rows


def read_header(source: BinaryIO) -> LedgerHeader:
    """The header of a file that `Transfer.export` wrote. Raises `PermanentError` for any other file."""
    try:
        with zipfile.ZipFile(source) as archive:
            header = parse_document(archive.read(HEADER))
        parsed = LedgerHeader(revision=header["revision"], version=header["version"], lake=header["lake"])
        is_readable = header["format"] == FORMAT and parsed.revision == REVISION
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise PermanentError(f"This is not a file of `lake ledger export`, or it is damaged ({error}).") from error
    if not is_readable:
        raise PermanentError(
            f"The file has a ledger at revision {parsed.revision}, written by version {parsed.version}; this version "
            f"needs {REVISION}. Install that version, restore the file, then upgrade and run `lake ledger migrate`."
        )
    return parsed


def _tables(connection: Connection) -> Iterator[_Table]:
    """Every table after those that it refers to."""
    rows = connection.execute(query("ledger_tables"))
    tables = {row.name: _Table(name=row.name, columns=row.columns) for row in rows}
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(tables, ()))
    for row in connection.execute(query("ledger_references")):
        order.add(row.name, row.refers_to)
    return (tables[name] for name in order.static_order())


def _check_members(archive: zipfile.ZipFile, tables: Sequence[_Table]) -> None:
    members = {name.removeprefix(FOLDER) for name in archive.namelist() if name.startswith(FOLDER)}
    names = {table.name for table in tables}
    if members != names:
        raise PermanentError(
            f"The file does not have the tables of this version: {', '.join(sorted(members ^ names))}. Nothing was "
            "restored."
        )


def _fill_all(connection: Connection, archive: zipfile.ZipFile, tables: Sequence[_Table]) -> int:
    for table in reversed(tables):
        _empty(connection, table)
    rows = 0
    for table in tables:
        with archive.open(f"{FOLDER}{table.name}") as member:
            rows += _fill(connection, table, member)
    _continue_numbers(connection)
    return rows


def _empty(connection: Connection, table: _Table) -> None:
    if table.name != FILES:
        _run(connection, sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))


def _fill(connection: Connection, table: _Table, member: IO[bytes]) -> int:
    """Without triggers: the totals and the history that they write are tables of the file, too."""
    name = sql.Identifier(table.name)
    _run(connection, sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
    rows = _copy(connection, "COPY {} ({}) FROM STDIN", table, member)
    _run(connection, sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))
    return rows


def _continue_numbers(connection: Connection) -> None:
    for row in connection.execute(query("identity_columns")).all():
        statement = sql.SQL(
            "SELECT setval(pg_get_serial_sequence({table_text}, {column_text}), "
            "coalesce((SELECT max({column}) FROM {table}), 0) + 1, false)"
        ).format(
            table_text=sql.Literal(row.name),
            column_text=sql.Literal(row.column),
            table=sql.Identifier(row.name),
            column=sql.Identifier(row.column),
        )
        _run(connection, statement)


def _copy(connection: Connection, template: str, table: _Table, stream: IO[bytes]) -> int:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL(template).format(sql.Identifier(table.name), columns)
    # SQLAlchemy has no COPY; the cursor of the driver does.
    cursor: Any = connection.connection.cursor()
    cursor.copy_expert(statement, stream)
    rows: int = cursor.rowcount
    cursor.close()
    return rows


def _run(connection: Connection, statement: sql.Composed) -> None:
    cursor: Any = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()
