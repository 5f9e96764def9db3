"""The contract: the columns of the curated table, their types and the JSON paths they come from.

It is a value. Growing one gives another; the ledger stores each version and decides, by compare-and-set, which
one is in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.naming import column_name
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.shapes import EMPTY, Shape, can_read
from lake_pipeline.errors import ContractMoved

PROVENANCE_FIELDS = (
    pa.field("_rescued", pa.string()),
    pa.field("_file_id", pa.int64(), nullable=False),
    pa.field("_record", pa.int64(), nullable=False),
    pa.field("_batch_id", pa.string(), nullable=False),
)
"""`_rescued`: JSON text, path → value, of what fits no column; `_record`: index in the file, from 0."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: `path` in the record, `shape` of its values, `since` the contract version that added it."""

    name: str
    path: Path
    shape: Shape
    since: int

    @property
    def type(self) -> pa.DataType:
        """The Arrow type as stored in Parquet."""
        return self.shape.store_type


@dataclass(frozen=True)
class Contract:
    """One version of the contract. `root` is the shape of a whole record, `names` maps paths to (name, since).

    Version 0 is a contract that was never stored.
    """

    version: int = 0
    root: Shape = EMPTY
    names: Mapping[Path, tuple[str, int]] | None = None

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The typed columns in order of appearance. Paths of which no value was seen yet have none."""
        names = self.names or {}
        stored = {path: shape.storable for path, shape in self.root.leaves()}
        return tuple(
            Column(name=name, path=path, shape=shape, since=since)
            for path, (name, since) in names.items()
            if (shape := stored[path]) is not None
        )

    @cached_property
    def parse_schema(self) -> pa.Schema:
        """The schema to read records with, keys as in the JSON."""
        return pa.schema([pa.field(key, shape.parse_type) for key, shape in self.root.fields.items()])

    def arrow_schema(self) -> pa.Schema:
        """The schema of a curated Parquet file: the columns, then the provenance columns."""
        return self._arrow_schema

    @cached_property
    def _arrow_schema(self) -> pa.Schema:
        fields = [
            pa.field(column.name, column.type, metadata={"json_path": show_path(column.path)})
            for column in self.columns
        ]
        return pa.schema([*fields, *PROVENANCE_FIELDS])

    def grown(self, seen: Shape) -> Contract:
        """This contract with what `seen` (the shape of whole records) adds; itself where that is nothing."""
        root = self.root.grown(seen)
        return self if root == self.root else Contract(self.version, root, self._named(root))

    def _named(self, root: Shape) -> dict[Path, tuple[str, int]]:
        names = dict(self.names or {})
        taken = {name for name, _ in names.values()}
        for path, shape in root.leaves():
            if path not in names and shape.storable is not None:
                names[path] = (column_name(path, taken), self.version + 1)
                taken.add(names[path][0])
        return names

    def merged(self, newer: Contract) -> Contract:
        """The union of this contract, which is in force, and `newer`, which parts were written with.

        Returns this one where `newer` adds nothing. Raises `ContractMoved` where parts written with `newer`
        would not fit the union: they must be converted again with this contract.
        """
        root = self.root.grown(newer.root)
        names = dict(self.names or {})
        taken = {name for name, _ in names.values()}
        for path, (name, _) in (newer.names or {}).items():
            if path not in names and name in taken:
                raise ContractMoved(f"The column name {name} was given to another path than {show_path(path)}.")
            names.setdefault(path, (name, self.version + 1))
        union = Contract(self.version, root, names) if root != self.root else self
        union._must_read(newer)
        return union

    def _must_read(self, written: Contract) -> None:
        if not set(self.names or {}) <= {path for path, _ in self.root.leaves()}:
            raise ContractMoved("A path that was a value became an object, or the other way round.")
        mine = {column.path: column for column in self.columns}
        for column in written.columns:
            found = mine.get(column.path)
            if found is None or found.name != column.name or not can_read(column.type, found.type):
                raise ContractMoved(f"{show_path(column.path)} got another name or type in contract {self.version}.")

    def with_version(self, version: int) -> Contract:
        """The same columns under another version number."""
        return replace(self, version=version)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        names = [
            {"path": list(path), "name": name, "since": since} for path, (name, since) in (self.names or {}).items()
        ]
        return {"version": self.version, "root": self.root.to_json(), "names": names}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contract:
        """The inverse of `to_json`."""
        names = {tuple(entry["path"]): (entry["name"], entry["since"]) for entry in data["names"]}
        return cls(data["version"], Shape.from_json(data["root"]), names)
