"""How functions here are compiled: `compiled`, or `inlined` into their callers."""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",  # a division by zero would raise otherwise
    "boundscheck": False,
    "_nrt": False,  # no memory with reference counts
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

compiled = njit(**_OPTIONS)
inlined = njit(forceinline=True, **_OPTIONS)
