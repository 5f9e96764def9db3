"""The roles of docs/grants.md: each can do what the page says, and is refused the rest in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url

from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import DirectorySite
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "grants.md").read_text(encoding="utf-8")
ROLES = ("owner", "worker", "reader")
RAW = "2026/week06/a.json"

READING = (
    ("status",),
    ("query", "SELECT count(*) FROM json_parsed_parquet"),
    ("plan",),
    ("fsck",),
    ("forget", "--dry-run", RAW),
    ("contract", "show"),
    ("snapshot", "list"),
)

WRITING = (
    ("discover",),
    ("ingest",),
    ("retry",),
    ("rebuild", "2026-02-03|live"),
    ("forget", RAW),
    ("snapshot", "create", "kept"),
    ("contract", "widen", "id"),
)

_numbers = count(1)


def execute(url: URL, script: str) -> None:
    """Each statement of `script` in a transaction of its own, as psql does."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in filter(str.strip, script.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def sites(postgres: str, tmp_path: Path) -> Iterator[dict[str, DirectorySite]]:
    """The lake as each role sees it, before the first migration."""
    suffix = f"_{next(_numbers)}"
    as_superuser, as_owner = (
        re.sub(r"lake_(\w+)", rf"lake_\1{suffix}", script).replace("DATABASE lake ", f"DATABASE lake{suffix} ")
        for script in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    )
    server = make_url(postgres).set(database="postgres")
    passwords = dict(re.findall(r"ROLE (\w+) LOGIN PASSWORD '(.*?)'", as_superuser))
    urls = {
        role: server.set(
            username=f"lake_{role}{suffix}", password=passwords[f"lake_{role}{suffix}"], database=f"lake{suffix}"
        )
        for role in ROLES
    }
    execute(server, as_superuser)
    execute(urls["owner"], as_owner)
    site = DirectorySite("", tmp_path / "home", tmp_path / "lake")
    yield {role: replace(site, url=url.render_as_string(hide_password=False)) for role, url in urls.items()}
    execute(server, f"DROP DATABASE lake{suffix} WITH (FORCE)")
    execute(server, ";".join(f"DROP ROLE lake_{role}{suffix}" for role in ROLES))


def test_each_role_can_do_what_the_page_says_and_nothing_else(sites: dict[str, DirectorySite]) -> None:
    owner, worker, reader = (sites[role] for role in ROLES)
    worker.land({RAW: ndjson(*records(0, 3))})

    refused = worker.run("ledger", "migrate")
    assert (refused.exit_code, "docs/grants.md" in refused.stderr) == (1, True), refused.output
    assert owner.run("ledger", "migrate").exit_code == 0
    for command in (("discover",), ("ingest",), *READING):
        result = worker.run(*command)
        assert result.exit_code == 0, (command, result.output)
    for command in READING:
        result = reader.run(*command)
        assert result.exit_code == 0, (command, result.output)
    reader.land({"2026/week06/b.json": ndjson(*records(3, 1))})
    for command in WRITING:
        result = reader.run(*command)
        assert result.exit_code == 1, (command, result.output)
        assert "docs/grants.md" in result.stderr, (command, result.stderr)
        assert result.stderr.count("\n") == 1, (command, result.stderr)

    assert worker.run("discover").exit_code == 0
    assert worker.run("ingest").exit_code == 0
    assert_intact(worker.lake, range(4))
    worker.lake.ledger.close()
