"""Shrink a finding to the smallest input that still fails, so that a person can read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

SECONDS = 120
"""Time limit for one finding."""


def shrunk(files: Mapping[str, bytes], fails: Callable[[Mapping[str, bytes]], bool]) -> dict[str, bytes]:
    """A part of `files` for which `fails` is still true: one file if one is enough, fewer lines, fewer bytes."""
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
    """Leave out runs of pieces, shorter and shorter ones, as long as the rest still fails."""
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
