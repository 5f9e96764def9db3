"""Identifiers and texts in statements of Athena and Hive. PostgreSQL and DuckDB get values as parameters instead."""

from __future__ import annotations

from lake_pipeline.escaping.lines import one_line


def hive_identifier(name: str) -> str:
    """A name of a database, table or column, always quoted: reserved words and leading underscores need it."""
    return f"`{one_line(name).replace('`', '``')}`"


def hive_text(value: str) -> str:
    """A string literal on one line."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{one_line(escaped)}'"
