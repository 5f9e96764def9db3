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


def scratch_size(scopes: int) -> int:
    """The numbers of 64 bits that a scan works in."""
    return BEFORE + scopes
