"""The embedded PostgreSQL as its users see it: a URL, and a server that is there as long as somebody uses it.

Every process that uses it holds a shared lock for its life. A keeper process runs the server and waits for the
exclusive lock: it gets it when the last user has gone, even by kill -9, and then it stops the server and ends.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
from psycopg2 import errors, sql
from sqlalchemy import URL

import lake_pipeline
from lake_pipeline.errors import LedgerUnavailable
from lake_pipeline.ledger.embedded_home import USER, EmbeddedHome, programs, take_lock

START_SECONDS = 120
"""How long a start may take: seconds as a rule, longer when a crashed server replays its log."""

STARTS = 3
"""How often a start is tried: between choosing a free port and taking it, somebody else may take it."""

_held: dict[Path, int] = {}
"""The shared locks of this process, by home. Closed by the operating system when it ends, however it ends."""


def embedded_url(home: Path, database: str, *, durable: bool = True) -> str:
    """The URL of `database` in the embedded server of `home`; both are made, and the server started, if need be.

    The server stays until the last process that called this has ended; a child process calls it for itself.
    `durable=False` is for tests: faster, but a power cut may ruin the data. Raises `SettingsError` when it can't be
    run at all, `LedgerUnavailable` with the end of its log when it did not start.
    """
    place = EmbeddedHome(home.resolve())
    place.make()
    _use(place)
    port = _ensure_running(place, durable)
    password = place.password_file.read_text(encoding="ascii")
    _ensure_database(port, password, database)
    url = URL.create("postgresql+psycopg2", USER, password, "127.0.0.1", port, database)
    return url.render_as_string(hide_password=False)


def release(home: Path) -> None:
    """Stop using the server of `home`; it stops unless other processes use it. Connections must be closed before."""
    handle = _held.pop(home.resolve(), None)
    if handle is not None:
        os.close(handle)


def _use(place: EmbeddedHome) -> None:
    """Hold the users' lock. Waits while a keeper is stopping the server; a new one is started afterwards."""
    if place.folder not in _held:
        handle = take_lock(place.users_lock, fcntl.LOCK_SH)
        assert handle is not None, "a blocking lock is waited for"
        _held[place.folder] = handle


def _ensure_running(place: EmbeddedHome, durable: bool) -> int:
    """The port of a server that answers. Whoever gets the keeper's lock starts one, the others wait for it."""
    keepers: list[subprocess.Popen[bytes]] = []
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        # A server without a keeper would never be stopped, and may be on its way out: it does not count.
        lock = take_lock(place.keeper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is None:
            if (port := place.port()) and _answers(place, port):
                return port
        elif len(keepers) < STARTS:
            keepers.append(_start_keeper(place, lock, durable))
        else:
            os.close(lock)
            break
        time.sleep(0.02)
    raise LedgerUnavailable(f"The embedded PostgreSQL did not start. The end of {place.log}:\n{place.log_tail()}")


def _start_keeper(place: EmbeddedHome, lock: int, durable: bool) -> subprocess.Popen[bytes]:
    """Start the keeper and hand it the lock, so that at no moment two of them can exist."""
    programs()  # what is missing is told here, not in a log
    # The same port as last time if it is still free, so that a URL somebody kept goes on working.
    port = place.port() or 0
    place.port_file.unlink(missing_ok=True)
    source = str(Path(lake_pipeline.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((source, *filter(None, sys.path)))}
    arguments = [str(place.folder), str(lock), str(port), "durable" if durable else "fast"]
    try:
        with place.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "lake_pipeline.ledger.embedded_keeper", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                env=environment,
                # Its own session: Ctrl-C in the terminal is for the user, not for the server.
                start_new_session=True,
            )
    finally:
        os.close(lock)


def _answers(place: EmbeddedHome, port: int) -> bool:
    """Whether the server of this home listens there. Its password tells it from any other one."""
    try:
        password = place.password_file.read_text(encoding="ascii")
        _connect(port, password, "postgres").close()
    except (FileNotFoundError, psycopg2.OperationalError):
        return False
    return True


def _ensure_database(port: int, password: str, database: str) -> None:
    connection = _connect(port, password, "postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database,))
            if cursor.rowcount == 0:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        pass  # another process made it at the same moment
    finally:
        connection.close()


def _connect(port: int, password: str, database: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host="127.0.0.1", port=port, user=USER, password=password, dbname=database, connect_timeout=5
    )
