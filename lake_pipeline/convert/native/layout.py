"""Data layout that machine code and its callers share: rows of tables, and numbers for kinds and states.

A table is an array of 64-bit integers. A `NamedTuple` declares the fields of a row. The constant of the same name in
capitals has the index of each field as its value: `NODE.scope` is 1. Machine code reads field `NODE.scope` at an
address, and Python turns a whole row into `Node(*row)`. numba compiles both, and the enums, to plain constants.

No code that depends on numba belongs here: callers read this module without a compiler.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeVar

VECTOR_BYTES = 32
"""Bytes that are loaded, compared or copied at once. Buffers have as many spare bytes, or a loop stops earlier."""

KEY_VECTOR_BYTES = 16
"""Bytes of a key that are compared at once. The table of keys has as many spare bytes after its end."""

MAX_DEPTH = 256
"""Containers that may be open at once. A line with more is rejected."""

Row = TypeVar("Row", bound=NamedTuple)


def _indexes(row: type[Row]) -> Row:
    """A row with the index of each field as its value."""
    return row._make(range(len(row._fields)))


class SlotState(IntEnum):
    """What the scan found for a slot. Memory that is zeroed is `UNSEEN`."""

    UNSEEN = 0
    PRESENT = 1
    NULL = 2


class ValueKind(IntEnum):
    """What a node accepts. `UNTYPED` accepts null only. `RAW` accepts any value and keeps its text."""

    UNTYPED = 0
    BOOL = 1
    INT = 2
    DOUBLE = 3
    STRING = 4
    LIST = 5
    STRUCT = 6
    RAW = 7


class Node(NamedTuple):
    """A node of a plan. Its 64 bytes fill one cache line, because the scan reads most of them for each value.

    Children of a struct are `children[first_child : first_child + child_count]`. The key, with its closing quote, is
    `keys[key_start : key_start + key_length]`. A list has the node of its items as `item`.
    """

    kind: int
    scope: int
    item: int
    first_child: int
    child_count: int
    key_start: int
    key_length: int
    first_slot: int


class Scan(NamedTuple):
    """Input and output of a scan. All but `size`, `node_count` and `scope_count` are addresses.

    `text` has `size` bytes. `nodes`, `children` and `keys` are tables of the plan. `states` and `cells` have one item
    per slot, `capacity` and `counts` one per scope: its slots, and those in use. `rows` and `rejected` receive line
    numbers. `progress` is a `Progress`, and `scratch` has room for `scratch_size` integers.
    """

    text: int
    size: int
    nodes: int
    node_count: int
    children: int
    keys: int
    states: int
    cells: int
    scope_count: int
    capacity: int
    counts: int
    rows: int
    rejected: int
    progress: int
    scratch: int


class Progress(NamedTuple):
    """How far a scan has come: the next byte and line, rows and rejected lines so far, and the scope that is full."""

    offset: int
    line: int
    rows: int
    rejected: int
    full_scope: int


class ScanStatus(IntEnum):
    """Why a scan returned. After `FULL` the caller adds slots to a scope and calls again."""

    DONE = 0
    FULL = 1


class Scratch(NamedTuple):
    """Parts of a scan's scratch memory. The first three are a stack of open containers: node, index, next position.

    `open_objects` is the stack of a raw value. `saved_counts` has the counts of all scopes at the start of the line.
    """

    nodes: int
    indexes: int
    positions: int
    open_objects: int
    saved_counts: int


NODE, SCAN, PROGRESS = _indexes(Node), _indexes(Scan), _indexes(Progress)
SCRATCH = Scratch(*(MAX_DEPTH * part for part in range(len(Scratch._fields))))
"""Where each part begins, in 64-bit integers."""


def scratch_size(scope_count: int) -> int:
    """The 64-bit integers of a scan's scratch memory."""
    return SCRATCH.saved_counts + scope_count


class GatherForm(IntEnum):
    """Which buffers of a node are gathered, besides the validity bitmap. `NONE` has none at all."""

    NONE = 0
    STRUCT = 1
    BITS = 2
    INT64 = 3
    STRING = 4
    LIST = 5


class Gather(NamedTuple):
    """A node to gather: its form, its first slot and its slots in use, then where each buffer begins.

    `size` is the number of bytes of all strings, or of items of all lists. `present` is the number of values that are
    not null. Machine code fills in both.
    """

    form: int
    first_slot: int
    used_slots: int
    validity: int
    values: int
    data: int
    size: int
    present: int


GATHER = _indexes(Gather)
GATHER_BYTES = 8 * len(GATHER)

NO_DICTIONARY = -1
"""The size of a dictionary if values do not repeat or are too many."""

