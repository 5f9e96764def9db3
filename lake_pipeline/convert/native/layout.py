"""What compiled code and its callers agree on: numbers for kinds and states, and how their tables are laid out.

Plain numbers and nothing else: compiled code freezes them, and those who call it read them without a compiler.
"""

from __future__ import annotations

WIDE = 32
"""Bytes that are looked at or copied at a time, and that must be there."""

NARROW = 16
"""Bytes that are compared at a time, and that must be there on both sides."""

MAX_DEPTH = 256
"""Containers open at a time; what is deeper is not scanned."""

UNSEEN, PRESENT, NULL = 0, 1, 2
"""What `seen` says of a slot."""

UNTYPED, BOOL, INT, DOUBLE, STRING, LIST, STRUCT, RAW = range(8)
"""Kinds of nodes. The value of one that is `UNTYPED` may only be null; of one that is `RAW`, the text is wanted as it
was written."""

KIND, SCOPE, ITEM, FIRST, CHILDREN, KEY_START, KEY_LENGTH, BASE = range(8)
NODE_FIELDS = 8
"""The columns of the table of nodes. A node is 64 bytes, so that all that is asked of it stands in one cache line."""

AT, LINE, ROWS, ASIDE, FULL_SCOPE = range(5)
PROGRESS_FIELDS = 5
"""How far a scan came: the byte, the line, the rows taken, the lines set aside, and the scope that is full."""

DONE, FULL = 0, 1
"""Why a scan came back: the text is done, or a scope is full."""

OUTER_NODE, OUTER_INDEX, OUTER_NEXT, OPEN_OBJECTS = (MAX_DEPTH * part for part in range(4))
BEFORE = 4 * MAX_DEPTH
"""Where the parts of the memory stand that a scan works in, in numbers of 64 bits. The last part has one number for
each scope."""

AS_NOTHING, AS_STRUCT, AS_BITS, AS_NUMBERS, AS_TEXTS, AS_LIST = range(6)
"""What is gathered of a node, besides which of its values are there."""

GATHER_FORM, GATHER_FIRST, GATHER_USED, GATHER_BITS, GATHER_VALUES, GATHER_DATA, GATHER_SIZE, GATHER_PRESENT = range(8)
GATHER_FIELDS = 8
"""Of a node that is gathered: what of it, its first slot, its slots in use; where its bitmap and its numbers or offsets
are written, and where the bytes or items these offsets tell of; how many of those there are, and values."""

GIVEN_UP = -1
"""What is answered instead of the size of a dictionary where values do not repeat, or are too many."""

LARGEST = 1 << 17
"""Distinct values of a dictionary at most."""

SMALLEST_TABLE, LARGEST_TABLE = 1 << 12, 4 * LARGEST
"""Slots of the hash table of a dictionary at first, and at most: never more than half of them are taken."""

PLAIN_BYTES, PACKED, CODES = 0, 1, 2
"""How a page has its values: as they stand, packed into bits (booleans), or as codes of a dictionary."""

CUT_FIELDS = 4
"""Of a page's end: its entry, its value, the byte of that value if it is a text, and its row."""

PAGE_ROWS = 20_000
"""Rows of a page at most."""

PAGE_BYTES = 1 << 20
"""Bytes of a page, before compression, that are enough; and those of a dictionary at most."""

LONGEST_BOUND = 64
"""Bytes of a text that is a bound. Longer ones would fill footers, and nobody asks for a range of them."""

NOTHING, BITS, INTS, LONGS, DOUBLES, TEXTS, DECIMALS = range(7)
"""How the values of a leaf stand in memory, and with that how they are taken, compared and encoded."""

LEAF_FORM, LEAF_WIDTH, LEAF_TOP, LEAF_REP_WIDTH, LEAF_DEF_WIDTH, LEAF_IS_NESTED, LEAF_NULLABLE, LEAF_COLUMN = range(8)
LEAF_FIELDS = 8
"""Of a leaf: its form, the bytes of a value (0 where they differ), the definition level of a value, the bits of its
levels, whether it stands in a list or struct, whether it may be null, and which column of the table it is."""

(
    OF_ARRAYS, OF_SLICES, OF_ROWS, OF_COUNT, OF_VALUES, OF_TOP, OF_REPS, OF_DEFS, OF_PICKS, OF_ENDS,
) = range(10)  # fmt: skip
ENTRY_FIELDS = 10
"""Of the entries of a leaf, see `convert.parquet.levels`."""

SPAN_BATCH, SPAN_START, SPAN_COUNT = range(3)
SPAN_FIELDS = 3
"""Of some rows of a record batch: the address of its struct, the first of the rows and how many there are."""

ARRAY_FIELDS = 10
"""Numbers of 64 bits in the struct of an array."""

(
    IN_VALUES, IN_TABLE, IN_HASHES, IN_PLACES, IN_CODES, IN_CUTS, IN_DEFS, IN_PICKS, IN_ENDS, IN_ARRAYS, IN_STRUCTS,
    IN_ENTRIES, IN_BOUNDS,
) = range(13)  # fmt: skip
ROOM_FIELDS = 13
"""Rooms to encode in."""

CHUNK_COUNT, CHUNK_DISTINCT, CHUNK_DICTIONARY, CHUNK_DICTIONARY_SIZE, CHUNK_PAGES = range(5)
CHUNK_FIELDS = 5
"""Of a column chunk: its entries, the values of its dictionary (0 without one), where that stands and its bytes, and
how many pages there are."""

PAGE_AT, PAGE_SIZE, PAGE_COUNT, PAGE_VALUES, PAGE_ROW_COUNT, PAGE_BOUNDS, PAGE_LOW_SIZE, PAGE_HIGH_SIZE = range(8)
PAGE_FIELDS = 8
"""Of a page: where it stands and its bytes, its entries, values and rows, and where its bounds stand, one behind the
other (sizes of -1 where there are none)."""


def scratch_size(scopes: int) -> int:
    """The numbers of 64 bits that a scan works in."""
    return BEFORE + scopes
