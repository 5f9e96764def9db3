"""Cast columns of texts to typed columns, many values at a time.

The usual spellings go through Arrow's casts. All others are converted value by value by `contract.scalars`, which is
exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.exact_json import decode
from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.scalars import EPOCH_UNITS, FIRST_MICROSECOND, LAST_MICROSECOND, Inexact, cast_text
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, WITHOUT_COLUMN, Kind, Shape

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])"
_DAY = rf"{_YEAR}-\d\d-\d\d"
_USUAL = {
    Kind.TEXT: r"^(?:\"[^\"\\]*\"|-?\d[^\"]*|true|false)$",
    Kind.TIMESTAMP: rf"^(?:\"{_DAY}[T ]\d\d:\d\d:\d\d(?:\.\d{{1,6}})?Z?\"|-?\d{{1,18}})$",
    Kind.DATE: rf"^\"{_DAY}\"$",
}
"""The spellings for which Arrow's cast gives the same value as `contract.scalars`, or fails."""

_PLAIN_STRING = r'^"[^"\\]*"$'
_UTC = pa.timestamp("us", "UTC")
_SHORT_INTEGER = r"^-?\d{1,18}$"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class CastTable:
    """`table` has the contract's `parse_schema`; `texts` are the source texts of values, null if there is none."""

    table: pa.Table
    texts: dict[Path, pa.Array]


def cast_columns(table: pa.Table, contract: Contract) -> CastTable:
    """The table of the fast parser, with values in place of texts at the paths that are read as text."""
    texts: dict[Path, pa.Array] = {}
    if not contract.parser_rules.taken:
        return CastTable(table=table, texts=texts)
    columns = [
        _cast_column(table.column(key).combine_chunks(), shape, (key,), texts)
        for key, shape in contract.parser_rules.root.fields.items()
    ]
    return CastTable(table=pa.table(columns, schema=contract.parse_schema), texts=texts)


def _cast_column(values: pa.Array, shape: Shape, path: Path, texts: dict[Path, pa.Array]) -> pa.Array:
    if shape.kind in WITHOUT_COLUMN:
        texts[path] = values
        return pa.nulls(len(values))
    if shape.kind in MADE_FROM_TEXT:
        texts[path] = values
        return cast_texts(values, shape)
    if not shape.needs_text:
        return values
    children = [
        _cast_column(pc.struct_field(values, [position]), child, (*path, key), texts)
        for position, (key, child) in enumerate(shape.fields.items())
    ]
    return pa.StructArray.from_arrays(children, fields=list(shape.parse_type), mask=values.is_null())


def cast_texts(texts: pa.Array, shape: Shape) -> pa.Array:
    """The column of `shape` cast from the JSON `texts` of its values; null if a value can't be exact."""
    if shape.kind is Kind.JSON:
        return texts  # texts of the fast parser are exact JSON
    usual = _mask(pc.match_substring_regex(texts, _usual(shape)))
    try:
        values, usual = _timestamps(texts, usual) if shape.kind is Kind.TIMESTAMP else _cast(texts, usual, shape)
    except pa.ArrowInvalid:
        values, usual = pa.nulls(len(texts), shape.store_type), np.zeros(len(texts), dtype=bool)
    unusual = np.flatnonzero(~usual & _mask(texts.is_valid())).tolist()
    return _with_unusual(values, unusual, texts, shape) if unusual else values


def _usual(shape: Shape) -> str:
    if shape.digits is None:
        return _USUAL[shape.kind]
    # Digits are counted, because a cast to decimals overflows silently (pyarrow 26).
    precision, scale = shape.digits
    whole = rf"(?:0|[1-9]\d{{0,{precision - scale - 1}}})" if precision > scale else "0"
    number = rf"-?{whole}(?:\.\d{{1,{scale}}})?" if scale else rf"-?{whole}"
    return rf"^(?:{number}|\"{number}\")$"


def _with_unusual(values: pa.Array, unusual: list[int], texts: pa.Array, shape: Shape) -> pa.Array:
    cast_values: dict[str, Any] = {}
    replacements = []
    for row in unusual:
        text = texts[row].as_py()
        if text not in cast_values:
            cast_values[text] = _value_or_none(text, shape)
        replacements.append(cast_values[text])
    mask = np.zeros(len(texts), dtype=bool)
    mask[unusual] = True
    return pc.replace_with_mask(values, pa.array(mask), pa.array(replacements, values.type))


def _value_or_none(text: str, shape: Shape) -> Any:
    try:
        return cast_text(text, shape)
    except Inexact:
        return None


def _cast(texts: pa.Array, usual: Mask, shape: Shape) -> tuple[pa.Array, Mask]:
    return _unquoted(_at_rows(texts, usual)).cast(shape.store_type), usual


def _timestamps(texts: pa.Array, usual: Mask) -> tuple[pa.Array, Mask]:
    quoted = usual & _mask(pc.starts_with(texts, '"'))
    spelled = pc.utf8_trim(_at_rows(texts, quoted), '"Z').cast(pa.timestamp("us"))
    if (quoted == usual).all():
        return spelled.cast(_UTC), usual
    micros, exact = _micros(_at_rows(texts, usual & ~quoted))
    counted = pa.array(micros, mask=~exact).cast(pa.timestamp("us"))
    return pc.coalesce(spelled, counted).cast(_UTC), quoted | exact


def _micros(texts: pa.Array) -> tuple[npt.NDArray[np.int64], Mask]:
    """Microseconds since 1970 for numbers since 1970, and which of them are exact and in the range of timestamps."""
    numbers = texts.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    below = [np.abs(numbers) < bound for bound, _ in EPOCH_UNITS]
    micros = np.select(below, [numbers * unit for _, unit in EPOCH_UNITS], numbers // 1000)
    exact = np.logical_or.reduce(below) | (numbers % 1000 == 0)
    in_range = (micros >= FIRST_MICROSECOND) & (micros <= LAST_MICROSECOND)
    return micros, exact & in_range & _mask(texts.is_valid())


def json_values(texts: pa.Array) -> pa.Array | list[Any]:
    """The values of JSON `texts`: an Arrow array if all are plain strings or all short integers, else a list."""
    if pc.all(pc.match_substring_regex(texts, _PLAIN_STRING), min_count=0).as_py():
        return _unquoted(texts)
    if pc.all(pc.match_substring_regex(texts, _SHORT_INTEGER), min_count=0).as_py():
        return texts.cast(pa.int64())
    return [None if text is None else decode(text) for text in texts.to_pylist()]


def _unquoted(texts: pa.Array) -> pa.Array:
    quoted = pc.starts_with(texts, '"')
    return pc.if_else(quoted, pc.utf8_slice_codeunits(texts, 1, -1), texts)


def _at_rows(values: pa.Array, rows: Mask) -> pa.Array:
    """The values at `rows`, null elsewhere."""
    return pc.if_else(pa.array(rows), values, pa.scalar(None, values.type))


def _mask(values: pa.Array) -> Mask:
    mask: Mask = values.fill_null(False).to_numpy(zero_copy_only=False)
    return mask
