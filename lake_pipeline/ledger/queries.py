"""The named queries of the ledger, read from sql/*.sql.

Each has a name, a sentence that says what it does, and exactly one caller. Nothing is executed here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from sqlalchemy import TextClause, text

_HEAD = re.compile(r"^-- name: (\w+)\n((?:-- .*\n)+)", re.MULTILINE)


@cache
def query(name: str) -> TextClause:
    """The query called `name`. Raises KeyError for any other name."""
    return text(all_queries()[name])


@cache
def all_queries() -> dict[str, str]:
    """Every query as SQL with `:parameters`, by name."""
    queries: dict[str, str] = {}
    for source in sorted(files("lake_pipeline.ledger").joinpath("sql").iterdir(), key=lambda file: file.name):
        _, *pieces = _HEAD.split(source.read_text(encoding="utf-8"))
        for name, sql in zip(pieces[::3], pieces[2::3], strict=True):
            if name in queries:
                raise ValueError(f"two queries have the name {name}")
            queries[name] = sql.strip().removesuffix(";")
    return queries
