"""Calling machine code, which is loaded at the first call in a process. Meanwhile the lock of Python is released."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.functions import FUNCTIONS, PREFIX
from lake_pipeline.convert.native.obtaining import kept_or_compiled
from lake_pipeline.convert.native.processors import Processor, target_machine, this_processor

Functions = Mapping[str, Callable[..., int]]


def call(name: str, *numbers: int | npt.NDArray[Any]) -> int:
    """Call a function of `FUNCTIONS`; of an array it gets the address. What it returns is its own to say.

    Raises `NotCompiled`.
    """
    return _loaded()[name](*[_address(each) if isinstance(each, np.ndarray) else each for each in numbers])


def call_with_numbers(name: str, *numbers: int) -> int:
    """The same for callers that have addresses and call very often: to look for arrays takes as long as the call."""
    return _loaded()[name](*numbers)


def _address(array: npt.NDArray[Any]) -> int:
    if not array.flags.c_contiguous:
        raise ValueError("Machine code gets arrays whose items stand one behind the other.")
    return array.ctypes.data


class _Code:
    """Machine code in memory, and the functions in it. It stays as long as this does."""

    def __init__(self, code: bytes, processor: Processor) -> None:
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(processor))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.functions: Functions = {
            name: self._function(name, numbers) for each in FUNCTIONS.values() for name, numbers in each.items()
        }

    def _function(self, name: str, numbers: int) -> Callable[..., int]:
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * numbers)
        return kind(self._engine.get_function_address(PREFIX + name))


_code: _Code | None = None
_lock = threading.Lock()


def _loaded() -> Functions:
    global _code
    if _code is None:
        with _lock:
            if _code is None:
                processor = this_processor()
                _code = _Code(kept_or_compiled(processor), processor)
    return _code.functions
