"""Column names that Athena, Spark and DuckDB all accept: lower case, `[a-z0-9_]`, no digit first, unique.

Names depend only on the JSON paths and on earlier names, so two machines choose the same names for the same contract.
Words that SQL reserves are not changed: a column keeps the name that people know, and every engine reads it quoted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import count

from lake_pipeline.contract.paths import Path

PROVENANCE = ("_rescued", "_file_id", "_record", "_batch_id")
"""Columns that every curated row has in addition to those of its record."""

PARTITION = ("year", "month", "day", "mode")

MAX_LENGTH = 128
"""Glue allows 255 characters, but longer names than this make the output of every tool unreadable."""

_UNSAFE = re.compile(r"[^a-z0-9_]")
_SAFE = re.compile(r"[a-z_][a-z0-9_]*")


def safe(key: str) -> str:
    """One JSON key as a part of a column name. Not unique: `a-b` and `a.b` give the same."""
    return _UNSAFE.sub("_", key.lower()) or "_"


def column_name(path: Path, taken: Iterable[str], renamed: Mapping[Path, str] | None = None) -> str:
    """The name of the column at `path`, different from all `taken` and all partition and provenance columns.

    A field named like a partition column becomes `mode_field`; any other collision gets a suffix computed from the
    path. `renamed` has the chosen names of some paths: fields inside such a path start with its name, and no other
    path gets that name.
    """
    renamed = renamed or {}
    outer = next((path[:size] for size in range(len(path), 0, -1) if path[:size] in renamed), ())
    name = "_".join([*([renamed[outer]] if outer else []), *(safe(key) for key in path[len(outer) :])])
    if name in PARTITION:
        name += "_field"
    reserved = {name for other, name in renamed.items() if other != path}
    return _unique(_with_letter_first(name), {*taken, *reserved, *PROVENANCE}, "\0".join(path))


def safe_names(keys: Iterable[str]) -> dict[str, str]:
    """Safe and unique names for the keys of one struct, in order of appearance."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key in keys:
        names[key] = _unique(_with_letter_first(safe(key)), taken, key)
        taken.add(names[key])
    return names


def name_problem(name: str) -> str | None:
    """Why a user-defined column name is invalid; None if it is valid."""
    if not _SAFE.fullmatch(name) or len(name) > MAX_LENGTH:
        return f"{name!r} is not a valid column name; use 1 to {MAX_LENGTH} of a-z, 0-9 and _, no digit first"
    if name in PARTITION or name in PROVENANCE:
        return f"{name!r} is already a column of every row"
    return None


def _with_letter_first(name: str) -> str:
    return "c_" + name if name[0].isdigit() else name


def _unique(name: str, taken: set[str], source: str) -> str:
    """`name`, or if it is taken or too long, a shorter one with a suffix computed from `source`."""
    if name not in taken and len(name) <= MAX_LENGTH:
        return name
    for turn in count():
        digest = hashlib.sha256((source + "\0" * turn).encode("utf-8", "surrogatepass")).hexdigest()
        suffixed = f"{name[: MAX_LENGTH - 9]}_{digest[:8]}"
        if suffixed not in taken:
            return suffixed
    raise AssertionError("unreachable")
