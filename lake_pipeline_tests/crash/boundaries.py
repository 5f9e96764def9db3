"""Boundaries: points between two steps of a process with an effect outside of it, numbered as they are crossed.

The product does not know of them. A connection class of psycopg2 sees statements and commits, a wrapper around the
store its calls, events of the SDK the requests to a bucket, and an audit hook of the interpreter changes of files.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg2.extensions
from sqlalchemy import Engine, event

from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.s3.store import S3Store

Crossed = Callable[[int, str], None]
"""Called with the number (from 1) and the name of a boundary, in the thread that crosses it."""

PING = "SELECT 1"
"""The pool sends it before it hands out a connection: it is not a statement of the ledger."""

_CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.link", "os.rmdir", "os.truncate"})


class Boundaries:
    """Counts the boundaries of this process once it is armed. One for a process: audit hooks can't be removed."""

    def __init__(self) -> None:
        self._crossed: Crossed | None = None
        self._folder: str | None = None
        self._lock = threading.Lock()
        self._inside = threading.local()
        self._number = 0
        event.listen(Engine, "do_connect", self._on_connect)
        sys.addaudithook(self._on_audit)

    def arm(self, crossed: Crossed, *, folder: str | None = None) -> None:
        """From now on call `crossed`; changes of files count below `folder`."""
        self._folder = os.path.join(os.path.realpath(folder), "") if folder else None
        self._number = 0
        self._crossed = crossed

    def cross(self, name: str) -> None:
        """Count a boundary and call what it is armed with."""
        if self._crossed is None or getattr(self._inside, "now", False):
            return
        self._inside.now = True
        try:
            with self._lock:
                self._number += 1
                self._crossed(self._number, name)
        finally:
            self._inside.now = False

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Two boundaries: one before the step, one after it unless it fails."""
        self.cross(f"before {name}")
        yield
        self.cross(f"after {name}")

    def numbered(self, store: ObjectStore) -> ObjectStore:
        """`store` with a boundary before and after each of its calls."""
        return cast(ObjectStore, _Numbered(store, self, "store"))

    def number_requests(self, store: S3Store) -> None:
        """A boundary before each request to a bucket, and after its answer: one call of the store makes several."""

        def before(model: Any, **_: Any) -> None:
            self.cross(f"before s3.{model.name}")

        def after(model: Any, **_: Any) -> None:
            self.cross(f"after s3.{model.name}")

        events = store._bucket.client.meta.events
        events.register("before-call.s3", before)
        events.register("after-call.s3", after)

    def _on_connect(self, _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        around = self.around

        class Cursor(psycopg2.extensions.cursor):
            def execute(self, sql: Any, values: Any = None) -> None:
                if sql == PING:
                    super().execute(sql, values)
                    return
                with around(_statement(sql)):
                    super().execute(sql, values)

            def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
                with around(_statement(sql)):
                    super().copy_expert(sql, file, size)

        class Connection(psycopg2.extensions.connection):
            def cursor(self, *arguments: Any, **named: Any) -> Any:
                return super().cursor(*arguments, **{"cursor_factory": Cursor, **named})

            def commit(self) -> None:
                with around("COMMIT"):
                    super().commit()

            def rollback(self) -> None:
                # Usually the connection goes back to the pool with nothing to roll back.
                if self.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE:
                    super().rollback()
                    return
                with around("ROLLBACK"):
                    super().rollback()

        parameters["connection_factory"] = Connection

    def _on_audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self._crossed is None or self._folder is None:
            return
        writes = name == "open" and len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if name not in _CHANGES and not writes:
            return
        if isinstance(arguments[0], str | os.PathLike) and os.fspath(arguments[0]).startswith(self._folder):
            self.cross(f"before {name}")


class _Numbered:
    """Any method of the store protocol: a call is two boundaries, an item of a listing one.

    The many small writes into one pending object count as one, because a part of them is never visible.
    """

    def __init__(self, inner: Any, boundaries: Boundaries, name: str) -> None:
        self._inner = inner
        self._boundaries = boundaries
        self._name = name
        self._written = False

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value) or (name == "write" and self._written):
            return value
        self._written = name == "write"

        def call(*arguments: Any, **named: Any) -> Any:
            with self._boundaries.around(f"{self._name}.{name}"):
                result = value(*arguments, **named)
            if inspect.isgenerator(result):
                return self._listed(result, name)
            # The writer of a pending object. Reading changes nothing.
            return _Numbered(result, self._boundaries, "writer") if hasattr(result, "finish") else result

        return call

    def _listed(self, items: Iterator[Any], name: str) -> Iterator[Any]:
        for item in items:
            self._boundaries.cross(f"in {self._name}.{name}")
            yield item


def _statement(sql: Any) -> str:
    text = sql.decode() if isinstance(sql, bytes) else str(sql)
    return " ".join(text.split())[:70]
