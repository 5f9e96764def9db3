"""The scan: one pass over JSON lines that leaves every value in the slot of its node and index.

It is strict: a line is read completely and exactly, or rejected completely. It rejects text that is not JSON, a key
that is unknown or repeated, a value of another kind than its node, and a value that its column would not store exactly.
It allocates nothing. If a scope runs out of slots, the caller adds some and the scan resumes with the same line.

What a cell contains depends on the kind of its node. INT: the number. DOUBLE: its bits. BOOL: 0 or 1. LIST: the number
of items. STRING: the start (32 bits), the bytes of the decoded string (31 bits), and the sign if it has escapes. RAW:
start and length of the value's text.

The next key is nearly always the next field of the contract, because records of one source have one order of keys.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import (
    KEY_VECTOR_BYTES,
    MAX_DEPTH,
    NODE,
    PROGRESS,
    SCAN,
    SCRATCH,
    VECTOR_BYTES,
    Scan,
    ScanStatus,
    SlotState,
    ValueKind,
)
from lake_pipeline.convert.native.source.ascii import (
    CLOSE_BRACE,
    CLOSE_BRACKET,
    COLON,
    COMMA,
    LOWER_F,
    LOWER_N,
    LOWER_T,
    MINUS,
    NEWLINE,
    NINE,
    OPEN_BRACE,
    OPEN_BRACKET,
    QUOTE,
    ZERO,
)
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    differing_bits,
    load_byte,
    load_int64,
    store_byte,
    store_int64,
)
from lake_pipeline.convert.native.source.json_values import (
    is_false,
    is_null,
    is_true,
    read_number,
    read_string,
    skip_blanks,
    skip_value,
)

_HAS_ESCAPES = np.int64(-(2**63))
_NODE_SIZE = len(NODE)


@compiled
def scan(arguments):
    """Scan whole lines from where `progress` says, until the end of the text or a full scope; see `layout.Scan`."""
    s = _load_arguments(arguments)
    at, line = load_int64(s.progress, PROGRESS.offset), load_int64(s.progress, PROGRESS.line)
    row, rejected = load_int64(s.progress, PROGRESS.rows), load_int64(s.progress, PROGRESS.rejected)
    while at < s.size:
        _save_counts(s)
        end, full_scope = _scan_record(s, skip_blanks(s.text, at), row)
        if end >= 0:
            store_int64(s.rows, row, line)
            row += 1
            at = end + 1
        else:
            _undo_line(s, row)
            if full_scope >= 0:
                _store_progress(s, at, line, row, rejected)
                store_int64(s.progress, PROGRESS.full_scope, full_scope)
                return ScanStatus.FULL
            store_int64(s.rejected, rejected, line)
            rejected += 1
            at = _line_end(s.text, at) + 1
        line += 1
    _store_progress(s, at, line, row, rejected)
    return ScanStatus.DONE


@inlined
def _scan_record(s, at, row):
    """Scan the object at `at` into index `row`: (its newline or -1 if the line is rejected, the full scope or -1)."""
    if load_byte(s.text, at) != OPEN_BRACE:
        return -1, -1
    at = skip_blanks(s.text, at + 1)
    # The open container: its node, the index of its value, and its next position. That is the expected field of a
    # struct, or the first item of a list.
    container, index, position, is_struct = 0, row, 0, True
    first, field_count = _fields(s, container)
    depth = 0
    is_empty = load_byte(s.text, at) == CLOSE_BRACE
    while True:
        if not is_empty:
            if is_struct:
                position, at = _match_key(s, at, first, field_count, position)
                if position < 0:
                    return -1, -1
                node, value_index = load_int64(s.children, first + position), index
                position += 1
            else:
                node = _field(s, container, NODE.item)
                value_index = _add_item(s, node)
                if value_index < 0:
                    return -1, _field(s, node, NODE.scope)
            slot = _field(s, node, NODE.first_slot) + value_index
            if is_struct and load_byte(s.states, slot) != SlotState.UNSEEN:
                return -1, -1  # the key is repeated
            kind, byte = _field(s, node, NODE.kind), load_byte(s.text, at)
            if (byte == OPEN_BRACE or byte == OPEN_BRACKET) and kind != ValueKind.RAW:
                expected_kind = ValueKind.STRUCT if byte == OPEN_BRACE else ValueKind.LIST
                if kind != expected_kind or depth + 1 >= MAX_DEPTH:
                    return -1, -1
                store_byte(s.states, slot, SlotState.PRESENT)
                _push(s, depth, container, index, position)
                depth += 1
                container, index, is_struct = node, value_index, byte == OPEN_BRACE
                first, field_count = _fields(s, node)
                position = 0 if is_struct else _item_count(s, node)
                at = skip_blanks(s.text, at + 1)
                # In ASCII, the closing bracket of each kind is the opening one plus 2.
                is_empty = load_byte(s.text, at) == byte + 2
                continue
            at = _scan_scalar(s, at, kind, slot, depth)
            if at < 0:
                return -1, -1
            at = skip_blanks(s.text, at)
        is_empty = False
        while load_byte(s.text, at) != COMMA:
            if load_byte(s.text, at) != (CLOSE_BRACE if is_struct else CLOSE_BRACKET):
                return -1, -1
            if not is_struct:
                _store_item_count(s, container, index, position)
            depth -= 1
            if depth < 0:
                at = skip_blanks(s.text, at + 1)
                return at if load_byte(s.text, at) == NEWLINE else -1, -1
            container, index, position, is_struct = _pop(s, depth)
            first, field_count = _fields(s, container)
            at = skip_blanks(s.text, at + 1)
        at = skip_blanks(s.text, at + 1)


@inlined
def _scan_scalar(s, at, kind, slot, depth):
    """Store the value at `at`, anything but an object or array unless `kind` is RAW: the offset after it, or -1."""
    byte = load_byte(s.text, at)
    if kind == ValueKind.RAW and byte != LOWER_N:
        end = skip_value(s.text, at, s.size - VECTOR_BYTES, depth + 1, s.scratch + 8 * SCRATCH.open_objects)
        return _store(s, slot, at | ((end - at) << 32), end)
    if byte == QUOTE:
        if kind != ValueKind.STRING:
            return -1
        end, length, has_escapes = read_string(s.text, at + 1, s.size - VECTOR_BYTES)
        return _store(s, slot, (at + 1) | (length << 32) | (_HAS_ESCAPES if has_escapes else 0), end)
    if byte == MINUS or ZERO <= byte <= NINE:
        if kind != ValueKind.INT and kind != ValueKind.DOUBLE:
            return -1
        end, value = read_number(s.text, at, s.size - VECTOR_BYTES, kind == ValueKind.DOUBLE)
        return _store(s, slot, value, end)
    if byte == LOWER_N and is_null(s.text, at):
        store_byte(s.states, slot, SlotState.NULL)
        return at + 4
    if kind != ValueKind.BOOL:
        return -1
    if byte == LOWER_T and is_true(s.text, at):
        return _store(s, slot, 1, at + 4)
    if byte == LOWER_F and is_false(s.text, at):
        return _store(s, slot, 0, at + 5)
    return -1


@inlined
def _store(s, slot, cell, end):
    """Store a value that ends at `end`, unless that is -1. Returns `end`."""
    if end >= 0:
        store_int64(s.cells, slot, cell)
        store_byte(s.states, slot, SlotState.PRESENT)
    return end


@inlined
def _match_key(s, at, first, field_count, expected):
    """Match the key at `at` against the fields of a struct: (position of the field or -1, offset of its value)."""
    if load_byte(s.text, at) != QUOTE:
        return -1, at
    at += 1
    if expected < field_count and _is_key(s, at, load_int64(s.children, first + expected)):
        position = expected
    elif expected + 1 < field_count and _is_key(s, at, load_int64(s.children, first + expected + 1)):
        position = expected + 1
    else:
        position = _find_key(
            s.text, at, s.size - VECTOR_BYTES, s.nodes, s.children, s.keys, first, field_count, expected + 2
        )
        if position < 0:
            return -1, at
    at = skip_blanks(s.text, at + _field(s, load_int64(s.children, first + position), NODE.key_length))
    if load_byte(s.text, at) != COLON:
        return -1, at
    return position, skip_blanks(s.text, at + 1)


@inlined
def _is_key(s, at, node):
    return _equals_key(s.text, at, s.size - VECTOR_BYTES, s.nodes, node, s.keys)


@inlined
def _equals_key(text, at, limit, nodes, node, keys):
    """Whether the key of `node`, with its closing quote, is at `at`."""
    start = load_int64(nodes, node * _NODE_SIZE + NODE.key_start)
    length = load_int64(nodes, node * _NODE_SIZE + NODE.key_length)
    offset = 0
    while at + offset <= limit:
        differing = differing_bits(text, at + offset, keys, start + offset)
        if length - offset <= KEY_VECTOR_BYTES:
            mask = (np.uint64(1) << np.uint64(length - offset)) - np.uint64(1)
            return length > 0 and differing & mask == 0
        if differing:
            return False
        offset += KEY_VECTOR_BYTES
    for rest in range(offset, length):
        if load_byte(text, at + rest) != load_byte(keys, start + rest):
            return False
    return length > 0


@compiled
def _find_key(text, at, limit, nodes, children, keys, first, field_count, guess):
    """The position of the field whose key is at `at`, beginning at `guess`; -1 if there is none."""
    for step in range(field_count):
        position = guess + step
        while position >= field_count:
            position -= field_count
        if _equals_key(text, at, limit, nodes, load_int64(children, first + position), keys):
            return position
    return -1


@inlined
def _add_item(s, node):
    """The index of a new item of a list; -1 if its scope is full."""
    scope = _field(s, node, NODE.scope)
    index = load_int64(s.counts, scope)
    if index >= load_int64(s.capacity, scope):
        return -1
    store_int64(s.counts, scope, index + 1)
    return index


@inlined
def _item_count(s, container):
    """The items in the scope of a list so far, those of other lists included."""
    return load_int64(s.counts, _field(s, _field(s, container, NODE.item), NODE.scope))


@inlined
def _store_item_count(s, node, index, first_item):
    """Store the items of a list that is complete. Its first item is `first_item` of their scope."""
    store_int64(s.cells, _field(s, node, NODE.first_slot) + index, _item_count(s, node) - first_item)


@inlined
def _fields(s, node):
    """The fields of a struct: (the first in the table of children, the number of them)."""
    return _field(s, node, NODE.first_child), _field(s, node, NODE.child_count)


@inlined
def _field(s, node, field):
    return load_int64(s.nodes, node * _NODE_SIZE + field)


@inlined
def _push(s, depth, node, index, position):
    store_int64(s.scratch, SCRATCH.nodes + depth, node)
    store_int64(s.scratch, SCRATCH.indexes + depth, index)
    store_int64(s.scratch, SCRATCH.positions + depth, position)


@inlined
def _pop(s, depth):
    """The container at `depth` of the stack: (node, index, next position, whether it is a struct)."""
    node = load_int64(s.scratch, SCRATCH.nodes + depth)
    index, position = load_int64(s.scratch, SCRATCH.indexes + depth), load_int64(s.scratch, SCRATCH.positions + depth)
    return node, index, position, _field(s, node, NODE.kind) == ValueKind.STRUCT


@inlined
def _save_counts(s):
    for scope in range(s.scope_count):
        store_int64(s.scratch, SCRATCH.saved_counts + scope, load_int64(s.counts, scope))


@compiled
def _undo(nodes, node_count, states, scope_count, counts, saved_counts, row):
    """Restore the counts, and mark the slots of the line as unseen."""
    for node in range(node_count):
        scope = load_int64(nodes, node * _NODE_SIZE + NODE.scope)
        slot = load_int64(nodes, node * _NODE_SIZE + NODE.first_slot)
        if scope == 0:
            store_byte(states, slot + row, SlotState.UNSEEN)
        else:
            for index in range(load_int64(saved_counts, scope), load_int64(counts, scope)):
                store_byte(states, slot + index, SlotState.UNSEEN)
    for scope in range(scope_count):
        store_int64(counts, scope, load_int64(saved_counts, scope))
    return 0


@inlined
def _undo_line(s, row):
    saved_counts = s.scratch + 8 * SCRATCH.saved_counts
    _undo(s.nodes, s.node_count, s.states, s.scope_count, s.counts, saved_counts, row)


@inlined
def _line_end(text, at):
    while load_byte(text, at) != NEWLINE:
        at += 1
    return at


@inlined
def _store_progress(s, at, line, rows, rejected):
    store_int64(s.progress, PROGRESS.offset, at)
    store_int64(s.progress, PROGRESS.line, line)
    store_int64(s.progress, PROGRESS.rows, rows)
    store_int64(s.progress, PROGRESS.rejected, rejected)


@inlined
def _load_arguments(address):
    return Scan(
        load_int64(address, SCAN.text),
        load_int64(address, SCAN.size),
        load_int64(address, SCAN.nodes),
        load_int64(address, SCAN.node_count),
        load_int64(address, SCAN.children),
        load_int64(address, SCAN.keys),
        load_int64(address, SCAN.states),
        load_int64(address, SCAN.cells),
        load_int64(address, SCAN.scope_count),
        load_int64(address, SCAN.capacity),
        load_int64(address, SCAN.counts),
        load_int64(address, SCAN.rows),
        load_int64(address, SCAN.rejected),
        load_int64(address, SCAN.progress),
        load_int64(address, SCAN.scratch),
    )
