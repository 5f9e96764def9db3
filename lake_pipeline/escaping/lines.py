"""Text as one line of a terminal, of a log, or of JSON.

Characters that move the cursor, start an escape sequence, end a line, reorder text or are invisible are shown as
escapes, as in Python: `\\x1b`, `\\u202e`. All other characters stay: accents, Chinese, emoji.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_JOINED = "\u0600-\u109f\u1780-\u18af\u2190-\u2bff\ua840-\uabff\ufb50-\ufdff\ufe0f\ufe70-\ufefc\U0001f000-\U0001faff"
"""Neighbors of joiners in honest text: scripts whose letters change their shape, and emoji."""

_UNSAFE = re.compile(
    # Control characters (C0, DEL, C1), the soft hyphen, fillers without a glyph.
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"
    # Directional marks, embeddings, overrides and isolates; zero-width characters; line and paragraph separators.
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    # Lone surrogates, which no UTF-8 terminal accepts; musical controls; tags and other invisible characters.
    "\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    # Zero-width joiners and non-joiners that join nothing.
    f"|(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])"
)

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def one_line(text: object) -> str:
    """`str(text)` as one line without control characters, for terminals, logs and plain-text fields."""
    return escape_unsafe(str(text), _escape)


def json_line(value: Any, **options: Any) -> str:
    """`value` as JSON on one line; the same characters as in `one_line` are JSON escapes, so no value changes.

    `options` are those of `json.dumps`.
    """
    # In JSON such a character can only be inside a string.
    return escape_unsafe(
        json.dumps(value, ensure_ascii=False, **options), lambda character: json.dumps(character)[1:-1]
    )


def escape_unsafe(text: str, escape: Callable[[str], str]) -> str:
    """`text` with `escape(character)` in place of each character that a line must not have."""
    return _UNSAFE.sub(lambda match: escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
