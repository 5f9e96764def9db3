"""Registering: what a listing found becomes rows, each object version once.

Memory is bounded by a page, and each page is a transaction of its own: a listing that breaks off keeps what it
has brought.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.files import DiscoveredFile

PAGE = 20_000
"""Files in one COPY: about 5 MB. Larger pages were not faster, smaller ones were."""

_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@dataclass(frozen=True, kw_only=True)
class Registration:
    """`new` object versions of `new_bytes` bytes (as stored) were registered, `known` were there already."""

    new: int
    known: int
    new_bytes: int


class Registering(Database):
    """The part of the ledger that takes files in."""

    def register(self, found: Iterable[DiscoveredFile]) -> Registration:
        """Register every object version of `found` that the ledger does not know yet, as PENDING.

        Idempotent. Raises `LedgerUnavailable`, and `PermanentError` for a key that is no valid text; what came
        before it stays registered.
        """
        seen = new = new_bytes = 0
        remaining = iter(found)
        while page := list(islice(remaining, PAGE)):
            lines = "".join(map(_line, page))
            with self.transaction() as connection:
                files, size = self._register_page(connection, lines)
            seen, new, new_bytes = seen + len(page), new + files, new_bytes + size
        return Registration(new=new, known=seen - new, new_bytes=new_bytes)

    def _register_page(self, connection: Connection, lines: str) -> tuple[int, int]:
        connection.execute(query("prepare_arrivals"))
        # SQLAlchemy has no COPY; the driver's own cursor has.
        cursor: Any = connection.connection.cursor()
        cursor.copy_expert(query("copy_arrivals").text, io.StringIO(lines))
        cursor.close()
        files, size = connection.execute(query("register_arrivals")).one()
        return files, size


def _line(file: DiscoveredFile) -> str:
    """The file as a line of COPY's text format."""
    if "\0" in file.key or not _is_text(file.key):
        raise PermanentError(f"The key {file.key!r} is not valid UTF-8 text, so it can't be registered. Rename it.")
    day, mode = (file.expected.day.isoformat(), file.expected.mode_key) if file.expected else (r"\N", r"\N")
    fields = (file.key.translate(_ESCAPED), file.etag.translate(_ESCAPED), str(file.size), str(int(file.lane)), day)
    return "\t".join((*fields, mode)) + "\n"


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
