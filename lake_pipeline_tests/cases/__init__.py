"""Cases: small files, and the rows and quarantined records that every engine must produce from them.

A case is a JSON file: its `promise`, the `rules` of docs/conversion.md that it demonstrates, its `files` by key, and
`options` that differ from the defaults. `rows` and `quarantined` are expected in the order of file and record (only the
listed columns are compared), and `outcomes` by key. The content of a file is a text or a recipe:

    "text"                                     as UTF-8
    [content, …]                               concatenated
    {"hex": "efbbbf"}                          bytes
    {"repeat": content, "times": 300}          repeated
    {"gzip" | "zstd" | "bzip2" | "xz": content}  compressed
    {"encode": "utf-16", "text": "…"}          text in another encoding
    {"of": content, "without_last": 5}         cut off
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from lake_pipeline.convert.request import Truncated

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Case", "all_cases", "content_of", "options_of", "zstd"]

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case; see the module. `files` are the bytes by key."""

    name: str
    promise: str
    rules: list[str]
    files: dict[str, bytes]
    rows: list[dict[str, Any]]
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def all_cases() -> list[Case]:
    """Every case, by name."""
    return [_case(path) for path in sorted(Path(__file__).parent.glob("*.json"))]


def _case(path: Path) -> Case:
    data = json.loads(path.read_text())
    files = {key: content_of(recipe) for key, recipe in data.pop("files").items()}
    return Case(name=path.stem, files=files, **data)


def options_of(case: Case) -> dict[str, Any]:
    """The conversion options of a case."""
    meanings: dict[str, Callable[[Any], Any]] = {
        "first_date": date.fromisoformat,
        "last_date": date.fromisoformat,
        "truncated": Truncated,
    }
    return {name: meanings.get(name, lambda value: value)(value) for name, value in case.options.items()}


def content_of(recipe: Any) -> bytes:
    """The bytes that a recipe describes."""
    match recipe:
        case str():
            return recipe.encode()
        case list():
            return b"".join(map(content_of, recipe))
        case {"hex": str(digits)}:
            return bytes.fromhex(digits)
        case {"repeat": content, "times": int(times)}:
            return content_of(content) * times
        case {"encode": str(encoding), "text": str(text)}:
            return text.encode(encoding)
        case {"of": content, "without_last": int(size)}:
            return content_of(content)[:-size]
        case {**only} if len(only) == 1 and (name := next(iter(only))) in _COMPRESS:
            return _COMPRESS[name](content_of(only[name]))
        case _:
            raise ValueError(f"no content: {recipe!r:.80}")
