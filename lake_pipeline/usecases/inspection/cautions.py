"""Warnings about fields that a person should know before the first conversion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.shapes import Kind
from lake_pipeline.model.redaction import is_secret_name
from lake_pipeline.usecases.inspection.fields import Field

EXACT_DOUBLE = 1 << 53
"""Integers above it are not exact as doubles: in JavaScript, and in pandas if the column has nulls."""

MANY_COLUMNS = 1_000


def warnings_about(contract: Contract, fields: Mapping[Path, Field], records: int) -> Iterator[str]:
    """One sentence for each field, without a full stop."""
    for path, field in fields.items():
        large = next((value for value in field.values if type(value) is int and abs(value) > EXACT_DOUBLE), None)
        if large is not None:
            yield (
                f"{show_path(path)} has integers above 2^53, for example {large}: they are stored exactly, but a "
                "reader that makes them floats (JavaScript, pandas with nulls) would round them"
            )
        if any(is_secret_name(key) for key in path[-1:]):
            yield (
                f"{show_path(path)} looks like a secret; the rule `exclude = true` in LAKE_CONTRACT_FILE keeps it out "
                "of the table"
            )
    for column in contract.columns:
        if column.shape.kind is Kind.JSON:
            yield (
                f"the keys of the objects at {show_path(column.path)} are data: they become one column of JSON text, "
                f"{column.name}"
            )
    yield from _envelopes(fields, records)
    if len(contract.columns) > MANY_COLUMNS:
        yield f"the table would have {len(contract.columns):,} columns; look for objects whose keys are data"


def _envelopes(fields: Mapping[Path, Field], records: int) -> Iterator[str]:
    for path, field in fields.items():
        lists = [value for value in field.values if isinstance(value, list) and value and isinstance(value[0], dict)]
        items = sum(map(len, lists))
        if len(path) == 1 and len(lists) == records and items >= 10 * records:
            yield (
                f"each record holds about {items // records:,} objects in the list {show_path(path)}: if these are the "
                "records, split the files first, because a record becomes one row"
            )
