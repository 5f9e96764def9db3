"""The ledger's schema as Alembic revisions. Each is a Python file that runs the SQL file of the same name."""

from __future__ import annotations

REVISION = "0013"
"""The newest revision: the schema that this version of the program works with."""

VERSION_TABLE = "ledger_revision"
"""Where a database remembers its revision. Not Alembic's default name: Dagster uses that one, perhaps beside us."""
