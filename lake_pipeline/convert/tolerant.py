"""Parsing, slow path: record by record, exact, and never in doubt.

What is no JSON object is broken, with a reason. What is one is fitted into the contract, which grows by what
is new; what does not fit is rescued. Slow is relative: only records with a surprise come here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.exact import MAX_NESTING, MAX_OBJECTS, decode, nesting, objects, with_sources
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.paths import Path, parse_path
from lake_pipeline.contract.rescue import fit, to_text, without
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.shapes import EMPTY, Shape
from lake_pipeline.convert.observing import kind_of


class Broken(ValueError):
    """A record that is not published. `reason` is a short code, the text a sentence.

    `is_damage` says that it tells of a damaged file: it is no JSON object.
    """

    def __init__(self, reason: str, text: str, *, is_damage: bool = True) -> None:
        self.reason = reason
        self.is_damage = is_damage
        super().__init__(text)


@dataclass(kw_only=True)
class TolerantRows:
    """What became of some records. `kept` are the positions of those in `table`; all others are in `broken`.

    `misfits` are the rows with rescued values: shown path → kind of the value.
    """

    table: pa.Table
    contract: Contract
    kept: list[int]
    broken: dict[int, Broken] = field(default_factory=dict)
    rescued: list[str | None] = field(default_factory=list)
    misfits: dict[int, dict[str, str]] = field(default_factory=dict)
    days: list[Any] = field(default_factory=list)
    modes: list[Any] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """One record: its position, its day and mode as they stand in it, and what of it may be stored."""

    position: int
    day: Any
    mode: Any
    record: dict[str, Any]


def parse_tolerantly(
    lines: list[bytes], grow: Callable[[Shape], Contract], day_path: Path, mode_path: Path
) -> TolerantRows:
    """Parse each of `lines`. `grow` takes the shape of what is seen and returns the contract to fit it into."""
    contract = grow(EMPTY)
    while True:
        texts = contract.reading.texts
        read, broken = _read(lines, contract, day_path, mode_path)
        contract = grow(infer([one.record for one in read], contract.rules, contract.root))
        if contract.reading.texts == texts:
            break
        # A field turned out to be kept as text, so its text is needed.
    fitted = [(one, *fit(one.record, contract.reading.root)) for one in read]
    if contract.rules.may_freeze:
        broken |= frozen_rows({one.position: rescued for one, _, rescued in fitted}, contract.rules)
        fitted = [fit for fit in fitted if fit[0].position not in broken]
    return TolerantRows(
        table=_table([row for _, row, _ in fitted], contract),
        contract=contract,
        kept=[one.position for one, _, _ in fitted],
        broken=broken,
        rescued=[to_text(rescued) if rescued else None for _, _, rescued in fitted],
        misfits={
            row: {path: kind_of(value) for path, value in rescued.items()}
            for row, (_, _, rescued) in enumerate(fitted)
            if rescued
        },
        days=[one.day for one, _, _ in fitted],
        modes=[one.mode for one, _, _ in fitted],
    )


def frozen_rows(rescued: Mapping[int, Iterable[str]], rules: Rules) -> dict[int, Broken]:
    """The rows that are not published because they have values to rescue where the contract is frozen.

    `rescued` has the shown paths of each row that has any.
    """
    frozen: dict[int, Broken] = {}
    for row, paths in rescued.items():
        for shown in sorted(paths):
            if rules.policy_at(parse_path(shown.removesuffix("[earlier]"))) is Policy.FREEZE:
                text = f"{shown} does not fit the contract, which is frozen"
                frozen.setdefault(row, Broken("contract_frozen", text, is_damage=False))
    return frozen


def _read(
    lines: list[bytes], contract: Contract, day_path: Path, mode_path: Path
) -> tuple[list[_Read], dict[int, Broken]]:
    read: list[_Read] = []
    broken: dict[int, Broken] = {}
    for position, line in enumerate(lines):
        try:
            record = loads(line)
        except Broken as problem:
            # A new one: that which was raised holds its traceback, and so, in a cycle, all of its block (12 MB seen).
            broken[position] = Broken(problem.reason, str(problem))
            continue
        day, mode = value_in(record, day_path), value_in(record, mode_path)
        read.append(_Read(position=position, day=day, mode=mode, record=_storable(record, line, contract)))
    return read, broken


def _storable(record: dict[str, Any], line: bytes, contract: Contract) -> dict[str, Any]:
    if contract.reading.texts:
        record = with_sources(record, line.decode(), contract.reading.texts)
    for path in contract.rules.excluded:
        without(record, path)
    return record


def loads(line: bytes) -> dict[str, Any]:
    """One record, as exact as `decode` has it. Raises Broken."""
    if not line.strip():
        raise Broken("truncated", "the file ends before this record, or the array around it, is closed")
    try:
        text = line.decode()
        # Measured before the values are in memory, told after: what is no JSON at all is not too deep.
        levels = _levels(line, text)
        value = decode(text)
    except UnicodeDecodeError as error:
        raise Broken("invalid_utf8", f"byte {error.start} of the record is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Broken("invalid_json", f"{error.msg} at character {error.pos} of the record") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(value, dict):
        raise Broken("not_an_object", f"the record is a {type(value).__name__}, not an object")
    if levels > MAX_NESTING:
        raise _too_deep()
    return value


def _levels(line: bytes, text: str) -> int:
    """How deep the record is nested, 0 where it can't be too deep. Raises Broken where it is too large to decode."""
    opened = line.count(b"{") + line.count(b"[")
    levels = nesting(text) if opened > MAX_NESTING else 0
    if opened > MAX_OBJECTS and levels <= MAX_NESTING and objects(text) > MAX_OBJECTS:
        raise Broken("too_many_objects", f"more than {MAX_OBJECTS:,} objects in a record that is new to the contract")
    return levels


def _too_deep() -> Broken:
    return Broken("too_deep", f"objects and lists stand inside one another more than {MAX_NESTING} deep")


def value_in(record: Mapping[str, Any], path: Path) -> Any:
    """The value at `path`, None where there is none."""
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _table(rows: list[dict[str, Any]], contract: Contract) -> pa.Table:
    struct = pa.array(rows, type=pa.struct(list(contract.parse_schema)))
    if not len(contract.parse_schema):
        return pa.RecordBatch.from_struct_array(struct)
    return pa.Table.from_struct_array(struct)
