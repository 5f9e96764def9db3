"""Registering: what a listing found becomes rows, each object version once.

Memory is bounded by a few pages, and each page is a transaction of its own: a listing that breaks off keeps what it
has brought.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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

WRITERS = 2
"""Pages that are written side by side while the next one is listed. On two cores a third writer gained nothing."""

FROZEN_MESSAGE = (
    "The object is in an archive storage class (Glacier) and can't be read. Restore it; the next `lake discover` after "
    "that makes it pending."
)

_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@dataclass(frozen=True, kw_only=True)
class Registration:
    """`new` object versions of `new_bytes` bytes (as stored) were registered, `known` were there already.

    `thawed` of the known ones were in an archive storage class and can be read now, so they are pending.
    """

    new: int = 0
    known: int = 0
    new_bytes: int = 0
    thawed: int = 0

    def __add__(self, other: Registration) -> Registration:
        return Registration(
            new=self.new + other.new,
            known=self.known + other.known,
            new_bytes=self.new_bytes + other.new_bytes,
            thawed=self.thawed + other.thawed,
        )


class Registering(Database):
    """The part of the ledger that takes files in."""

    def register(self, found: Iterable[DiscoveredFile], *, stands_now: bool = False) -> Registration:
        """Register every object version of `found` that the ledger does not know yet, as PENDING.

        `stands_now`: it was listed just now, so what the ledger knows as an earlier version of its key has returned
        and is new again. An inventory or a message may be older than the newest version, and tells nothing of that.

        A frozen one goes to quarantine until it is seen again and is frozen no more. Idempotent. Raises
        `LedgerUnavailable`, and `PermanentError` for a key that is no valid text; what came before it stays registered.
        """
        total = Registration()
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="register") as pool:
            for registered in self._written(pool, found, stands_now):
                total += registered.result()
        return total

    def _written(
        self, pool: ThreadPoolExecutor, found: Iterable[DiscoveredFile], stands_now: bool
    ) -> Iterator[Future[Registration]]:
        """The pages in their order, each when at most `WRITERS` are being written."""
        writing: deque[Future[Registration]] = deque()
        remaining = iter(found)
        while page := list(islice(remaining, PAGE)):
            any_frozen = any(file.frozen for file in page)
            lines = "".join(map(_line, page))
            writing.append(pool.submit(self._register_page, len(page), lines, any_frozen, stands_now))
            if len(writing) > WRITERS:
                yield writing.popleft()
        yield from writing

    def _register_page(self, count: int, lines: str, any_frozen: bool, stands_now: bool) -> Registration:
        with self.transaction() as connection:
            self._copy(connection, lines)
            new, size = connection.execute(query("register_arrivals")).one()
            if stands_now and new < count:
                returned = connection.execute(query("register_returned")).one()
                new, size = new + returned.files, size + returned.bytes
            thawed = connection.execute(query("thaw_arrivals")).rowcount
            if any_frozen:
                connection.execute(query("freeze_arrivals"), {"message": FROZEN_MESSAGE})
        return Registration(new=new, known=count - new, new_bytes=size, thawed=thawed)

    def _copy(self, connection: Connection, lines: str) -> None:
        connection.execute(query("prepare_arrivals"))
        # SQLAlchemy has no COPY; the driver's own cursor has.
        cursor: Any = connection.connection.cursor()
        cursor.copy_expert(query("copy_arrivals").text, io.StringIO(lines))
        cursor.close()


def _line(file: DiscoveredFile) -> str:
    """The file as a line of COPY's text format."""
    if "\0" in file.key or not _is_text(file.key):
        raise PermanentError(f"The key {file.key!r} is not valid UTF-8 text, so it can't be registered. Rename it.")
    day, mode = (file.expected.day.isoformat(), file.expected.mode_key) if file.expected else (r"\N", r"\N")
    fields = (file.key.translate(_ESCAPED), file.etag.translate(_ESCAPED), str(file.size), str(int(file.lane)), day)
    return "\t".join((*fields, mode, "t" if file.frozen else "f")) + "\n"


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
