"""Every case in `lake_pipeline_tests/cases/`, on every engine; docs/conversion.md and the cases must agree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.contract.naming import PROVENANCE
from lake_pipeline.convert.request import Engine
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline_tests.cases import Case, all_cases, options_of
from lake_pipeline_tests.support.factories import Converted, LakeOnDisk, ShardedEngine
from lake_pipeline_tests.support.repository import REPOSITORY

PAGE = REPOSITORY / "docs/conversion.md"
SECTIONS = ("Files", "Records", "Dates", "Modes", "Values")

ENGINES: dict[str, Callable[[DirectoryStore], Engine]] = {
    "in_process": InProcessEngine,
    # Files are split into ranges wherever possible, and merged.
    "sharded": ShardedEngine,
}
CASES = all_cases()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Callable[[DirectoryStore], Engine]:
    return ENGINES[request.param]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_gives_the_promised_result(
    case: Case, engine: Callable[[DirectoryStore], Engine], tmp_path: Path
) -> None:
    converted = LakeOnDisk(tmp_path, engine=engine).convert(case.files, **options_of(case))
    assert [shown(row, expected, converted) for row, expected in pairs_of(converted.rows(), case.rows)] == case.rows
    quarantined = pairs_of(converted.quarantined(), case.quarantined)
    assert [expected_part(record, expected) for record, expected in quarantined] == case.quarantined
    for key, expected in case.outcomes.items():
        outcome = converted.outcome(key)
        assert {name: getattr(outcome, name) for name in expected} == expected
    for outcome in converted.report.manifest.files:
        assert outcome.read == outcome.published + outcome.quarantined


def pairs_of(
    actual: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    assert len(actual) == len(expected), actual
    return list(zip(actual, expected, strict=True))


def shown(row: dict[str, Any], expected: dict[str, Any], converted: Converted) -> dict[str, Any]:
    """The part of `row` that is expected. `columns` names columns by path if their name is not part of the promise."""
    names = {column.path: column.name for column in converted.contract.columns}
    unlike = {
        name: row.get(name) for name in expected if name != "columns" and not alike(row.get(name), expected[name])
    }
    actual = {**expected, **unlike}
    if "columns" in expected:
        actual["columns"] = [[path, row[names[tuple(path)]]] for path, _ in expected["columns"]]
        safe = [name for name in names.values() if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in PROVENANCE]
        assert len(set(safe)) == len(names), names
    return actual


def alike(actual: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return (
            isinstance(actual, float) and actual == expected and math.copysign(1, actual) == math.copysign(1, expected)
        )
    if isinstance(expected, bool) or isinstance(actual, bool):
        return actual is expected
    return bool(actual == expected)


def expected_part(record: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The part of a quarantined record that is expected, its bytes as text."""
    assert record["detail"]
    return {name: record[name].decode() if name == "raw" else record[name] for name in expected}


def test_every_rule_in_the_docs_has_a_case_and_vice_versa() -> None:
    page = PAGE.read_text()
    shown = {rule for case in CASES for rule in case.rules}
    owed = {rule for section in SECTIONS for rule in rules_in(page.split(f"\n## {section}\n")[1].split("\n## ")[0])}
    assert owed - shown == set()
    assert shown - rules_in(page) == set()


def rules_in(text: str) -> set[str]:
    """The first cells of all tables in a text."""
    return {row.group(1) for row in re.finditer(r"^\| (.+?) \| .+ \|$", text, re.MULTILINE)} - {"content"}


def test_every_case_states_its_promise() -> None:
    assert [case.name for case in CASES if not re.fullmatch(r"[A-Z].+\.", case.promise)] == []
