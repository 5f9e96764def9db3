"""The contract: the columns of the curated table, their types and the JSON paths they come from.

A contract is an immutable value; evolution returns a new one. The ledger stores each version and decides, by
compare-and-set, which one is current.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lake_pipeline.contract.admission import MAX_RESCUED, admit, evolvable
from lake_pipeline.contract.compatibility import reads_as
from lake_pipeline.contract.naming import column_name
from lake_pipeline.contract.parser_rules import ParserRules
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.rules import Rules
from lake_pipeline.contract.shapes import EMPTY, Kind, Shape
from lake_pipeline.contract.widening import wider, wider_at, wider_type
from lake_pipeline.errors import ContractMoved, SettingsError

if TYPE_CHECKING:
    # See shapes.
    import pyarrow as pa


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

    Version 0 was never stored. `rules` control evolution, and `rescued` are fields that got no column since the
    contract was loaded; neither is stored.
    """

    version: int = 0
    root: Shape = EMPTY
    names: Mapping[Path, tuple[str, int]] | None = None
    rules: Rules = field(default_factory=Rules, compare=False)
    rescued: tuple[Path, ...] = field(default=(), compare=False)

    def with_rules(self, rules: Rules) -> Contract:
        """This contract with `rules` for its further evolution.

        Raises `SettingsError` if they exclude a part of a column that is stored as JSON text.
        """
        for path in rules.excluded:
            for size in range(1, len(path)):
                outer = self.root.at(path[:size])
                if outer is not None and outer.kind is Kind.JSON:
                    raise SettingsError(
                        "LAKE_CONTRACT_FILE",
                        f"paths.{show_path(path)!r} can't be excluded: the contract has {show_path(path[:size])} "
                        "as a JSON column; exclude that column",
                    )
        root = self.root
        for path, rule in rules.paths.items():
            current = root.at(path)
            is_string = current is not None and current.kind is Kind.STRING
            if is_string and rule.pin is not None and rule.pin.kind is Kind.TEXT:
                # The same column, which accepts numbers too from now on: at once, not with the first number.
                root = root.overlaid(path, rule.pin)
        return replace(self, root=root, rules=rules, rescued=())

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The typed columns in order of appearance. Paths without any value so far have none."""
        names = self.names or {}
        leaves = dict(self.root.leaves())
        return tuple(
            Column(name=name, path=path, shape=leaves[path], since=since)
            for path, (name, since) in names.items()
            if leaves[path].storable is not None
        )

    @cached_property
    def parser_rules(self) -> ParserRules:
        """How parsers read records under this contract and its rules."""
        return ParserRules(self.root, self.rules, self.rescued)

    @cached_property
    def parse_schema(self) -> pa.Schema:
        """The schema of parsed records, with the keys of the JSON."""
        import pyarrow as pa

        return pa.schema([pa.field(key, shape.parse_type) for key, shape in self.parser_rules.root.fields.items()])

    @cached_property
    def evidence_keys(self) -> tuple[tuple[str, str], ...]:
        """The keys of the columns in evidence: path as text and kind."""
        return tuple((show_path(column.path), column.shape.kind.value) for column in self.columns)

    def since(self, path: Path) -> int:
        """The contract version that added the column at `path`."""
        return (self.names or {})[path][1]

    def arrow_schema(self) -> pa.Schema:
        """The schema of a curated Parquet file: the columns, then the provenance columns."""
        return self._arrow_schema

    @cached_property
    def _arrow_schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([*(_field(column) for column in self.columns), *_provenance_fields()])

    def evolved(self, seen: Shape) -> Contract:
        """This contract with the parts of `seen` that its rules admit; itself if there are none."""
        admission = admit(self.root, seen, self.rules)
        root = self.root.evolved(admission.shape)
        rescued = tuple(dict.fromkeys([*self.rescued, *admission.rescued]))[:MAX_RESCUED]
        if root == self.root and rescued == self.rescued:
            return self
        evolved = replace(self, root=root, names=self._named(root), rescued=rescued)
        if evolved.columns == self.columns:
            # The same schema object, not an equal one: writers start a new file if it changes.
            evolved.__dict__["_arrow_schema"] = self._arrow_schema
        return evolved

    def _named(self, root: Shape) -> dict[Path, tuple[str, int]]:
        names = dict(self.names or {})
        taken = {name for name, _ in names.values()}
        for path, shape in root.leaves():
            if path not in names and shape.storable is not None:
                names[path] = (column_name(path, taken, self.rules.renamed), self.version + 1)
                taken.add(names[path][0])
        return names

    def widenings(self, seen: Shape) -> dict[Path, Shape]:
        """The columns that must be widened to hold `seen`: path → the shape that holds both."""
        root = wider(self.root, evolvable(seen, self.rules))
        if root is self.root:
            return {}
        shapes = dict(root.leaves())
        return {path: shapes[path] for path, shape in self.root.leaves() if shapes[path] is not shape}

    def widened(self, paths: Iterable[Path], seen: Shape) -> Contract:
        """This contract with the columns at `paths` widened to hold `seen`."""
        root = self.root
        for path in paths:
            root = wider_at(root, path, seen)
        return self if root is self.root else replace(self, root=root)

    def narrower_than(self, other: Contract) -> tuple[Column, ...]:
        """The columns of this contract that are wider in `other`: files that have them must be rewritten."""
        types = {column.path: column.type for column in other.columns}
        return tuple(
            column
            for column in self.columns
            if not column.type.equals(wider_type(column.type, types.get(column.path, column.type)))
        )

    def merged(self, newer: Contract) -> Contract:
        """The union of this contract, which is current, and `newer`, with which data files were written.

        Returns this contract if `newer` adds nothing. A column that is wider in `newer` is wider in the union. Raises
        `ContractMoved` if files written with `newer` would not fit the union, because a column is narrower or has
        another type: they must be converted again with this contract.
        """
        root = wider(self.root.evolved(newer.root), newer.root)
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
            raise ContractMoved("A path changed from a value to an object, or from an object to a value.")
        columns = {column.path: column for column in self.columns}
        for column in written.columns:
            own_column = columns.get(column.path)
            if own_column is None or own_column.name != column.name or not reads_as(column.shape, own_column.shape):
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


def _provenance_fields() -> tuple[pa.Field, ...]:
    """`_rescued`: JSON text, path → value, of values that fit no column; `_record`: index in the file, from 0."""
    import pyarrow as pa

    return (
        pa.field("_rescued", pa.string()),
        pa.field("_file_id", pa.int64(), nullable=False),
        pa.field("_record", pa.int64(), nullable=False),
        pa.field("_batch_id", pa.string(), nullable=False),
    )


def _field(column: Column) -> pa.Field:
    import pyarrow as pa

    metadata = {"json_path": show_path(column.path)}
    if column.shape.kind is Kind.JSON:
        metadata["json"] = "true"
    return pa.field(column.name, column.type, metadata=metadata)
