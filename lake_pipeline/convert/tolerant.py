"""Parsing, slow path: record by record, exact, and never in doubt.

What is no JSON object is broken, with a reason. What is one is fitted into the contract, which grows by what
is new; what does not fit is rescued. Slow is relative: only blocks with a surprise come here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.rescue import INT64, Number, Repeated, fit, to_text
from lake_pipeline.contract.shapes import Shape


class Broken(ValueError):
    """A record that is no JSON object. `reason` is a short code, the text a sentence."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


@dataclass(kw_only=True)
class TolerantRows:
    """What became of some records. `kept` are the positions of those in `table`; all others are in `broken`."""

    table: pa.Table
    contract: Contract
    kept: list[int]
    broken: dict[int, Broken] = field(default_factory=dict)
    rescued: list[str | None] = field(default_factory=list)
    days: list[Any] = field(default_factory=list)
    modes: list[Any] = field(default_factory=list)


def parse_tolerantly(
    lines: list[bytes], grow: Callable[[Shape], Contract], day_path: Path, mode_path: Path
) -> TolerantRows:
    """Parse each of `lines`. `grow` takes the shape of what is seen and returns the contract to fit it into."""
    records: list[dict[str, Any]] = []
    kept: list[int] = []
    broken: dict[int, Broken] = {}
    for position, line in enumerate(lines):
        try:
            records.append(loads(line))
            kept.append(position)
        except Broken as problem:
            broken[position] = problem
    contract = grow(infer(records))
    fitted = [fit(record, contract.root) for record in records]
    return TolerantRows(
        table=_table([row for row, _ in fitted], contract),
        contract=contract,
        kept=kept,
        broken=broken,
        rescued=[to_text(rescued) if rescued else None for _, rescued in fitted],
        days=[_value_at(record, day_path) for record in records],
        modes=[_value_at(record, mode_path) for record in records],
    )


def loads(line: bytes) -> dict[str, Any]:
    """One record. Numbers beyond 64 bits or not finite are `Number`, repeated keys give `Repeated`. Raises Broken."""
    if not line.strip():
        raise Broken("truncated", "the file ends before its array is closed")
    try:
        value = _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise Broken("invalid_utf8", f"byte {error.start} of the record is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Broken("invalid_json", f"{error.msg} at character {error.pos} of the record") from error
    except RecursionError as error:
        raise Broken("too_deep", "the record is nested too deep to be read") from error
    if not isinstance(value, dict):
        raise Broken("not_an_object", f"the record is a {type(value).__name__}, not an object")
    return value


def _integer(text: str) -> int | Number:
    # 4,300 digits are Python's limit; beyond 20 no number fits 64 bits anyway.
    value = int(text) if len(text) <= 20 else None
    return value if value is not None and value in INT64 else Number(text)


def _fraction(text: str) -> float | Number:
    value = float(text)
    return value if math.isfinite(value) else Number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeated = Repeated(value)
    last = {key: index for index, (key, _) in enumerate(pairs)}
    repeated.earlier = [pair for index, pair in enumerate(pairs) if last[pair[0]] != index]
    return repeated


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=Number, object_pairs_hook=_object)


def _table(rows: list[dict[str, Any]], contract: Contract) -> pa.Table:
    struct = pa.array(rows, type=pa.struct(list(contract.parse_schema)))
    if not len(contract.parse_schema):
        return pa.RecordBatch.from_struct_array(struct)
    return pa.Table.from_struct_array(struct)


def _value_at(record: dict[str, Any], path: Path) -> Any:
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
