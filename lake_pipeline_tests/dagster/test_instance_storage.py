"""Dagster's tables: however far the process came that made them, the next one finds all of them."""

from __future__ import annotations

import pytest

from lake_pipeline.defs.instance_storage import LakeInstanceStorage
from lake_pipeline_tests.ledger_builders import run_sql

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE :like ORDER BY 1"


@pytest.fixture
def url(ledger_url: str) -> str:
    """A database of this test's own; that there is a ledger in it, too, is no matter."""
    return ledger_url


def opened(url: str) -> LakeInstanceStorage:
    return LakeInstanceStorage.from_config_value(None, {"url": url, "home": None, "max_runs": 2})


def tables(url: str) -> list[str]:
    return [row.tablename for row in run_sql(url, TABLES, like="%")]


def test_tables_that_a_killed_process_did_not_come_to_are_made_by_the_next_one(url: str) -> None:
    """It makes them one by one, and the next one only looks for one of them."""
    ours = set(tables(url))
    opened(url)
    expected = tables(url)
    for name in set(expected) - ours - {"alembic_version"}:
        run_sql(url, f"DROP TABLE {name} CASCADE")
        opened(url)
        assert tables(url) == expected, name


def test_what_is_noted_of_new_tables_is_noted_by_the_next_process(url: str) -> None:
    first = opened(url)
    revision = first.event_log_storage.alembic_version()
    noted = run_sql(url, "SELECT name FROM secondary_indexes ORDER BY name")
    assert noted
    run_sql(url, "DROP TABLE alembic_version")
    run_sql(url, "DELETE FROM secondary_indexes")

    second = opened(url)

    assert second.event_log_storage.alembic_version() == revision
    assert run_sql(url, "SELECT name FROM secondary_indexes ORDER BY name") == noted
