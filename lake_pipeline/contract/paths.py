"""JSON paths as text: `database_specific.review_status`, with quotes around unusual keys.

A path is a tuple of object keys. It never points into a list.
"""

from __future__ import annotations

import json
import re

Path = tuple[str, ...]

_PLAIN = re.compile(r'[^\s."\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+')
"""Keys without quotes: no control characters and lone surrogates, which terminals and databases refuse."""
_STEP = re.compile(r'(?P<plain>[^\s."\\]+)|(?P<quoted>"(?:[^"\\]|\\.)*")')


def show_path(path: Path) -> str:
    """`("a", "b.c")` as `a."b.c"`: the inverse of `parse_path`."""
    return ".".join(key if _PLAIN.fullmatch(key) else json.dumps(key) for key in path)


def parse_path(text: str) -> Path:
    """`a."b.c"` as `("a", "b.c")`. Raises ValueError with the position of a syntax error."""
    steps: list[str] = []
    position = 0
    while True:
        step = _STEP.match(text, position)
        if not step:
            raise ValueError(f"{text!r} is not a JSON path: a key is missing at character {position + 1}")
        steps.append(step["plain"] or json.loads(step["quoted"]))
        position = step.end()
        if position == len(text):
            return tuple(steps)
        if text[position] != ".":
            raise ValueError(f"{text!r} is not a JSON path: expected a dot at character {position + 1}")
        position += 1
