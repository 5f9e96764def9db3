"""Shrinking: the smallest input found that still has a problem, so that a person can look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

SECONDS = 120
"""Time for one finding."""


def shrunk(files: Mapping[str, bytes], fails: Callable[[Mapping[str, bytes]], bool]) -> dict[str, bytes]:
    """A part of `files` that `fails` still: one file where one is enough, fewer lines, fewer bytes."""
    deadline = time.monotonic() + SECONDS
    kept = dict(files)
    for key, content in files.items():
        if fails({key: content}):
            kept = {key: content}
            break
    for key in kept:
        for unit in (b"\n", b""):
            pieces = kept[key].split(b"\n") if unit else [bytes([byte]) for byte in kept[key]]

            def still_fails(some: list[bytes], key: str = key, unit: bytes = unit) -> bool:
                return fails({**kept, key: unit.join(some)})

            kept[key] = unit.join(_fewer(pieces, still_fails, deadline))
    return kept


def _fewer(pieces: list[bytes], fails: Callable[[list[bytes]], bool], deadline: float) -> list[bytes]:
    """Leave out runs of pieces, ever shorter ones, as long as it fails without them."""
    size = len(pieces) // 2
    while size:
        start = 0
        while start < len(pieces) and time.monotonic() < deadline:
            fewer = pieces[:start] + pieces[start + size :]
            if fails(fewer):
                pieces = fewer
            else:
                start += size
        size //= 2
    return pieces
