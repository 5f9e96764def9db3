"""The contract: the columns of the curated table, their types and the JSON paths they come from.

It is a value. Growing one gives another; the ledger stores each version and decides, by compare-and-set, which
one is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.admission import MOST_RESCUED, admit, heeded
from lake_pipeline.contract.compatibility import reads_as
from lake_pipeline.contract.naming import column_name
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.reading import Reading
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.shapes import EMPTY, Kind, Shape
from lake_pipeline.contract.widening import wider, wider_at, wider_type
from lake_pipeline.errors import ContractMoved, SettingsError

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

    Version 0 is a contract that was never stored. `rules` decide how it grows, and `rescued` are fields that got no
    column since it was taken up; neither is a part of what is stored.
    """

    version: int = 0
    root: Shape = EMPTY
    names: Mapping[Path, tuple[str, int]] | None = None
    rules: Rules = field(default_factory=Rules, compare=False)
    rescued: tuple[Path, ...] = field(default=(), compare=False)

    def under(self, rules: Rules) -> Contract:
        """This contract, growing under `rules` from now on.

        Raises `SettingsError` where they exclude a part of what is stored as one text.
        """
        for path in rules.excluded:
            for size in range(1, len(path)):
                around = self.root.at(path[:size])
                if around is not None and around.kind is Kind.JSON:
                    raise SettingsError(
                        "LAKE_CONTRACT_FILE",
                        f"paths.{show_path(path)!r} can't be excluded: the contract has {show_path(path[:size])} "
                        "as a column that is kept as JSON; exclude that",
                    )
        root = self.root
        for path, rule in rules.paths.items():
            found = root.at(path)
            if rule.pin is not None and rule.pin.kind is Kind.TEXT and found is not None and found.kind is Kind.STRING:
                # The same column, which takes numbers too from now on: at once, not with the first record that is odd.
                root = root.overlaid(path, rule.pin)
        return replace(self, root=root, rules=rules, rescued=())

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The typed columns in order of appearance. Paths of which no value was seen yet have none."""
        names = self.names or {}
        leaves = dict(self.root.leaves())
        return tuple(
            Column(name=name, path=path, shape=leaves[path], since=since)
            for path, (name, since) in names.items()
            if leaves[path].storable is not None
        )

    @cached_property
    def reading(self) -> Reading:
        """How records are read under this contract and its rules."""
        return Reading(self.root, self.rules, self.rescued)

    @cached_property
    def parse_schema(self) -> pa.Schema:
        """The schema of records that were read, keys as in the JSON."""
        return pa.schema([pa.field(key, shape.parse_type) for key, shape in self.reading.root.fields.items()])

    @cached_property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """The columns as evidence names them: shown path and kind."""
        return tuple((show_path(column.path), column.shape.kind.value) for column in self.columns)

    def since(self, path: Path) -> int:
        """The contract version that added the column at `path`."""
        return (self.names or {})[path][1]

    def arrow_schema(self) -> pa.Schema:
        """The schema of a curated Parquet file: the columns, then the provenance columns."""
        return self._arrow_schema

    @cached_property
    def _arrow_schema(self) -> pa.Schema:
        return pa.schema([*(_field(column) for column in self.columns), *PROVENANCE_FIELDS])

    def grown(self, seen: Shape) -> Contract:
        """This contract with what its rules admit of `seen`, the shape of records; itself where that is nothing."""
        admission = admit(self.root, seen, self.rules)
        root = self.root.grown(admission.shape)
        rescued = tuple(dict.fromkeys([*self.rescued, *admission.rescued]))[:MOST_RESCUED]
        if root == self.root and rescued == self.rescued:
            return self
        grown = replace(self, root=root, names=self._named(root), rescued=rescued)
        if grown.columns == self.columns:
            # The same schema, not an equal one: writers begin a new file where it changes.
            grown.__dict__["_arrow_schema"] = self._arrow_schema
        return grown

    def _named(self, root: Shape) -> dict[Path, tuple[str, int]]:
        names = dict(self.names or {})
        taken = {name for name, _ in names.values()}
        for path, shape in root.leaves():
            if path not in names and shape.storable is not None:
                names[path] = (column_name(path, taken, self.rules.renamed), self.version + 1)
                taken.add(names[path][0])
        return names

    def widenings(self, seen: Shape) -> dict[Path, Shape]:
        """The columns that would have to be wider to hold what was `seen`: path → the shape that holds both."""
        root = wider(self.root, heeded(seen, self.rules))
        if root is self.root:
            return {}
        wanted = dict(root.leaves())
        return {path: wanted[path] for path, shape in self.root.leaves() if wanted[path] is not shape}

    def widened(self, paths: Iterable[Path], seen: Shape) -> Contract:
        """This contract with the columns at `paths` made wider, so that they hold what was `seen`."""
        root = self.root
        for path in paths:
            root = wider_at(root, path, seen)
        return self if root is self.root else replace(self, root=root)

    def narrower_than(self, other: Contract) -> tuple[Column, ...]:
        """The columns, as they are here, that `other` has made wider: files that hold them must be rewritten."""
        theirs = {column.path: column.type for column in other.columns}
        return tuple(
            column
            for column in self.columns
            if not column.type.equals(wider_type(column.type, theirs.get(column.path, column.type)))
        )

    def merged(self, newer: Contract) -> Contract:
        """The union of this contract, which is in force, and `newer`, which parts were written with.

        Returns this one where `newer` adds nothing; a column that is wider in `newer` is wider in the union. Raises
        `ContractMoved` where parts written with `newer` would not fit the union, because they have a narrower
        column or another type: they must be converted again with this contract.
        """
        root = wider(self.root.grown(newer.root), newer.root)
        names = dict(self.names or {})
        taken = {name for name, _ in names.values()}
        for path, (name, _) in (newer.names or {}).items():
            if path not in names and name in taken:
                raise ContractMoved(f"The column name {name} was given to another path than {show_path(path)}.")
            names.setdefault(path, (name, self.version + 1))
        union = replace(self, root=root, names=names) if root != self.root else self
        union._must_read(newer)
        return union

    def _must_read(self, written: Contract) -> None:
        if not set(self.names or {}) <= {path for path, _ in self.root.leaves()}:
            raise ContractMoved("A path that was a value became an object, or the other way round.")
        mine = {column.path: column for column in self.columns}
        for column in written.columns:
            found = mine.get(column.path)
            if found is None or found.name != column.name or not reads_as(column.shape, found.shape):
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
        return cls(data["version"], Shape.from_json(data["root"]), names or None)


def _field(column: Column) -> pa.Field:
    metadata = {"json_path": show_path(column.path)}
    if column.shape.kind is Kind.JSON:
        metadata["json"] = "true"
    return pa.field(column.name, column.type, metadata=metadata)
