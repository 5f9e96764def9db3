"""The shape of a record as flat tables that compiled code can walk.

Every node of the shape has a number; node 0 is the record. A *scope* is what a node's values are counted by: scope 0
counts records, and each list opens a scope that counts its items. All nodes of a scope have a slot for each index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lake_pipeline.contract.reading import Reading
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, WITHOUT_COLUMN, Kind, Shape
from lake_pipeline.convert.native.layout import (
    AS_BITS,
    AS_LIST,
    AS_NOTHING,
    AS_NUMBERS,
    AS_STRUCT,
    AS_TEXTS,
    BOOL,
    CHILDREN,
    DOUBLE,
    FIRST,
    INT,
    ITEM,
    KEY_LENGTH,
    KEY_START,
    KIND,
    LIST,
    NARROW,
    NODE_FIELDS,
    RAW,
    SCOPE,
    STRING,
    STRUCT,
    UNTYPED,
)

Ints = npt.NDArray[np.int64]

_KINDS = {
    Kind.NULL: UNTYPED,
    Kind.BOOL: BOOL,
    Kind.INT: INT,
    Kind.DOUBLE: DOUBLE,
    Kind.STRING: STRING,
    Kind.LIST: LIST,
    Kind.STRUCT: STRUCT,
} | dict.fromkeys(MADE_FROM_TEXT | WITHOUT_COLUMN, RAW)
"""What compiled code calls them. What has no column is read too: its text may still tell the day or the mode."""

_FORMS = {
    Kind.NULL: AS_NOTHING,
    Kind.BOOL: AS_BITS,
    Kind.INT: AS_NUMBERS,
    Kind.DOUBLE: AS_NUMBERS,
    Kind.LIST: AS_LIST,
    Kind.STRUCT: AS_STRUCT,
}
"""As what they are gathered; all others as text."""

_NEVER_PLAIN = re.compile(rb'["\\\x00-\x1f]')
"""What a key may hold only as an escape; a key that is written with one is set aside."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Tables by node. `nodes`, of shape (nodes, `NODE_FIELDS`), has of each:

    its `KIND`, the `SCOPE` its values are counted by, the node of its `ITEM` where it is a list, and where it is a
    struct its children, `child[FIRST : FIRST + CHILDREN]`. Its key stands, with the quote that closes it, at
    `keys[KEY_START : KEY_START + KEY_LENGTH]`. `BASE`, its first slot, is for `Slots` to fill in.

    `forms` says as what it is gathered, and `inside` are the node and all in its structs, which are of its scope.
    """

    shapes: tuple[Shape, ...]
    nodes: Ints
    child: Ints
    keys: npt.NDArray[np.uint8]
    scopes: int
    forms: Ints
    inside: tuple[tuple[int, ...], ...]

    @property
    def scope(self) -> Ints:
        """The scope of each node."""
        return self.nodes[:, SCOPE]

    def item_of(self, node: int) -> int:
        """The node of a list's items."""
        return int(self.nodes[node, ITEM])

    def children_of(self, node: int) -> list[int]:
        """The nodes of a struct's fields, in order."""
        start = int(self.nodes[node, FIRST])
        return [int(child) for child in self.child[start : start + int(self.nodes[node, CHILDREN])]]


@lru_cache(maxsize=16)
def plan_of(reading: Reading) -> Plan:
    """The plan to read records as `reading` has them; made once (a millisecond for 160 fields), not for each block."""
    builder = _Builder()
    builder.add(reading.root, scope=0, key="")
    return builder.build()


class _Builder:
    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.scope: list[int] = []
        self.item: list[int] = []
        self.of: list[list[int]] = []
        self.keys: list[str] = []
        self.scopes = 1

    def add(self, shape: Shape, *, scope: int, key: str) -> int:
        node = len(self.shapes)
        self.shapes.append(shape)
        self.scope.append(scope)
        self.keys.append(key)
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
        keys = [_quoted(key) for key in self.keys]
        lengths = [len(key) for key in keys]
        nodes = np.zeros((len(self.shapes), NODE_FIELDS), dtype=np.int64)
        nodes[:, KIND] = [_kind(shape, scope) for shape, scope in zip(self.shapes, self.scope, strict=True)]
        nodes[:, SCOPE] = self.scope
        nodes[:, ITEM] = self.item
        nodes[:, FIRST] = _starts(counts)
        nodes[:, CHILDREN] = counts
        nodes[:, KEY_START] = _starts(lengths)
        nodes[:, KEY_LENGTH] = lengths
        return Plan(
            shapes=tuple(self.shapes),
            nodes=nodes,
            child=np.array([child for children in self.of for child in children], dtype=np.int64),
            keys=np.frombuffer(b"".join(keys) + bytes(NARROW), dtype=np.uint8),
            scopes=self.scopes,
            forms=np.array([_FORMS.get(shape.kind, AS_TEXTS) for shape in self.shapes], dtype=np.int64),
            inside=tuple(tuple(self._inside(node)) for node in range(len(self.shapes))),
        )

    def _inside(self, node: int) -> Iterator[int]:
        yield node
        for child in self.of[node]:
            yield from self._inside(child)


def _quoted(key: str) -> bytes:
    """The key as it stands in a text, with the quote behind it; nothing where it stands there in other ways only."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return b""
    return b"" if _NEVER_PLAIN.search(encoded) else encoded + b'"'


def _kind(shape: Shape, scope: int) -> int:
    """Inside a list, what has no type yet may only be null: an empty list there would be nowhere to be found."""
    untyped = scope > 0 and _KINDS[shape.kind] != RAW and shape.storable is None
    return UNTYPED if untyped else _KINDS[shape.kind]


def _starts(lengths: list[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
