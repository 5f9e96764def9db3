"""The Alembic environment: runs all revisions in one transaction, on the connection it was given.

Nothing is configured here; `lake_pipeline.ledger.migrate` opens the connection.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from lake_pipeline.ledger.migrations import VERSION_TABLE

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
