"""Connections to the ledger's PostgreSQL: how a URL is read, what a failure is called, when the schema is looked at.

No query of the ledger's own work belongs here; those are methods of the classes that derive from `Database`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from lake_pipeline.errors import LedgerOutdated, LedgerUnavailable, OutcomeUnknown, SettingsError
from lake_pipeline.ledger.migrations import REVISION
from lake_pipeline.ledger.queries import query

SETTING = "LAKE_LEDGER_URL"

DEFAULT_PORT = 5432

_CONNECT_ARGS = {
    "application_name": "lake_pipeline",
    "connect_timeout": 10,
    # A firewall that forgets an idle connection is noticed after a minute, not after two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def ledger_url(text: str) -> URL:
    """`text` as a URL for psycopg2, whichever spelling of PostgreSQL it uses.

    Raises `SettingsError`, which never repeats the URL: it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(SETTING, "not a URL; expected postgresql://user:password@host:5432/database") from None
    if url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise SettingsError(SETTING, f"{url.drivername} is not supported; the ledger needs PostgreSQL: postgresql://…")
    # A bare postgresql:// means another driver from SQLAlchemy 2.1 on.
    return url.set(drivername="postgresql+psycopg2")


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """How a server is entered, beside what its URL says.

    `ca_file` names the certificates that the server's own is checked against; `token` makes a password for (host, port,
    user) anew for each connection. With either, a connection is encrypted and the server's name is checked.
    """

    ca_file: str | None = None
    token: Callable[[str, int, str], str] | None = None

    def arguments(self, url: URL) -> dict[str, str]:
        """Arguments of the driver. Raises `SettingsError` where the URL asks for less than a token needs."""
        if self.ca_file is None and self.token is None:
            return {}
        if url.query.get("sslmode", _VERIFIED) != _VERIFIED:
            raise SettingsError(SETTING, f"sslmode must be {_VERIFIED}, or the password could be read on the way")
        # A word of the driver's: the certificates that the operating system trusts.
        return {"sslmode": _VERIFIED, "sslrootcert": self.ca_file or str(url.query.get("sslrootcert", "system"))}


_VERIFIED = "verify-full"


_ADVICE = {
    "certificate verify failed": "LAKE_LEDGER_CA must name the certificates that vouch for this server: for RDS the "
    "bundle of its region, or the global one, that AWS publishes (docs/s3.md).",
    "does not match host name": "Write the name that stands in the certificate into LAKE_LEDGER_URL: for RDS the "
    "endpoint itself, no alias and no address.",
    "does not support SSL": "Switch TLS on at the server. Without LAKE_LEDGER_CA and with a password it is done "
    "without, for a network that nobody else is in.",
    "authentication failed": "Check user and password. With LAKE_LEDGER_AUTH=iam the user needs GRANT rds_iam, and the "
    "AWS role of this machine rds-db:connect for that user (docs/s3.md).",
}
"""What to do next, by what the driver or the server says where nobody was let in."""


_OF_THE_DRIVER = (psycopg2.OperationalError, psycopg2.InterfaceError)
"""What COPY raises, which SQLAlchemy knows nothing of."""


class Database:
    """Pooled connections to one database, opened when first needed. Safe to share between threads."""

    def __init__(self, url: str, entrance: Entrance | None = None) -> None:
        self._url = ledger_url(url)
        entrance = entrance or Entrance()
        arguments = entrance.arguments(self._url)
        self._engine = create_engine(
            self._url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=20,
            use_native_hstore=False,
            connect_args={**_CONNECT_ARGS, **arguments},
        )
        if entrance.token is not None:
            event.listen(self._engine, "do_connect", partial(_sign_in, entrance.token))
        event.listen(self._engine, "connect", _bound_idle_transactions)
        self._schema_is_right = False

    def close(self) -> None:
        """Close every connection. Using the ledger again opens new ones."""
        self._engine.dispose()

    @property
    def place(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def transaction(self, *, any_schema: bool = False) -> Iterator[Connection]:
        """One transaction, committed when the block ends and rolled back when it raises.

        Raises `LedgerUnavailable` when nothing was written, `OutcomeUnknown` when the connection was lost during
        the commit, and `LedgerOutdated` (unless `any_schema`) when the schema is not the one of this version.
        """
        with self._connect() as connection:
            try:
                if not any_schema:
                    self._check_schema(connection)
                yield connection
            except (OperationalError, InterfaceError, *_OF_THE_DRIVER) as error:
                if isinstance(error, _OF_THE_DRIVER):
                    # Or it would be rolled back, which a lost one can't be.
                    connection.invalidate()
                raise LedgerUnavailable(
                    f"The ledger ({SETTING}, {self.place}) did not do what it was asked: {_first_line(error)}. "
                    "Nothing was written; try again."
                ) from error
            self._commit(connection)

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except DBAPIError as error:
            raise LedgerUnavailable(
                f"{SETTING}: PostgreSQL can't be reached at {self.place}: {_first_line(error)}. {_advice(error)}"
            ) from error

    def _commit(self, connection: Connection) -> None:
        try:
            connection.commit()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise LedgerUnavailable(
                    f"The ledger ({SETTING}, {self.place}) refused to commit: {_first_line(error)}"
                ) from error
            raise OutcomeUnknown(
                f"The connection to the ledger ({SETTING}, {self.place}) was lost while it committed, so the write "
                "may or may not have happened. `lake status` shows which, once the server is back."
            ) from error

    def _check_schema(self, connection: Connection) -> None:
        if self._schema_is_right:
            return
        found = schema_revision(connection)
        if found is None:
            raise LedgerOutdated(f"{SETTING}: {self.place} holds no ledger yet. Run `lake ledger migrate`.")
        if found > REVISION:
            raise LedgerOutdated(
                f"{SETTING}: {self.place} is at revision {found}, made by a newer version of this program, which "
                f"knows {REVISION}. Install the newer version."
            )
        if found < REVISION:
            raise LedgerOutdated(
                f"{SETTING}: {self.place} is at revision {found}, this version needs {REVISION}. "
                "Run `lake ledger migrate`."
            )
        self._schema_is_right = True


def _sign_in(token: Callable[[str, int, str], str], *connecting: Any) -> None:
    """A listener to each new connection: a token is older than the pool soon."""
    arguments = connecting[3]
    port = int(arguments.get("port") or DEFAULT_PORT)
    arguments["password"] = token(arguments["host"], port, arguments["user"])


def _bound_idle_transactions(connection: Any, _record: Any) -> None:
    """A worker that is paused between two statements must not hold its locks until it wakes up.

    A statement and not a start-up option: connection poolers refuse those.
    """
    with connection.cursor() as cursor:
        cursor.execute(query("bound_idle_transactions").text)
    connection.commit()


def schema_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None where it holds no ledger."""
    if not connection.scalar(query("has_revision")):
        return None
    revision: str | None = connection.scalar(query("revision"))
    return revision


def _advice(error: Exception) -> str:
    # A name with two addresses has a line for each, and only one of them may be the reason.
    told = [advice for said, advice in _ADVICE.items() if said in str(error)]
    return " ".join(told) or "Check the URL, and that the server runs."


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip().partition("\n")[0] or type(cause).__name__
