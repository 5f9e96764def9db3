"""Memory to encode in: named rooms of a thread, which are used again from column to column and part to part."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.layout import WIDE

_KEPT = 8 << 20
"""The largest room that is kept for the next row group."""

_SPARE = 1 << 20
"""More than is asked for, at most."""


class Scratch:
    """Rooms by name. What stands in one is valid until it is asked for again."""

    def __init__(self) -> None:
        self._rooms: dict[str, tuple[int, int, npt.NDArray[np.uint8]]] = {}

    def room(self, name: str, size: int) -> int:
        """The address of a room for so many bytes, and `WIDE` more."""
        room = self._rooms.get(name)
        if room is None or room[0] < size:
            # A little more, or a room would grow with every part that is a little larger.
            memory = np.empty(size + min(size // 4 + 1024, _SPARE) + WIDE, dtype=np.uint8)
            room = self._rooms[name] = (len(memory) - WIDE, memory.ctypes.data, memory)
        return room[1]

    def view(self, name: str) -> memoryview:
        """What stands in a room."""
        return self._rooms[name][2].data

    def numbers(self, name: str, values: Sequence[int]) -> int:
        """The address of numbers of 64 bits in a room."""
        address = self.room(name, 8 * len(values))
        (ctypes.c_int64 * len(values)).from_address(address)[:] = list(values)
        return address

    def table(self, name: str, rows: int, fields: int) -> list[list[int]]:
        """Numbers of 64 bits that machine code left in a room."""
        numbers = np.frombuffer(self._rooms[name][2], dtype=np.int64, count=rows * fields)
        found: list[list[int]] = numbers.reshape(rows, fields).tolist()
        return found

    def trim(self) -> None:
        """Give back what only a large row group needs."""
        self._rooms = {name: room for name, room in self._rooms.items() if room[0] <= _KEPT}


def scratch() -> Scratch:
    """That of the calling thread."""
    found: Scratch | None = getattr(_of_thread, "scratch", None)
    if found is None:
        found = _of_thread.scratch = Scratch()
    return found


_of_thread = threading.local()
