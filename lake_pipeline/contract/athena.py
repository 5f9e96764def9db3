"""What Athena and the Glue Data Catalog ask of a table: names, types, comments, sizes.

Here a definition is checked before it is sent: what the service would refuse, or take and then fail to read, is told
with the column's name. Nothing is asked of AWS.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.hive_types import hive_type
from lake_pipeline.contract.naming import PARTITION

MAX_NAME = 255
"""Bytes of the name of a database, table or column."""

MAX_COMMENT = 255
"""Characters of a column's comment."""

MAX_TYPE = 131_072
"""Characters of a column's type: a struct of thousands of fields comes near it."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_FIELD = re.compile(r"[A-Za-z0-9_.]+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\ud800-\udfff]")


def problems(contract: Contract, database: str) -> list[str]:
    """Why Athena could not read a table with the columns of `contract`, a sentence each; empty where it can."""
    found = [] if _NAME.fullmatch(database) and len(database) <= MAX_NAME else [f"{database!r} is no database name"]
    schema = contract.arrow_schema()
    # Athena knows no case, and has partition columns and others in one list.
    names = Counter([name.lower() for name in schema.names] + list(PARTITION))
    found += [f"there are {times} columns {name}" for name, times in names.items() if times > 1]
    for field in schema:
        found += (f"column {field.name}: {problem}" for problem in _column_problems(field))
    return found


def comment(text: str) -> str:
    """`text` as a comment that Glue takes: one line, not too long."""
    plain = _UNPRINTABLE.sub("�", text)
    return plain if len(plain) <= MAX_COMMENT else plain[: MAX_COMMENT - 1] + "…"


def _column_problems(field: pa.Field) -> Iterable[str]:
    if not _NAME.fullmatch(field.name) or len(field.name.encode()) > MAX_NAME:
        yield f"a name is 1 to {MAX_NAME} of a-z, 0-9 and _, no digit first"
    try:
        type_ = hive_type(field.type)
    except ValueError as error:
        yield str(error)
        return
    if len(type_) > MAX_TYPE:
        yield f"its type takes {len(type_):,} characters, and Glue keeps {MAX_TYPE:,}; keep the object as JSON"
    yield from _type_problems(field.type)


def _type_problems(type_: pa.DataType) -> Iterable[str]:
    if pa.types.is_struct(type_):
        for name, times in Counter(field.name.lower() for field in type_).items():
            if times > 1 or not _FIELD.fullmatch(name):
                yield f"its field {name!r} has no name that Athena can tell apart"
        for field in type_:
            yield from _type_problems(field.type)
    elif pa.types.is_map(type_):
        if pa.types.is_nested(type_.key_type):
            yield "the key of a map is a plain type"
        yield from _type_problems(type_.item_type)
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_):
        yield from _type_problems(type_.value_type)
    elif pa.types.is_decimal(type_) and not type_.scale <= type_.precision <= 38:
        yield f"a decimal has at most 38 digits, this one {type_.precision}"
