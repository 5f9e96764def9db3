"""Column names that Athena, Spark and DuckDB all accept: lower case, `[a-z0-9_]`, no digit first, never two alike.

Names depend on the JSON paths and on what was named before, and on nothing else, so two machines that see the
same contract grow choose the same names. Words that SQL reserves are left as they are: a column keeps the name that
people know, and every engine reads it quoted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import count

from lake_pipeline.contract.paths import Path

PROVENANCE = ("_rescued", "_file_id", "_record", "_batch_id")
"""Columns that every curated row has beside those of its record."""

PARTITION = ("year", "month", "day", "mode")

MAX_LENGTH = 128
"""Glue allows 255 characters; longer names than this only make every tool's output unreadable."""

_UNSAFE = re.compile(r"[^a-z0-9_]")
_SAFE = re.compile(r"[a-z_][a-z0-9_]*")


def safe(key: str) -> str:
    """One JSON key as a part of a column name. Not unique: `a-b` and `a.b` give the same."""
    return _UNSAFE.sub("_", key.lower()) or "_"


def column_name(path: Path, taken: Iterable[str], renamed: Mapping[Path, str] | None = None) -> str:
    """The name of the column at `path`, unlike all `taken` and all partition and provenance columns.

    A field named like a partition column becomes `mode_field`; any other clash gets a suffix made from the path.
    `renamed` gives the names of some paths; what lies inside one of them begins with its name. Such a name goes to no
    other path.
    """
    renamed = renamed or {}
    outer = next((path[:size] for size in range(len(path), 0, -1) if path[:size] in renamed), ())
    name = "_".join([*([renamed[outer]] if outer else []), *(safe(key) for key in path[len(outer) :])])
    if name in PARTITION:
        name += "_field"
    given = {name for other, name in renamed.items() if other != path}
    return _distinct(_begun(name), {*taken, *given, *PROVENANCE}, "\0".join(path))


def safe_names(keys: Iterable[str]) -> dict[str, str]:
    """Safe and distinct names for the keys of one struct, in order of appearance."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key in keys:
        names[key] = _distinct(_begun(safe(key)), taken, key)
        taken.add(names[key])
    return names


def name_problem(name: str) -> str | None:
    """What is wrong with a column name that a person chose; None where nothing is."""
    if not _SAFE.fullmatch(name) or len(name) > MAX_LENGTH:
        return f"{name!r} is no column name; write 1 to {MAX_LENGTH} of a-z, 0-9 and _, no digit first"
    if name in PARTITION or name in PROVENANCE:
        return f"{name!r} is a column that every row has already"
    return None


def _begun(name: str) -> str:
    return "c_" + name if name[0].isdigit() else name


def _distinct(name: str, taken: set[str], source: str) -> str:
    """`name`, or where it is taken or too long, a shorter one with a suffix made from `source`."""
    if name not in taken and len(name) <= MAX_LENGTH:
        return name
    for turn in count():
        digest = hashlib.sha256((source + "\0" * turn).encode("utf-8", "surrogatepass")).hexdigest()
        suffixed = f"{name[: MAX_LENGTH - 9]}_{digest[:8]}"
        if suffixed not in taken:
            return suffixed
    raise AssertionError("unreachable")
