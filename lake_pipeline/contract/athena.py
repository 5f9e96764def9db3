"""Limits of Athena and the Glue Data Catalog for a table: names, types, comments, sizes.

A definition is checked before it is sent: problems that the service would refuse, or accept and then fail to read, are
reported with the column's name. No call to AWS is made here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.hive_types import hive_type
from lake_pipeline.contract.naming import PARTITION
from lake_pipeline.escaping.lines import one_line

MAX_NAME = 255
"""Bytes in the name of a database, table or column."""

MAX_COMMENT = 255
"""Characters in a column's comment."""

MAX_TYPE = 131_072
"""Characters in a column's type: a struct with thousands of fields is close to it."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_FIELD = re.compile(r"[A-Za-z0-9_.]+")


def problems(contract: Contract, database: str) -> list[str]:
    """Reasons why Athena could not read a table with the columns of `contract`, a sentence each."""
    reasons = []
    if not _NAME.fullmatch(database) or len(database) > MAX_NAME:
        reasons.append(f"{database!r} is not a valid database name")
    schema = contract.arrow_schema()
    # Athena ignores case, and partition columns share the namespace.
    names = Counter([name.lower() for name in schema.names] + list(PARTITION))
    reasons += [f"there are {times} columns {name}" for name, times in names.items() if times > 1]
    for field in schema:
        reasons += (f"column {field.name}: {problem}" for problem in _column_problems(field))
    return reasons


def comment(text: str) -> str:
    """`text` as a valid comment in Glue: one line, not too long."""
    plain = one_line(text)
    return plain if len(plain) <= MAX_COMMENT else plain[: MAX_COMMENT - 1] + "…"


def _column_problems(field: pa.Field) -> Iterable[str]:
    if not _NAME.fullmatch(field.name) or len(field.name.encode()) > MAX_NAME:
        yield f"a name must be 1 to {MAX_NAME} of a-z, 0-9 and _, no digit first"
    try:
        type_ = hive_type(field.type)
    except ValueError as error:
        yield str(error)
        return
    if len(type_) > MAX_TYPE:
        yield f"its type has {len(type_):,} characters, but Glue allows {MAX_TYPE:,}; keep the object as JSON"
    yield from _type_problems(field.type)


def _type_problems(type_: pa.DataType) -> Iterable[str]:
    if pa.types.is_struct(type_):
        for name, times in Counter(field.name.lower() for field in type_).items():
            if times > 1 or not _FIELD.fullmatch(name):
                yield f"Athena cannot distinguish the name of its field {name!r}"
        for field in type_:
            yield from _type_problems(field.type)
    elif pa.types.is_map(type_):
        if pa.types.is_nested(type_.key_type):
            yield "the key of a map must be a scalar type"
        yield from _type_problems(type_.item_type)
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_):
        yield from _type_problems(type_.value_type)
    elif pa.types.is_decimal(type_) and not type_.scale <= type_.precision <= 38:
        yield f"a decimal has at most 38 digits, but this one has {type_.precision}"
