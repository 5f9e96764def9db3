"""Column names that Athena, Spark and DuckDB all accept: lower case, `[a-z0-9_]`, never two alike.

Names depend on the JSON paths and on what was named before, and on nothing else, so two machines that see the
same contract grow choose the same names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from lake_pipeline.contract.paths import Path

PROVENANCE = ("_rescued", "_file_id", "_record", "_batch_id")
"""Columns that every curated row has beside those of its record."""

PARTITION = ("year", "month", "day", "mode")

MAX_LENGTH = 128
"""Glue allows 255 characters; longer names than this only make every tool's output unreadable."""

_UNSAFE = re.compile(r"[^a-z0-9_]")


def safe(key: str) -> str:
    """One JSON key as a part of a column name. Not unique: `a-b` and `a.b` give the same."""
    return _UNSAFE.sub("_", key.lower()) or "_"


def column_name(path: Path, taken: Iterable[str]) -> str:
    """The name of the column at `path`, unlike all `taken` and all partition and provenance columns.

    A field named like a partition column becomes `mode_field`; any other clash gets a suffix made from the path.
    """
    name = "_".join(safe(key) for key in path)
    if name[0].isdigit():
        name = "c_" + name
    if name in PARTITION:
        name += "_field"
    if name in PROVENANCE or name in set(taken) or len(name) > MAX_LENGTH:
        digest = hashlib.sha256("\0".join(path).encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{name[: MAX_LENGTH - 9]}_{digest[:8]}"
    return name


def safe_names(keys: Iterable[str]) -> dict[str, str]:
    """Safe and distinct names for the keys of one struct, in order of appearance."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key in keys:
        name = safe(key)
        if name in taken:
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
            name = f"{name}_{digest[:8]}"
        taken.add(name)
        names[key] = name
    return names
