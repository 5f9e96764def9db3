"""The tolerant parser: exact, one record at a time. Only records that do not fit the contract come here.

A record that is not a JSON object is malformed, with a reason. Others extend the contract by what is new in them;
values that still do not fit are rescued.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import MAX_PATH_LENGTH, Evidence
from lake_pipeline.contract.exact_json import MAX_NESTING, MAX_OBJECTS, decode, nesting, objects, with_sources
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.paths import Path, parse_path, show_path
from lake_pipeline.contract.rescue import fit, to_text, without
from lake_pipeline.contract.rules import Policy, Rules
from lake_pipeline.contract.shapes import EMPTY, Shape
from lake_pipeline.contract.widening import wider
from lake_pipeline.convert.parse.evidence import kind_of

Unpartitionable = Callable[[list[list[Any]], list[Any], list[int]], Collection[int]]
"""The rows without a partition, by the values of each date field, the modes and the positions of all rows."""


class RejectedRecord(ValueError):
    """A record that is quarantined. `reason` is a short code, the text a sentence."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class MalformedRecord(RejectedRecord):
    """A record that is not a valid JSON object. If a file has too many of them, it is damaged."""


class EvolvingContract:
    """The contract of a conversion while it runs, shared by its threads: columns are added and become wider.

    Columns older than the contract version `widens_from` keep their type: too many published files have them. So do
    the columns at the paths `kept`, which hold integers that no double holds. `widenings` counts how often a column
    became wider: rows converted before have the narrower type. `wanted_widenings` are the columns that could not be
    widened: path as text → the shape that would hold the values.
    """

    def __init__(self, contract: Contract, widens_from: int = 0, kept: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._widens_from = widens_from
        self._first = contract
        self._kept = set(kept)
        self._widened_paths: set[str] = set()
        self.current = contract
        self.widenings = 0
        self.wanted_widenings: dict[str, Shape] = {}

    def evolve(self, seen: Shape) -> Contract:
        """Add what is new in `seen`; return the contract that results."""
        with self._lock:
            extended = self.current.evolved(seen)
            wider_shapes = extended.widenings(seen)
            self.current = self._widened(extended, wider_shapes, seen) if wider_shapes else extended
            return self.current

    def _widened(self, contract: Contract, wider_shapes: Mapping[Path, Shape], seen: Shape) -> Contract:
        allowed = [
            path
            for path in wider_shapes
            if contract.since(path) >= self._widens_from and show_path(path) not in self._kept
        ]
        for path in wider_shapes.keys() - set(allowed):
            path_text = show_path(path)
            if len(path_text) <= MAX_PATH_LENGTH:
                self.wanted_widenings[path_text] = wider(
                    self.wanted_widenings.get(path_text, wider_shapes[path]), wider_shapes[path]
                )
        self.widenings += bool(allowed)
        self._widened_paths.update(map(show_path, allowed))
        return contract.widened(allowed, seen)

    def add_wishes(self, evidence: Evidence) -> None:
        """Add the columns that could not be widened to the evidence of the rows."""
        evidence.wanted_widenings.update(self.wanted_widenings)
        evidence.lossy_widenings |= self.wanted_widenings.keys() & self._kept

    def take_back(self, evidence: Evidence) -> bool:
        """Take back the widenings that took integers out of their columns, by the `evidence` of all rows.

        True if there were any: the rows must be converted again, from the first contract.
        """
        lossy = evidence.integers_outside(self._widened_paths)
        if lossy:
            self._kept |= lossy
            self._widened_paths.clear()
            self.current = self._first
        return bool(lossy)


@dataclass(kw_only=True)
class TolerantRows:
    """The result for some records. `accepted` are the positions of those in `table`; the others are in `rejected`.

    `days` has the values of each date field. `misfits` are the rows with rescued values: path text → kind of the value.
    """

    table: pa.Table
    contract: Contract
    accepted: list[int]
    rejected: dict[int, RejectedRecord] = field(default_factory=dict)
    rescued: list[str | None] = field(default_factory=list)
    misfits: dict[int, dict[str, str]] = field(default_factory=dict)
    days: list[list[Any]] = field(default_factory=list)
    modes: list[Any] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Parsed:
    """One record: its position, its dates and mode as written, and the part of it that may be stored."""

    position: int
    days: tuple[Any, ...]
    mode: Any
    record: dict[str, Any]


def parse_tolerantly(
    lines: list[bytes],
    evolve: Callable[[Shape], Contract],
    day_paths: tuple[Path, ...],
    mode_path: Path,
    unpartitionable: Unpartitionable = lambda *_: (),
) -> TolerantRows:
    """Parse each of `lines`. `evolve` takes the shape of the records and returns the contract to fit them into.

    Records that `unpartitionable` names have no say in it: they are quarantined, and would leave columns of nothing.
    """
    contract = evolve(EMPTY)
    while True:
        texts = contract.parser_rules.texts
        records, rejected = _parse(lines, contract, day_paths, mode_path)
        contract = evolve(infer(_deciding(records, unpartitionable), contract.rules, contract.root))
        if contract.parser_rules.texts == texts:
            break
        # A field turned out to be stored as text, so its source text is needed.
    fitted = [(parsed, *fit(parsed.record, contract.parser_rules.root)) for parsed in records]
    if contract.rules.may_freeze:
        rejected |= rejected_by_freeze({parsed.position: rescued for parsed, _, rescued in fitted}, contract.rules)
        fitted = [row for row in fitted if row[0].position not in rejected]
    return TolerantRows(
        table=_table([row for _, row, _ in fitted], contract),
        contract=contract,
        accepted=[parsed.position for parsed, _, _ in fitted],
        rejected=rejected,
        rescued=[to_text(rescued) if rescued else None for _, _, rescued in fitted],
        misfits={
            row: {path: kind_of(value) for path, value in rescued.items()}
            for row, (_, _, rescued) in enumerate(fitted)
            if rescued
        },
        days=[[parsed.days[field] for parsed, _, _ in fitted] for field in range(len(day_paths))],
        modes=[parsed.mode for parsed, _, _ in fitted],
    )


def _deciding(records: list[_Parsed], unpartitionable: Unpartitionable) -> list[dict[str, Any]]:
    """The records that decide about columns: those that can be published."""
    if not records:
        return []
    days = [list(field_values) for field_values in zip(*(parsed.days for parsed in records), strict=True)]
    left_out = unpartitionable(days, [parsed.mode for parsed in records], [parsed.position for parsed in records])
    return [parsed.record for row, parsed in enumerate(records) if row not in left_out]


def rejected_by_freeze(rescued: Mapping[int, Iterable[str]], rules: Rules) -> dict[int, RejectedRecord]:
    """The rows that are quarantined because they have values to rescue at a path with the policy `freeze`.

    `rescued` has the path texts of each row that has any.
    """
    rejected: dict[int, RejectedRecord] = {}
    for row, paths in rescued.items():
        for path_text in sorted(paths):
            if rules.policy_at(parse_path(path_text.removesuffix("[earlier]"))) is Policy.FREEZE:
                text = f"{path_text} does not fit the contract, which is frozen"
                rejected.setdefault(row, RejectedRecord("contract_frozen", text))
    return rejected


def _parse(
    lines: list[bytes], contract: Contract, day_paths: tuple[Path, ...], mode_path: Path
) -> tuple[list[_Parsed], dict[int, RejectedRecord]]:
    records: list[_Parsed] = []
    rejected: dict[int, RejectedRecord] = {}
    for position, line in enumerate(lines):
        try:
            record = loads(line)
        except MalformedRecord as problem:
            # A copy: the raised one keeps its traceback alive, and through a cycle its whole block (12 MB seen).
            rejected[position] = MalformedRecord(problem.reason, str(problem))
            continue
        days, mode = tuple(value_in(record, path) for path in day_paths), value_in(record, mode_path)
        records.append(_Parsed(position=position, days=days, mode=mode, record=_storable(record, line, contract)))
    return records, rejected


def _storable(record: dict[str, Any], line: bytes, contract: Contract) -> dict[str, Any]:
    if contract.parser_rules.texts:
        record = with_sources(record, _text(line), contract.parser_rules.texts)
    for path in contract.rules.excluded:
        without(record, path)
    return record


def loads(line: bytes) -> dict[str, Any]:
    """One record, as exact as `decode`. Raises `MalformedRecord`."""
    if not line.strip():
        raise MalformedRecord("truncated", "the file ends before this record, or the array around it, is closed")
    try:
        text = _text(line)
        # Measured before the values are in memory, reported after: text that is not JSON at all is not too deep.
        levels = _levels(line, text)
        value = decode(text)
    except UnicodeDecodeError as error:
        raise MalformedRecord("invalid_utf8", f"byte {error.start} of the record is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedRecord("invalid_json", f"{error.msg} at character {error.pos} of the record") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(value, dict):
        raise MalformedRecord("not_an_object", f"the record is a {type(value).__name__}, not an object")
    if levels > MAX_NESTING:
        raise _too_deep()
    return value


def _text(line: bytes) -> str:
    """The text of a record. A byte order mark before it is that of a file that was joined to another."""
    return line.decode().removeprefix("\ufeff")


def _levels(line: bytes, text: str) -> int:
    """The nesting depth of the record; 0 if it can't be too deep. Raises `MalformedRecord` if it is too large."""
    opened = line.count(b"{") + line.count(b"[")
    levels = nesting(text) if opened > MAX_NESTING else 0
    if opened > MAX_OBJECTS and levels <= MAX_NESTING and objects(text) > MAX_OBJECTS:
        text = f"more than {MAX_OBJECTS:,} objects in a record that is new to the contract"
        raise MalformedRecord("too_many_objects", text)
    return levels


def _too_deep() -> MalformedRecord:
    return MalformedRecord("too_deep", f"objects and lists are nested more than {MAX_NESTING} levels deep")


def value_in(record: Mapping[str, Any], path: Path) -> Any:
    """The value at `path`; None if there is none."""
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _table(rows: list[dict[str, Any]], contract: Contract) -> pa.Table:
    struct = pa.array(rows, type=pa.struct(list(contract.parse_schema)))
    if not len(contract.parse_schema):
        return pa.RecordBatch.from_struct_array(struct)
    return pa.Table.from_struct_array(struct)
