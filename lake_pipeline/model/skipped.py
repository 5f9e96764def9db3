"""Skipped entries: what is in the landing zones besides raw files, and why it is not read.

Who finds them and where they are stored is up to discovery and the ledger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

MAX_KEY_BYTES = 1024
"""The longest key of S3, and of a raw file in any store: the ledger has indexes on it."""

_PRINTED_CHARACTERS = 300

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_HIDDEN = re.compile(r"(?:^|/)(?:_|\.(?!\.?(?:/|$)))")


class SkipReason(StrEnum):
    """Why an entry is not read."""

    HIDDEN = "hidden"
    EXCLUDED = "excluded"
    NOT_INCLUDED = "not_included"
    FOLDER_MARKER = "folder_marker"
    OUTSIDE = "outside"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    INVALID_NAME = "invalid_name"
    UNREADABLE_FOLDER = "unreadable_folder"

    @property
    def is_problem(self) -> bool:
        """Whether a person has to look: it may be data that is not read."""
        return self not in _EXPECTED

    @property
    def text(self) -> str:
        """What the reason means, after "because" or a colon."""
        return _TEXTS[self]


_EXPECTED = frozenset(
    {
        SkipReason.HIDDEN,
        SkipReason.EXCLUDED,
        SkipReason.NOT_INCLUDED,
        SkipReason.FOLDER_MARKER,
        SkipReason.OUTSIDE,
    }
)

_TEXTS = {
    SkipReason.HIDDEN: "the name of the file or of a folder begins with . or _",
    SkipReason.EXCLUDED: "the name matches LAKE_EXCLUDE",
    SkipReason.NOT_INCLUDED: "the name matches no pattern of LAKE_INCLUDE",
    SkipReason.FOLDER_MARKER: "a folder marker without content",
    SkipReason.OUTSIDE: "outside the landing zones all_historical_files/ and YYYY/weekXX/",
    SkipReason.LINK: "a link, which is not followed",
    SkipReason.SPECIAL_FILE: "a pipe, socket or device",
    SkipReason.INVALID_NAME: "the name can't be used",
    SkipReason.UNREADABLE_FOLDER: "the folder can't be listed",
}


@dataclass(frozen=True, kw_only=True)
class SkippedEntry:
    """One entry that is not read. `entry` is its key as printable text, `detail` says more than the reason."""

    entry: str
    reason: SkipReason
    detail: str = ""

    @property
    def text(self) -> str:
        """The entry and why it is skipped, in one line."""
        return f"{self.entry}: {self.detail or self.reason.text}"


def skipped_entry(key: str, reason: SkipReason, detail: str = "") -> SkippedEntry:
    """The entry of any key, also one that is not valid text."""
    return SkippedEntry(entry=printable(key), reason=reason, detail=detail)


def is_hidden(key: str) -> bool:
    """Whether a file or folder in `key` has a name that begins with `.` or `_`, as in Hadoop, rsync and git.

    `.` and `..` are plain text in a key of a bucket.
    """
    return _HIDDEN.search(key) is not None


def name_problem(key: str) -> str | None:
    """Why a raw file can't have this key, or name; None if it can."""
    if _CONTROL.search(key):
        return "the name has control characters; rename it"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "the name is not valid UTF-8; rename it"
    if size > MAX_KEY_BYTES:
        return f"the key has {size:,} bytes, more than {MAX_KEY_BYTES:,}; shorten it"
    return None


def printable(name: str) -> str:
    """`name` on one line of printable characters: others are escaped, and a very long name ends in a hash."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = name.encode("utf-8", "backslashreplace")
    text = raw.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
        )
    if len(text) <= _PRINTED_CHARACTERS:
        return text
    return f"{text[:_PRINTED_CHARACTERS]}…~{sha256(raw).hexdigest()[:16]}"
