"""Thrift's compact protocol, as far as Parquet's metadata needs it: structs of numbers, strings, lists and structs.

It only writes. It knows nothing of Parquet: fields have numbers.
"""

from __future__ import annotations

from collections.abc import Collection

TRUE, FALSE, I16, I32, I64, BINARY, LIST, STRUCT = 1, 2, 4, 5, 6, 8, 9, 12


class Struct:
    """A struct that is being written; fields are added in order of their numbers. Nested structs are encoded bytes."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._last = 0

    def number(self, field: int, value: int, kind: int = I32) -> Struct:
        self._head(field, kind)
        self._out += zigzag(value)
        return self

    def long(self, field: int, value: int) -> Struct:
        return self.number(field, value, I64)

    def flag(self, field: int, value: bool) -> Struct:
        self._head(field, TRUE if value else FALSE)
        return self

    def binary(self, field: int, value: bytes) -> Struct:
        self._head(field, BINARY)
        self._out += varint(len(value))
        self._out += value
        return self

    def struct(self, field: int, value: bytes) -> Struct:
        self._head(field, STRUCT)
        self._out += value
        return self

    def structs(self, field: int, values: Collection[bytes]) -> Struct:
        return self._list(field, STRUCT, values)

    def numbers(self, field: int, values: Collection[int], kind: int = I32) -> Struct:
        return self._list(field, kind, [zigzag(value) for value in values])

    def binaries(self, field: int, values: Collection[bytes]) -> Struct:
        return self._list(field, BINARY, [varint(len(value)) + value for value in values])

    def flags(self, field: int, values: Collection[bool]) -> Struct:
        return self._list(field, TRUE, [b"\x01" if value else b"\x02" for value in values])

    def so_far(self) -> bytes:
        """The bytes of the fields so far, without an end."""
        return bytes(self._out)

    def done(self) -> bytes:
        """The bytes of the whole struct."""
        return bytes(self._out) + b"\0"

    def _list(self, field: int, kind: int, values: Collection[bytes]) -> Struct:
        self._head(field, LIST)
        count = len(values)
        self._out += bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + varint(count)
        self._out += b"".join(values)
        return self

    def _head(self, field: int, kind: int) -> None:
        if not 0 < field - self._last < 16:
            raise ValueError(f"field {field} is written after field {self._last}")
        self._out.append((field - self._last) << 4 | kind)
        self._last = field


EMPTY = Struct().done()


def varint(value: int) -> bytes:
    """A number of at least 0, seven bits per byte."""
    if value < 128:
        return _SHORT[value]
    if value < 1 << 14:
        return bytes((value & 127 | 128, value >> 7))
    if value < 1 << 21:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> bytes:
    """A signed number, with its sign in the lowest bit."""
    return varint(value << 1 if value >= 0 else -value * 2 - 1)


_SHORT = [bytes([value]) for value in range(128)]
