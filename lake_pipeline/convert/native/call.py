"""Calling machine code. It is loaded at the first call in a process. A call releases Python's lock."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.native.code_cache import machine_code
from lake_pipeline.convert.native.functions import FUNCTIONS, PREFIX
from lake_pipeline.convert.native.processors import Processor, target_machine, this_processor

Functions = Mapping[str, Callable[..., int]]


def call(name: str, *arguments: int | npt.NDArray[Any]) -> int:
    """Call a function of `FUNCTIONS` and return its result; arrays are passed as addresses.

    Raises `NotCompiled`.
    """
    return _loaded()[name](*[address_of(value) if isinstance(value, np.ndarray) else value for value in arguments])


def call_with_addresses(name: str, *arguments: int) -> int:
    """`call` for frequent callers that have addresses: checking for arrays takes as long as the call."""
    return _loaded()[name](*arguments)


def load() -> None:
    """Load the machine code now, compiled if needed. Raises `NotCompiled`."""
    _loaded()


def address_of(array: npt.NDArray[Any]) -> int:
    """The address of an array, which must exist until the call returns. Raises `ValueError` if it has gaps."""
    if not array.flags.c_contiguous:
        raise ValueError("The array must be C-contiguous.")
    return array.ctypes.data


class _Code:
    """Machine code in memory and its functions. The memory is freed with this object."""

    def __init__(self, code: bytes, processor: Processor) -> None:
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(processor))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.functions: Functions = {
            name: self._function(name, argument_count)
            for functions in FUNCTIONS.values()
            for name, argument_count in functions.items()
        }

    def _function(self, name: str, argument_count: int) -> Callable[..., int]:
        prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * argument_count)
        return prototype(self._engine.get_function_address(PREFIX + name))


_code: _Code | None = None
_lock = threading.Lock()


def _loaded() -> Functions:
    global _code
    if _code is None:
        with _lock:
            if _code is None:
                processor = this_processor()
                _code = _Code(machine_code(processor), processor)
    return _code.functions
