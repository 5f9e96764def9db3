"""Buffers to encode in: memory of a thread by name, reused from column to column and from part to part."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from itertools import starmap
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.layout import VECTOR_BYTES

_KEPT = 8 << 20
"""The largest buffer that is kept for the next row group."""

_MAX_SPARE = 1 << 20
"""The most bytes that are allocated in addition."""

Row = TypeVar("Row", bound=NamedTuple)


class ThreadBuffers:
    """Buffers by name. The content of a buffer is valid until it is requested again."""

    def __init__(self) -> None:
        self._buffers: dict[str, tuple[int, int, npt.NDArray[np.uint8]]] = {}

    def reserve(self, name: str, size: int) -> int:
        """The address of a buffer of at least `size` bytes, with `VECTOR_BYTES` spare bytes after them."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer[0] < size:
            # A little more, or it would grow with every part that is a little larger.
            memory = np.empty(size + min(size // 4 + 1024, _MAX_SPARE) + VECTOR_BYTES, dtype=np.uint8)
            buffer = self._buffers[name] = (len(memory) - VECTOR_BYTES, memory.ctypes.data, memory)
        return buffer[1]

    def view(self, name: str) -> memoryview:
        """The content of a buffer."""
        return self._buffers[name][2].data

    def store(self, name: str, values: Sequence[int]) -> int:
        """Store 64-bit integers in a buffer; returns its address."""
        address = self.reserve(name, 8 * len(values))
        (ctypes.c_int64 * len(values)).from_address(address)[:] = list(values)
        return address

    def integers(self, name: str, count: int) -> list[int]:
        """The 64-bit integers that machine code stored in a buffer."""
        numbers: list[int] = self._int64(name, count).tolist()
        return numbers

    def rows(self, name: str, row: type[Row], count: int) -> list[Row]:
        """The rows of a table that machine code stored in a buffer."""
        fields = len(row._fields)
        return list(starmap(row, self._int64(name, count * fields).reshape(count, fields).tolist()))

    def _int64(self, name: str, count: int) -> npt.NDArray[np.int64]:
        return np.frombuffer(self._buffers[name][2], dtype=np.int64, count=count)

    def trim(self) -> None:
        """Free what only a large row group needs."""
        self._buffers = {name: buffer for name, buffer in self._buffers.items() if buffer[0] <= _KEPT}


def thread_buffers() -> ThreadBuffers:
    """The buffers of the calling thread."""
    buffers: ThreadBuffers | None = getattr(_of_thread, "buffers", None)
    if buffers is None:
        buffers = _of_thread.buffers = ThreadBuffers()
    return buffers


_of_thread = threading.local()
