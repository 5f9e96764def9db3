"""Connections to the ledger's PostgreSQL: URL, authentication, transactions, errors, and the check of the schema.

No query of the ledger's own work belongs here; those are methods of the components, which derive from `Component`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from lake_pipeline.errors import LedgerOutdated, LedgerUnavailable, OutcomeUnknown, SettingsError
from lake_pipeline.ledger.migrations import REVISION, UNRELEASED
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.refusals import refusal
from lake_pipeline.model.redaction import is_secret_name, shown_database_url, without_credentials

log = logging.getLogger(__name__)

SETTING = "LAKE_LEDGER_URL"

DEFAULT_PORT = 5432

_CONNECT_ARGS = {
    "application_name": "lake_pipeline",
    "connect_timeout": 10,
    # Detects a connection that a firewall dropped after a minute, not after two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def ledger_url(text: str) -> URL:
    """`text` as a URL for psycopg2; any scheme of PostgreSQL is accepted.

    Raises `SettingsError`, which never contains the URL: it may have a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(SETTING, "not a URL; expected postgresql://user:password@host:5432/database") from None
    if url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise SettingsError(SETTING, f"{url.drivername} is not supported; the ledger needs PostgreSQL: postgresql://…")
    if "@" in (url.host or "") or "@" in (url.database or ""):
        # A part of the password would be shown as the name of a host or of a database.
        raise SettingsError(SETTING, "a @ or / in user or password must be written as %40 or %2F")
    # A bare postgresql:// selects another driver from SQLAlchemy 2.1 on.
    return url.set(drivername="postgresql+psycopg2")


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """How to connect to a server, in addition to what its URL says.

    `ca_file` has the certificates that verify the server's. `token` returns a password for (host, port, user) and is
    called for each connection. With either of them, connections are encrypted and the server's name is verified.
    """

    ca_file: str | None = None
    token: Callable[[str, int, str], str] | None = None

    def driver_arguments(self, url: URL) -> dict[str, str]:
        """Connection arguments of the driver. Raises `SettingsError` if the URL asks for less than a token needs."""
        if self.ca_file is None and self.token is None:
            return {}
        if url.query.get("sslmode", _VERIFIED) != _VERIFIED:
            raise SettingsError(SETTING, f"sslmode must be {_VERIFIED}, or the password could be intercepted")
        # "system" selects the certificates that the operating system trusts.
        return {"sslmode": _VERIFIED, "sslrootcert": self.ca_file or str(url.query.get("sslrootcert", "system"))}


_VERIFIED = "verify-full"


_ADVICE = {
    "certificate verify failed": "Set LAKE_LEDGER_CA to the certificates that sign this server's: for RDS the bundle "
    "of its region, or the global one, that AWS publishes (docs/s3.md).",
    "does not match host name": "Use the name in the certificate in LAKE_LEDGER_URL: for RDS the endpoint itself, "
    "not an alias or an address.",
    "does not support SSL": "Enable TLS on the server. A connection without TLS is only made without LAKE_LEDGER_CA "
    "and with a password; use it in a private network only.",
    "authentication failed": "Check user and password. With LAKE_LEDGER_AUTH=iam the user needs GRANT rds_iam, and the "
    "AWS role of this machine rds-db:connect for that user (docs/s3.md).",
}
"""The next step by the message of the driver or the server, if a connection was refused."""


LONGEST_PAUSE_SECONDS = 5.0
"""The longest pause between two attempts to reach the server while a claim is held."""


_DRIVER_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)
"""Raised by COPY, which SQLAlchemy does not wrap."""


