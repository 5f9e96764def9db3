"""What SQL may do in DuckDB: read the registered tables, and with `allow_files` also files of this machine.

The limits are DuckDB's own settings, locked before the SQL runs. The check of statements comes first, because its
error names the next step, and because DuckDB always lets SQL write to its folder for temporary files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from lake_pipeline.consume.address_space import BASE_BYTES, small_address_space
from lake_pipeline.errors import PermanentError

_Value = str | bool | int | float | list[str]

_NO_EXTENSIONS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
}
"""Extensions are machine code from the internet. Secrets are files of the user's home."""

_NO_PYTHON_VARIABLES = {"python_enable_replacements": "false"}
"""Otherwise DuckDB looks up an unknown table name in the variables of the calling functions."""

_QUERIES = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI})
"""SELECT is also WITH, VALUES, FROM, SHOW, DESCRIBE and SUMMARIZE; MULTI is PIVOT."""

FILES_HINT = "`lake query --allow-files` may also read and write files."


@contextmanager
def connect(*, allow_files: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in UTC without tables; `lock` ends its set-up. Temporary files are deleted at the end."""
    files = {} if allow_files else {"enable_external_access": "false"}
    with tempfile.TemporaryDirectory(prefix="lake-query-") as temporary:
        config: dict[str, _Value] = {
            **_NO_EXTENSIONS,
            **_NO_PYTHON_VARIABLES,
            **files,
            **_few_threads(),
            "temp_directory": temporary,
        }
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _few_threads() -> dict[str, _Value]:
    """Settings for a small address space, in which each thread reserves much; Arrow gets one thread at once."""
    limit = small_address_space()
    if limit is None:
        return {}
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    return {"threads": 1, "memory_limit": f"{max(limit - BASE_BYTES, BASE_BYTES // 10) >> 20}MiB"}


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """From here on, SQL can't change a setting."""
    connection.execute("SET lock_configuration = true")


def check_statements(connection: duckdb.DuckDBPyConnection, sql: str, *, allow_files: bool) -> None:
    """Raise `PermanentError` if `sql` has a statement that is not a query.

    With `allow_files` all statements are allowed, except INSTALL and LOAD of extensions.
    """
    kinds = {statement.type for statement in connection.extract_statements(sql)}
    if duckdb.StatementType.LOAD in kinds:
        raise PermanentError("`lake query` does not install or load extensions. Use DuckDB itself for that.")
    if not allow_files and (refused := kinds - _QUERIES):
        names = ", ".join(sorted(kind.name for kind in refused))
        raise PermanentError(f"`lake query` only runs queries, such as SELECT, and not {names}. {FILES_HINT}")


def explanation(error: duckdb.Error) -> PermanentError:
    """DuckDB's message on one line, without the excerpt of the statement, and with the next step for files."""
    text = " ".join(str(error).partition("\nLINE ")[0].split())
    hint = f" {FILES_HINT}" if isinstance(error, duckdb.PermissionException) else ""
    return PermanentError(f"The query failed. {text}{hint}")
