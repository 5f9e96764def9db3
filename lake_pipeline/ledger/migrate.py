"""Schema migration: bring a database to the schema of this version, and report which one it has.

Alembic runs the revisions of migrations/ through this module only; there is no alembic.ini.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from lake_pipeline.errors import LedgerOutdated
from lake_pipeline.ledger.connection import SETTING, ConnectionOptions, Database, refuse_unreleased, schema_revision
from lake_pipeline.ledger.migrations import REVISION

if TYPE_CHECKING:
    # Takes a fifth of a second to load, and a database is rarely out of date.
    from alembic.config import Config

_LOCK = text("SELECT pg_advisory_xact_lock(1279349575, -1)")
"""In the lock space of the ledger: two processes that start together migrate one after the other."""


def migrate(url: str, options: ConnectionOptions | None = None) -> tuple[str | None, str]:
    """Bring the database to the newest revision in one transaction; returns the revision before and after.

    None before means that there was no ledger. Raises `LedgerUnavailable`, and `LedgerOutdated` if the database was
    created by a newer version of this program, or before the first release.
    """
    database = Database(url, options)
    try:
        with database.transaction(any_schema=True) as connection:
            connection.execute(_LOCK)
            old = schema_revision(connection)
            if old != REVISION:
                refuse_unreleased(old, database.display_url)
                _upgrade(connection, database.display_url)
            return old, REVISION
    finally:
        database.close()


def current_revision(url: str) -> str | None:
    """The revision of a database; None if it has no ledger. Raises `LedgerUnavailable`."""
    database = Database(url)
    try:
        with database.transaction(any_schema=True) as connection:
            return schema_revision(connection)
    finally:
        database.close()


def head_revision() -> str:
    """The newest revision in the folder of migrations."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package was installed without its migrations"
    return head


def _upgrade(connection: Connection, display_url: str) -> None:
    from alembic import command
    from alembic.util import CommandError

    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerOutdated(
            f"{SETTING}: {display_url} was created by a newer version of this program. Install that version. ({error})"
        ) from error


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).with_name("migrations")
    # ConfigParser reads a percent sign as the start of a placeholder.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