class Database:
    """Pooled connections to one database, opened when first needed. Safe to share between threads."""

    def __init__(self, url: str, options: ConnectionOptions | None = None) -> None:
        self._url = ledger_url(url)
        options = options or ConnectionOptions()
        arguments = options.driver_arguments(self._url)
        self._engine = create_engine(
            self._url,
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=20,
            use_native_hstore=False,
            connect_args={**_CONNECT_ARGS, **arguments},
        )
        if options.token is not None:
            event.listen(self._engine, "do_connect", partial(_set_password, options.token))
        event.listen(self._engine, "connect", _limit_idle_transactions)
        self._schema_is_current = False
        self._patience: list[Callable[[], float]] = []

    def close(self) -> None:
        """Close every connection. Using the ledger again opens new ones."""
        self._engine.dispose()

    @property
    def display_url(self) -> str:
        """The URL without its password, in the user part or in the query."""
        return shown_url(self._url)

    @property
    def address(self) -> str:
        """Host, port and database, without user and password."""
        return f"{self._url.host or 'localhost'}:{self._url.port or DEFAULT_PORT}/{self._url.database or ''}"

    @contextmanager
    def transaction(self, *, any_schema: bool = False) -> Iterator[Connection]:
        """One transaction, committed when the block ends and rolled back if it raises.

        Raises `LedgerUnavailable` if nothing was written (`LedgerRefused` if this user may not do it, or the database
        is read-only), `OutcomeUnknown` if the connection was lost during the commit, and `LedgerOutdated` (unless
        `any_schema`) if the schema is not the one of this version.
        """
        with self._connect() as connection:
            try:
                if not any_schema:
                    self._check_schema(connection)
                yield connection
            except (DBAPIError, psycopg2.Error) as error:
                if isinstance(error, _DRIVER_ERRORS):
                    # Otherwise SQLAlchemy would roll back, which fails on a lost connection.
                    connection.invalidate()
                explained = self._explained(error)
                if explained is None:
                    raise
                raise explained from error
            self._commit(connection)

    def _explained(self, error: Exception) -> LedgerUnavailable | None:
        """The error for the operator; None if `error` is a fault of a query."""
        where = f"{SETTING}, {self.display_url}"
        if refused := refusal(error, where):
            return refused
        if isinstance(error, (OperationalError, InterfaceError, *_DRIVER_ERRORS)):
            return LedgerUnavailable(
                f"Ledger query failed ({where}): {first_line(error, self._url)}. Nothing was written; try again."
            )
        return None

    @contextmanager
    def patience(self, seconds_left: Callable[[], float]) -> Iterator[None]:
        """While the block runs, wait for an unreachable server as long as `seconds_left` is positive.

        A server that restarts is back within seconds, and a conversion of minutes depends on it.
        """
        self._patience.append(seconds_left)
        try:
            yield
        finally:
            self._patience.remove(seconds_left)

    def _connect(self) -> Connection:
        for pause in pauses():
            try:
                return self._engine.connect()
            except DBAPIError as error:
                reason = first_line(error, self._url)
                if not (_may_return(error) and max((left() for left in self._patience), default=0) > pause):
                    raise LedgerUnavailable(
                        f"Ledger unreachable ({SETTING}, {self.display_url}): {reason}. {_advice(error)}"
                    ) from error
                log.warning("The ledger is unreachable, next attempt in %.1f s: %s", pause, reason)
            time.sleep(pause)
        raise AssertionError("pauses never end")

    def _commit(self, connection: Connection) -> None:
        try:
            connection.commit()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise LedgerUnavailable(
                    f"Ledger commit failed ({SETTING}, {self.display_url}): {first_line(error, self._url)}"
                ) from error
            raise OutcomeUnknown(
                f"The connection to the ledger ({SETTING}, {self.display_url}) was lost during a commit. The write may "
                "or may not have happened. `lake status` shows which, once the server is back."
            ) from error

    def _check_schema(self, connection: Connection) -> None:
        if self._schema_is_current:
            return
        revision = schema_revision(connection)
        if revision is None:
            raise LedgerOutdated(
                f"{SETTING}: {self.display_url} has no ledger yet, or hides it from this user. Run "
                "`lake ledger migrate`, or grant the user the schema (docs/grants.md)."
            )
        refuse_unreleased(revision, self.display_url)
        if revision > REVISION:
            raise LedgerOutdated(
                f"{SETTING}: {self.display_url} is at revision {revision}, created by a newer version of this program; "
                f"this version has {REVISION}. Install the newer version."
            )
        if revision < REVISION:
            raise LedgerOutdated(
                f"{SETTING}: {self.display_url} is at revision {revision}, this version needs {REVISION}. "
                "Run `lake ledger migrate`."
            )
        self._schema_is_current = True


class Component:
    """A part of the ledger: the queries of one subject, on a database that all components share."""

    def __init__(self, database: Database) -> None:
        self._database = database


def _set_password(token: Callable[[str, int, str], str], *connecting: Any) -> None:
    """A listener for each new connection: a token expires long before the pool is closed."""
    arguments = connecting[3]
    port = int(arguments.get("port") or DEFAULT_PORT)
    arguments["password"] = token(arguments["host"], port, arguments["user"])


def _limit_idle_transactions(connection: Any, _record: Any) -> None:
    """A worker that is paused between two statements must not keep its locks until it resumes.

    A statement and not a start-up option: connection poolers reject those.
    """
    with connection.cursor() as cursor:
        cursor.execute(query("limit_idle_transactions").text)
    connection.commit()


def schema_revision(connection: Connection) -> str | None:
    """The revision of the database; None if it has no ledger."""
    if not connection.scalar(query("has_revision")):
        return None
    revision: str | None = connection.scalar(query("revision"))
    return revision


def refuse_unreleased(revision: str | None, url: str) -> None:
    """Raises `LedgerOutdated` for a ledger from before the first release: it can't be migrated."""
    if revision in UNRELEASED:
        raise LedgerOutdated(
            f"{SETTING}: {url} is at revision {revision}, created before the first release, and can't be migrated. "
            "Start over with an empty database and an empty LAKE_ROOT (without LAKE_LEDGER_URL: remove LAKE_HOME), "
            "copy the originals to its landing zones and run `lake ledger migrate`."
        )


def pauses() -> Iterator[float]:
    """The pauses between attempts to reach the server: 0.2 s, growing to 5 s."""
    pause = 0.2
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _may_return(error: DBAPIError) -> bool:
    """Whether the server may be back soon. Wrong passwords and certificates stay wrong."""
    return isinstance(error, OperationalError) and not any(message in str(error) for message in _ADVICE)


def _advice(error: Exception) -> str:
    # A host name with two addresses gives a line for each, and only one of them may have the cause.
    advice = [text for message, text in _ADVICE.items() if message in str(error)]
    return " ".join(advice) or "Check the URL, and that the server runs."


def shown_url(url: URL) -> str:
    """The URL without its password, in the user part or in the query."""
    return shown_database_url(url.render_as_string(hide_password=True))


def first_line(error: Exception, url: URL) -> str:
    """The first line of what the driver says, without the credentials of `url`."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    line = str(cause).strip().partition("\n")[0] or type(cause).__name__
    return without_credentials(line, _secrets_of(url))


def _secrets_of(url: URL) -> list[str]:
    """The password of a URL and the secret values of its query, as the driver may repeat them."""
    values = [value for name, value in url.query.items() if is_secret_name(name)]
    return [
        str(url.password or ""),
        *(text for value in values for text in ([value] if isinstance(value, str) else value)),
    ]
