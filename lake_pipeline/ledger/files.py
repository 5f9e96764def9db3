"""Raw files: registration of what a listing contains, each object version once, and the history of a file.

Memory is bounded by a few pages. Each page is a transaction, so an interrupted listing keeps what it has registered.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.lineage import SourceFile, source_files
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.files import DiscoveredFile
from lake_pipeline.model.states import FileState

PAGE_FILES = 20_000
"""Files in one COPY: about 5 MB. Larger pages were not faster, smaller ones were."""

WRITERS = 2
"""Pages written in parallel while the next one is listed. On two cores a third writer gained nothing."""

ARCHIVED_CLASS_MESSAGE = (
    "The object is in an archived storage class (Glacier) and can't be read. Restore it, then run `lake discover`, "
    "which makes it pending."
)

_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@dataclass(frozen=True, kw_only=True)
class Registration:
    """`new` object versions of `new_bytes` bytes (as stored) were registered, `known` existed already.

    `restored` counts known ones that could not be read before and can be now, for example after a restore from an
    archived storage class: they are pending.
    """

    new: int = 0
    known: int = 0
    new_bytes: int = 0
    restored: int = 0

    def __add__(self, other: Registration) -> Registration:
        return Registration(
            new=self.new + other.new,
            known=self.known + other.known,
            new_bytes=self.new_bytes + other.new_bytes,
            restored=self.restored + other.restored,
        )


@dataclass(frozen=True, kw_only=True)
class FileEvent:
    """A transition of a file. `detail` is the error, or why the file was released."""

    at: datetime
    from_state: FileState
    to_state: FileState
    batch_id: str | None
    detail: str | None


class Files(Component):
    """Registration and history of raw files."""

    def register(self, files: Iterable[DiscoveredFile], *, listed_now: bool = False) -> Registration:
        """Register every object version that is not in the ledger yet, as PENDING. Idempotent.

        `listed_now`: the files come from a listing of this moment. An ETag of an earlier version then means that the
        old content has returned, which is a new version. An inventory or a message may be older than the newest
        version and does not show that.

        Objects in an archived storage class are quarantined until they are registered again after a restore. Raises
        `LedgerUnavailable`, and `PermanentError` for a key that is not valid text; pages before it stay registered.
        """
        total = Registration()
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="register") as pool:
            for registered in self._written(pool, files, listed_now):
                total += registered.result()
        return total

    def _written(
        self, pool: ThreadPoolExecutor, files: Iterable[DiscoveredFile], listed_now: bool
    ) -> Iterator[Future[Registration]]:
        """Write the pages in order, at most `WRITERS` at a time."""
        writing: deque[Future[Registration]] = deque()
        remaining = iter(files)
        while page := list(islice(remaining, PAGE_FILES)):
            any_archived = any(file.needs_restore for file in page)
            lines = "".join(map(_line, page))
            writing.append(pool.submit(self._register_page, len(page), lines, any_archived, listed_now))
            if len(writing) > WRITERS:
                yield writing.popleft()
        yield from writing

    def _register_page(self, count: int, lines: str, any_archived: bool, listed_now: bool) -> Registration:
        with self._database.transaction() as connection:
            self._copy(connection, lines)
            new, size = connection.execute(query("register_arrivals")).one()
            if listed_now and new < count:
                returned = connection.execute(query("register_returned")).one()
                new, size = new + returned.files, size + returned.bytes
            restored = connection.execute(query("restore_arrivals"), {"listed_now": listed_now}).rowcount
            if any_archived:
                connection.execute(query("quarantine_archived_arrivals"), {"message": ARCHIVED_CLASS_MESSAGE})
        return Registration(new=new, known=count - new, new_bytes=size, restored=restored)

    def _copy(self, connection: Connection, lines: str) -> None:
        connection.execute(query("prepare_arrivals"))
        # SQLAlchemy has no COPY; the cursor of the driver does.
        cursor: Any = connection.connection.cursor()
        cursor.copy_expert(query("copy_arrivals").text, io.StringIO(lines))
        cursor.close()

    def versions(self, file: str) -> list[SourceFile]:
        """Every version of the key `file`, oldest first, or the file with that id if it is a number."""
        file_id = int(file) if file.isdecimal() else None
        with self._database.transaction() as connection:
            return source_files(connection.execute(query("versions_of"), {"key": file, "file_id": file_id}))

    def history(self, file_id: int) -> list[FileEvent]:
        """The transitions of a file, oldest first. Registration is not one."""
        with self._database.transaction() as connection:
            return [
                FileEvent(
                    at=row.at,
                    from_state=FileState(row.from_state),
                    to_state=FileState(row.to_state),
                    batch_id=row.batch_id,
                    detail=row.detail,
                )
                for row in connection.execute(query("file_history"), {"file_id": file_id})
            ]


def _line(file: DiscoveredFile) -> str:
    """The file as a line in the text format of COPY."""
    if "\0" in file.key or not _is_text(file.key):
        raise PermanentError(f"The key {file.key!r} is not valid UTF-8 text, so it can't be registered. Rename it.")
    day, mode = (file.expected.day.isoformat(), file.expected.mode_key) if file.expected else (r"\N", r"\N")
    fields = (file.key.translate(_ESCAPED), file.etag.translate(_ESCAPED), str(file.size), str(int(file.lane)), day)
    return "\t".join((*fields, mode, "t" if file.needs_restore else "f")) + "\n"


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
