"""Dagster's tables: if a process was killed while it created them, the next one creates the rest."""

from __future__ import annotations

import pytest

from lake_pipeline.defs.instance.storage import LakeInstanceStorage
from lake_pipeline_tests.support.ledger_builders import run_sql

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE :like ORDER BY 1"


@pytest.fixture
def url(ledger_url: str) -> str:
    """The database of this test; the ledger in it does not matter."""
    return ledger_url


def opened(url: str) -> LakeInstanceStorage:
    return LakeInstanceStorage.from_config_value(None, {"url": url, "home": None, "max_runs": 2})


def tables(url: str) -> list[str]:
    return [row.tablename for row in run_sql(url, TABLES, like="%")]


def test_tables_that_a_killed_process_did_not_create_are_created_by_the_next_one(url: str) -> None:
    """Dagster creates them one by one, and later checks only for one of them."""
    ledger_tables = set(tables(url))
    opened(url)
    expected = tables(url)
    for name in set(expected) - ledger_tables - {"alembic_version"}:
        run_sql(url, f"DROP TABLE {name} CASCADE")
        opened(url)
        assert tables(url) == expected, name


def test_migrations_that_a_killed_process_did_not_record_are_recorded_by_the_next_one(url: str) -> None:
    first = opened(url)
    revision = first.event_log_storage.alembic_version()
    migrations = run_sql(url, "SELECT name FROM secondary_indexes ORDER BY name")
    assert migrations
    run_sql(url, "DROP TABLE alembic_version")
    run_sql(url, "DELETE FROM secondary_indexes")

    second = opened(url)

    assert second.event_log_storage.alembic_version() == revision
    assert run_sql(url, "SELECT name FROM secondary_indexes ORDER BY name") == migrations
