"""Client of the embedded PostgreSQL: returns a URL, and starts the server if it is not running.

Every process that uses the server holds a shared lock until it ends. A supervisor process runs the server and polls for
the exclusive lock. It gets the lock when the last user has ended, also by kill -9, and then stops the server.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import errors, sql
from sqlalchemy import URL

from lake_pipeline.errors import LedgerUnavailable
from lake_pipeline.ledger.embedded.account import check_account
from lake_pipeline.ledger.embedded.home import USER, EmbeddedHome, programs
from lake_pipeline.ledger.embedded.private_files import read_private, take_lock

START_SECONDS = 120
"""Time limit of a start: usually seconds, longer if a crashed server replays its log."""

MAX_STARTS = 3
"""Attempts to start: another process may take the port between choosing and binding it."""

_KNOWS_METHODS = psycopg2.extensions.libpq_version() >= 160_000
_AUTHENTICATION: dict[str, Any] = {"require_auth": "scram-sha-256"} if _KNOWS_METHODS else {}
"""If the server is down, another user's program may listen on its port. It must not be sent the password as text."""

_held: dict[Path, int] = {}
"""The shared locks of this process, by home. The operating system closes them when the process ends."""


def embedded_url(
    home: Path, database: str, *, durable: bool = True, environment: Mapping[str, str] | None = None
) -> str:
    """The URL of `database` in the embedded server of `home`; creates both and starts the server if needed.

    The server runs until the last process that called this has ended; a child process has to call it, too.
    `durable=False` is for tests: faster, but a power failure may corrupt the data. `environment` is that of the
    supervisor; None for one without any variable of this process. Raises `SettingsError` if the server can't run here,
    `LedgerUnavailable` with the end of its log if it did not start.
    """
    files = EmbeddedHome(home.resolve())
    files.create()
    _use(files)
    port = _ensure_running(files, durable, environment)
    password = read_private(files.password_file)
    _ensure_database(port, password, database)
    url = URL.create("postgresql+psycopg2", USER, password, "127.0.0.1", port, database, _AUTHENTICATION)
    return url.render_as_string(hide_password=False)


def release(home: Path) -> None:
    """Stop using the server of `home`; it stops unless other processes use it. Close all connections first."""
    handle = _held.pop(home.resolve(), None)
    if handle is not None:
        os.close(handle)


def _use(files: EmbeddedHome) -> None:
    """Hold the users' lock. Waits while a supervisor stops the server; a new one is started afterwards."""
    if files.folder not in _held:
        handle = take_lock(files.users_lock, fcntl.LOCK_SH)
        assert handle is not None, "a blocking lock is always obtained"
        _held[files.folder] = handle


def _ensure_running(files: EmbeddedHome, durable: bool, environment: Mapping[str, str] | None) -> int:
    """The port of a running server. The process that gets the supervisor's lock starts it, the others wait."""
    supervisors: list[subprocess.Popen[bytes]] = []
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        # A server without a supervisor does not count: it may be stopping, and would otherwise never be stopped.
        lock = take_lock(files.supervisor_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is None:
            if (port := files.port()) and _answers(files, port):
                return port
        elif len(supervisors) < MAX_STARTS:
            supervisors.append(_start_supervisor(files, lock, durable, environment))
        else:
            os.close(lock)
            break
        time.sleep(0.02)
    tail = " | ".join(files.log_tail().splitlines())
    raise LedgerUnavailable(f"The embedded PostgreSQL did not start. The end of {files.log}: {tail}")


def _start_supervisor(
    files: EmbeddedHome, lock: int, durable: bool, environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    """Start the supervisor and pass it the lock, so that there are never two of them."""
    check_account(files)
    programs()  # raises here if something is missing, not in a log
    # The last port if it is still free, so that saved URLs keep working.
    port = files.port() or 0
    files.port_file.unlink(missing_ok=True)
    arguments = [str(files.folder), str(lock), str(port), "durable" if durable else "fast"]
    try:
        with open(files.open_log(), "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "lake_pipeline.ledger.embedded.supervisor", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                env=_minimal_environment() if environment is None else environment,
                # A session of its own: Ctrl-C in the terminal must not reach the server.
                start_new_session=True,
            )
    finally:
        os.close(lock)


def _minimal_environment() -> dict[str, str]:
    """Enough to import this package."""
    package_folder = str(Path(__file__).parents[3])
    return {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join((package_folder, *filter(None, sys.path)))}


def _answers(files: EmbeddedHome, port: int) -> bool:
    """Whether the server of this home listens on the port. The password identifies it."""
    try:
        password = read_private(files.password_file)
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
        pass  # another process created it at the same time
    finally:
        connection.close()


def _connect(port: int, password: str, database: str) -> psycopg2.extensions.connection:
    connection: psycopg2.extensions.connection = psycopg2.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=password,
        dbname=database,
        connect_timeout=5,
        **_AUTHENTICATION,
    )
    return connection