MAX_DICTIONARY_VALUES = 1 << 17

MIN_HASH_SLOTS, MAX_HASH_SLOTS = 1 << 12, 4 * MAX_DICTIONARY_VALUES
"""Slots of a dictionary's hash table at first, and at most. At most half of them are used."""

PAGE_ROWS = 20_000
"""The most rows of a page."""

PAGE_BYTES = 1 << 20
"""A page ends after this many bytes before compression. It is also the largest size of a dictionary."""

MAX_BOUND_BYTES = 64
"""The longest string that is written as a bound. Longer ones would fill footers, and no query filters on them."""


class PageEncoding(IntEnum):
    """How a page stores its values: PLAIN, booleans packed into bits, or codes of a dictionary."""

    PLAIN = 0
    BIT_PACKED = 1
    DICTIONARY = 2


class ValueForm(IntEnum):
    """How values of a leaf are stored in Arrow arrays, which decides how they are copied, compared and encoded."""

    NONE = 0
    BOOL = 1
    INT32 = 2
    INT64 = 3
    DOUBLE = 4
    BYTES = 5
    DECIMAL = 6


class Leaf(NamedTuple):
    """A leaf: its form, bytes per value (0 if they vary), the definition level of a value, and bits per level.

    `column` is its position in the record batch.
    """

    form: int
    width: int
    max_def: int
    rep_bits: int
    def_bits: int
    is_nested: int
    nullable: int
    column: int


class Entries(NamedTuple):
    """The entries of a leaf: the table of its arrays, counts, and addresses of levels and positions (0 if not needed).

    `picks` are the positions of values that are not null, `ends` the number of them up to the end of each slice.
    """

    arrays: int
    slices: int
    rows: int
    entry_count: int
    values: int
    max_def: int
    reps: int
    defs: int
    picks: int
    ends: int


class Span(NamedTuple):
    """Rows of a record batch: the address of its `ArrowArray`, the first row and the number of rows."""

    batch: int
    start: int
    row_count: int


class ArrowArray(NamedTuple):
    """The struct `ArrowArray` of Arrow's C data interface.

    A column without a dictionary may be sparse: then its array has only the values that are not null, and `dictionary`
    is the address of their rows, 32-bit integers in order. In a slice of it, `release` is the number of rows of the
    slice, and `private_data` the first of them.
    """

    length: int
    null_count: int
    offset: int
    buffer_count: int
    child_count: int
    buffers: int
    children: int
    dictionary: int
    release: int
    private_data: int


class Sparse(NamedTuple):
    """A flat column to be stored sparsely: its `ValueForm`, or -1 to leave it out; its values and their bytes.

    `rows`, `buffer` and `data` are addresses of the copy: rows of values, values or offsets, and bytes of strings.
    """

    form: int
    values: int
    size: int
    rows: int
    buffer: int
    data: int


class Buffers(NamedTuple):
    """Addresses of the memory that encoding works in."""

    values: int
    hash_table: int
    hashes: int
    dictionary_offsets: int
    codes: int
    page_ends: int
    defs: int
    picks: int
    ends: int
    arrays: int
    structs: int
    entries: int
    bounds: int


class PageEnd(NamedTuple):
    """Where a page ends: its entry, value, byte (of strings) and row."""

    entry: int
    value: int
    byte: int
    row: int


class Chunk(NamedTuple):
    """An encoded column chunk: its entries; values (0 without one), offset and size of its dictionary; its pages."""

    entry_count: int
    distinct: int
    dictionary: int
    dictionary_size: int
    pages: int


class Page(NamedTuple):
    """An encoded page: offset and size; entries, values and rows; the offset of its bounds, the smaller one first.

    The sizes of the bounds are -1 if there are none.
    """

    offset: int
    size: int
    entry_count: int
    values: int
    rows: int
    bounds: int
    low_size: int
    high_size: int


LEAF, ENTRIES, SPAN, ARRAY = _indexes(Leaf), _indexes(Entries), _indexes(Span), _indexes(ArrowArray)
BUFFERS, PAGE_END, CHUNK, PAGE = _indexes(Buffers), _indexes(PageEnd), _indexes(Chunk), _indexes(Page)
SPARSE = _indexes(Sparse)
SPARSE_BYTES = 8 * len(SPARSE)

LEAF_BYTES, ENTRIES_BYTES, SPAN_BYTES, ARRAY_BYTES = 8 * len(LEAF), 8 * len(ENTRIES), 8 * len(SPAN), 8 * len(ARRAY)
PAGE_END_BYTES, CHUNK_BYTES, PAGE_ROW_BYTES = 8 * len(PAGE_END), 8 * len(CHUNK), 8 * len(PAGE)
