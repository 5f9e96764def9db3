"""DuckDB: `read_json`, flattened in SQL, `COPY … PARTITION_BY`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.task import PARTITIONS, Account, Contender, Run, Task, column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from duckdb.sqltypes import DuckDBPyType

OUTPUT = "duckdb"


def prepare(task: Task) -> Run:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {task.cores}")
    # As its documentation recommends for large exports; no difference in time on 64 MB.
    connection.execute("SET preserve_insertion_order = false")

    def run() -> Account:
        connection.execute("SET VARIABLE files = ?", [task.paths])
        columns = _inferred(connection, task.dirty)
        connection.execute(_copy(columns, task))
        return Account(folder=OUTPUT)

    return run


def _inferred(connection: DuckDBPyConnection, dirty: bool) -> dict[str, DuckDBPyType]:
    """The schema that DuckDB samples from the files; passing it on avoids a second sampling by COPY."""
    # Records with few of many fields are inferred as one map otherwise.
    fields = "map_inference_threshold = -1, field_appearance_threshold = 0"
    relation = connection.sql(f"FROM read_json(getvariable('files'), {_reader(dirty)}, {fields})")
    return dict(zip(relation.columns, relation.types, strict=True))


def _reader(dirty: bool) -> str:
    return "format = 'newline_delimited'" + (", ignore_errors = true" if dirty else "")


def _copy(columns: dict[str, DuckDBPyType], task: Task) -> str:
    declared = ", ".join(f"{_text(name)}: {_text(_stored(kind))}" for name, kind in columns.items())
    flat = ", ".join(f"{_name(path)} AS {column(path)}" for path in _leaves(columns))
    days = ", ".join(f"event_time[{at}:{at + length - 1}] AS {name}" for name, (at, length) in PARTITIONS.items())
    return f"""
        COPY (
            SELECT {flat}, {days}, mode
            FROM read_json(getvariable('files'), {_reader(task.dirty)}, columns = {{{declared}}})
            WHERE event_time IS NOT NULL
        ) TO {_text(str(task.work / OUTPUT))}
        (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (year, month, day, mode))
    """


def _stored(kind: DuckDBPyType) -> str:
    """Strings stay strings, as for every other contender."""
    return "VARCHAR" if kind.id in ("timestamp", "timestamp with time zone", "date", "time", "uuid") else str(kind)


def _leaves(columns: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, kind in columns.items():
        if kind.id == "struct":
            yield from ((name, *rest) for rest in _leaves(dict(kind.children)))
        else:
            yield (name,)


def _name(path: tuple[str, ...]) -> str:
    return ".".join('"' + key.replace('"', '""') + '"' for key in path)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


CONTENDER = Contender(
    name="duckdb",
    title="DuckDB",
    packages=("duckdb",),
    prepare=prepare,
    rounds=7,
    does="""\
- `read_json(files, format = 'newline_delimited')` once, to let it infer the schema.
- Then one `COPY (SELECT …) TO … (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (year, month, day, mode))`.
- The `SELECT` names every leaf of every struct as a column.
- Objects are inferred as structs, never as maps.
- The inferred schema is passed on as `columns`; strings that look like timestamps stay strings.

`preserve_insertion_order = false`, one thread per core, defaults otherwise. On dirty records `ignore_errors = true`,
and empty rows are filtered.""",
    omits="Validation of dates (they are cut out of the text), provenance, quarantine, account.",
)
