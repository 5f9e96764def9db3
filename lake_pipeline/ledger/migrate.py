"""Schema migration: bring a database to the schema of this version, and report which one it has.

Alembic runs the revisions of migrations/ through this module only; there is no alembic.ini.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from lake_pipeline.errors import LedgerOutdated
from lake_pipeline.ledger.connection import SETTING, ConnectionOptions, Database, refuse_unreleased, schema_revision

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
            refuse_unreleased(old, database.display_url)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return old, head_revision()
    except CommandError as error:
        raise LedgerOutdated(
            f"{SETTING}: {database.display_url} was created by a newer version of this program. "
            f"Install that version. ({error})"
        ) from error
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
    """The newest revision of this version of the program."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package was installed without its migrations"
    return head


def _config() -> Config:
    config = Config()
    folder = Path(__file__).with_name("migrations")
    # ConfigParser reads a percent sign as the start of a placeholder.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
