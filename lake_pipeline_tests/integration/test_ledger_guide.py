"""docs/ledger.md agrees with the code: its diagrams are the state machines, its SQL runs, its commands exist."""

from __future__ import annotations

import re

import pytest

from lake_pipeline.cli import COMMANDS
from lake_pipeline.model.states import BATCH_TRANSITIONS, TRANSITIONS
from lake_pipeline_tests.support.ledger_builders import run_sql
from lake_pipeline_tests.support.repository import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "ledger.md").read_text(encoding="utf-8")

DIAGRAMS = re.findall(r"```mermaid\n(.*?)```", GUIDE, re.DOTALL)
QUERIES = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize(("diagram", "transitions"), list(zip(DIAGRAMS, [TRANSITIONS, BATCH_TRANSITIONS], strict=True)))
def test_the_diagrams_are_the_state_machines_of_the_code(diagram: str, transitions: frozenset[tuple[str, str]]) -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): \S", diagram, re.MULTILINE)

    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(str(before), str(after)) for before, after in transitions}


@pytest.mark.parametrize("sql", QUERIES, ids=range(len(QUERIES)))
def test_the_sql_of_the_guide_runs(ledger_url: str, sql: str) -> None:
    assert run_sql(ledger_url, sql.replace(":", r"\:")) == []


def test_every_command_of_the_guide_exists() -> None:
    names = {command.name for command in COMMANDS}
    assert set(re.findall(r"`lake (\w+)", GUIDE)) <= names
