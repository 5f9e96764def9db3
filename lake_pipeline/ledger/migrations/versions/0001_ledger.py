"""The ledger: files, batches, curated files, lineage, contract versions, commits, events and tallies.

The statements are in the SQL file of the same name.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    # Without parameters, or the driver would take the percent signs of RAISE for placeholders.
    op.get_bind().exec_driver_sql(sql, execution_options={"no_parameters": True})
