"""The revisions of the ledger's schema, which Alembic runs.

`schema.sql` always has the current schema, and a test compares it with a migrated database. To change the schema of a
released version: copy its schema.sql to `versions/0001_ledger.sql` and let the baseline run that copy (once), add a
revision with the change, set `REVISION`, and make the same change in schema.sql.
"""

from __future__ import annotations

from pathlib import Path

REVISION = "0001_ledger"
"""The newest revision: the schema that this version of the program works with."""

UNRELEASED = frozenset({*(f"{number:04}" for number in range(1, 14)), "0001_baseline"})
"""Revisions of development versions, in no released version. They can't be migrated."""

VERSION_TABLE = "ledger_revision"
"""Where a database stores its revision. Not Alembic's default name: Dagster uses that one, maybe in this database."""

SCHEMA = Path(__file__).parents[1] / "schema.sql"
"""The current schema."""
