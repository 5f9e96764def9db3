"""Parsing, fast path: records that fit the contract go from bytes to Arrow without leaving native code.

It either gives exactly what the tolerant parser would give, or it declines and gives nothing. Everything that
the native parser would take silently and wrongly is looked for here: two documents on a line, documents that
are no objects, text that is not UTF-8, integers that a double can't hold, values that are not finite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.rescue import EXACT_INT
from lake_pipeline.contract.shapes import Kind, Shape

_LONG_INTEGER = re.compile(rb"[:\[,\s]-?\d{16,}\s*[,}\]]")


def parse(lines: bytes, count: int, contract: Contract) -> pa.Table | None:
    """The `count` records in `lines` as a nested table with `contract.parse_schema`, or None for a surprise.

    `lines` must be framed (see `Records`): the native parser crashes on a line that is a bare `null`.
    """
    if not _is_utf8(lines):
        return None
    options = pj.ParseOptions(explicit_schema=contract.parse_schema, unexpected_field_behavior="error")
    one_block = pj.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
        table = pj.read_json(pa.BufferReader(lines), read_options=one_block, parse_options=options)
    except pa.ArrowException:
        return None
    if table.num_rows != count or not _is_exact(table, lines, contract.root):
        return None
    return table


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_exact(table: pa.Table, lines: bytes, root: Shape) -> bool:
    """Whether every value of the text is in the table as it was written, or is left for `rescue_untyped`."""
    large = False
    for key, shape in root.fields.items():
        if shape.is_settled and not shape.has_double:
            continue
        values = whole(table.column(key))
        if not shape.is_settled and _loses_items(values, shape):
            return False
        for doubles in _doubles(values, shape):
            if not pc.all(pc.is_finite(doubles), min_count=0).as_py():
                return False
            largest = pc.max(pc.abs(doubles)).as_py()
            large = large or (largest is not None and largest >= EXACT_INT)
    return not (large and _LONG_INTEGER.search(lines))


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The one array behind a column."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _doubles(values: pa.Array, shape: Shape) -> Iterator[pa.Array]:
    """Every array of doubles below `values`."""
    if not shape.has_double:
        return
    if shape.kind is Kind.STRUCT:
        for key, child in shape.fields.items():
            yield from _doubles(pc.struct_field(values, [_position(shape, key)]), child)
    elif shape.item is not None:
        yield from _doubles(values.flatten(), shape.item)
    else:
        yield values


def _loses_items(values: pa.Array, shape: Shape) -> bool:
    """Whether a list holds something at a place that no column has a type for."""
    if shape.kind is Kind.STRUCT:
        return any(
            _loses_items(pc.struct_field(values, [_position(shape, key)]), child) for key, child in shape.fields.items()
        )
    if shape.item is None:
        return False
    if shape.storable is None:
        # `[null, null]` has the wrong length when it is read as a list of nulls (pyarrow 26).
        return len(values.flatten()) > 0
    return _holds_untyped(values.flatten(), shape.item)


def _holds_untyped(values: pa.Array, shape: Shape) -> bool:
    if shape.is_settled:
        return False
    if shape.storable is None:
        return bool(values.null_count < len(values))
    if shape.item is not None:
        return _holds_untyped(values.flatten(), shape.item)
    return any(
        _holds_untyped(pc.struct_field(values, [_position(shape, key)]), child) for key, child in shape.fields.items()
    )


def _position(shape: Shape, key: str) -> int:
    return list(shape.fields).index(key)
