"""The shape of a record as flat tables that compiled code can walk.

Every node of the shape has a number; node 0 is the record. A *scope* is what a node's values are counted by: scope 0
counts records, and each list opens a scope that counts its items. All nodes of a scope have a slot for each index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lake_pipeline.contract.shapes import MADE_FROM_TEXT, WITHOUT_COLUMN, Kind, Shape

Ints = npt.NDArray[np.int64]

KINDS = {kind: number for number, kind in enumerate(Kind)}
"""Numbers for kinds, as `scan` knows them."""

RAW, SKIPPED = 100, 101
"""Numbers for nodes of which the text is wanted as it was written, and for those of which nothing is."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Tables by node: `kind`, `scope`, `item` (the item's node, for a list) and its children's range.

    Children of a struct are `child[first[node] : first[node] + children[node]]`; the key of a child stands at
    `keys[key_start[child] : key_start[child] + key_length[child]]`.
    """

    shapes: tuple[Shape, ...]
    kind: Ints
    scope: Ints
    item: Ints
    first: Ints
    children: Ints
    child: Ints
    key_start: Ints
    key_length: Ints
    keys: npt.NDArray[np.uint8]
    scopes: int

    @property
    def tables(self) -> tuple[npt.NDArray[Any], ...]:
        """All of them, in the order in which `scan` takes them."""
        return (
            self.kind, self.scope, self.item, self.first, self.children, self.child,
            self.key_start, self.key_length, self.keys,
        )  # fmt: skip

    def children_of(self, node: int) -> list[int]:
        """The nodes of a struct's fields, in order."""
        start = int(self.first[node])
        return [int(child) for child in self.child[start : start + int(self.children[node])]]


def plan_of(root: Shape) -> Plan:
    """The plan to read records of the shape `root` (a struct)."""
    builder = _Builder()
    builder.add(root, scope=0, key="")
    return builder.build()


class _Builder:
    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.scope: list[int] = []
        self.item: list[int] = []
        self.of: list[list[int]] = []
        self.keys: list[bytes] = []
        self.scopes = 1

    def add(self, shape: Shape, *, scope: int, key: str) -> int:
        node = len(self.shapes)
        self.shapes.append(shape)
        self.scope.append(scope)
        self.keys.append(key.encode("utf-8", "surrogatepass"))
        self.item.append(-1)
        self.of.append([])
        if shape.item is not None:
            self.scopes += 1
            self.item[node] = self.add(shape.item, scope=self.scopes - 1, key="")
        for name, child in shape.fields.items():
            # Added first and appended then: a child adds its own children before it is known here.
            added = self.add(child, scope=scope, key=name)
            self.of[node].append(added)
        return node

    def build(self) -> Plan:
        counts = [len(children) for children in self.of]
        lengths = [len(key) for key in self.keys]
        return Plan(
            shapes=tuple(self.shapes),
            kind=np.array([_kind(shape, scope) for shape, scope in zip(self.shapes, self.scope, strict=True)]),
            scope=np.array(self.scope, dtype=np.int64),
            item=np.array(self.item, dtype=np.int64),
            first=_starts(counts),
            children=np.array(counts, dtype=np.int64),
            child=np.array([child for children in self.of for child in children], dtype=np.int64),
            key_start=_starts(lengths),
            key_length=np.array(lengths, dtype=np.int64),
            keys=np.frombuffer(b"".join(self.keys) + b"\0", dtype=np.uint8),
            scopes=self.scopes,
        )


def _kind(shape: Shape, scope: int) -> int:
    """Inside a list, what has no type yet may only be null: an empty list there would be nowhere to be found."""
    # What is excluded too: its text may still tell the day or the mode of a record.
    if shape.kind in MADE_FROM_TEXT or shape.kind in WITHOUT_COLUMN:
        return RAW
    untyped = scope > 0 and shape.storable is None
    return KINDS[Kind.NULL if untyped else shape.kind]


def _starts(lengths: list[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
