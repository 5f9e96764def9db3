"""The baseline: an empty database becomes a ledger by running schema.sql."""

from __future__ import annotations

from alembic import op

from lake_pipeline.ledger.migrations import SCHEMA

revision = "0001_ledger"
down_revision = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA.read_text(encoding="utf-8"), execution_options={"no_parameters": True})
