"""A probe of a database that is not the ledger's: why it can't be used, as one line. It reads and writes no data."""

from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from lake_pipeline.errors import LedgerUnavailable
from lake_pipeline.ledger.connection import first_line, ledger_url, shown_url


def check_database(url: str, setting: str) -> None:
    """Raises `LedgerUnavailable` if the database does not answer, or may not be changed by this user."""
    engine = create_engine(ledger_url(url), connect_args={"connect_timeout": 10})
    display_url = shown_url(engine.url)
    try:
        with engine.connect() as connection:
            may_write = connection.exec_driver_sql(
                "SELECT current_setting('transaction_read_only') = 'off' AND has_schema_privilege('public', 'CREATE')"
            ).scalar()
    except DBAPIError as error:
        problem = first_line(error, engine.url)
        raise LedgerUnavailable(
            f"The database is unreachable ({setting}, {display_url}): {problem}. Check the URL, and that the server "
            "runs."
        ) from error
    finally:
        engine.dispose()
    if not may_write:
        raise LedgerUnavailable(
            f"The database refuses ({setting}, {display_url}): it is read-only, or its user may not create tables in "
            "the schema public. Use the primary, and a user that owns the database."
        )
