"""Every case in `lake_pipeline_tests/cases/`, on every engine; and that docs/conversion.md and the cases agree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.contract.naming import PROVENANCE
from lake_pipeline.convert.in_process import InProcessEngine
from lake_pipeline.convert.request import Engine, Truncated
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline_tests.cases import Case, all_cases
from lake_pipeline_tests.factories import Converted, LakeOnDisk, Shared

PAGE = Path(__file__).parents[2] / "docs/conversion.md"
SECTIONS = ("Files", "Records", "Dates", "Modes", "Values")

ENGINES: dict[str, Callable[[DirectoryStore], Engine]] = {
    "in_process": InProcessEngine,
    # Cut into ranges wherever it may be, and joined again.
    "shared": Shared,
}
CASES = all_cases()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Callable[[DirectoryStore], Engine]:
    return ENGINES[request.param]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_comes_out_as_promised(case: Case, engine: Callable[[DirectoryStore], Engine], tmp_path: Path) -> None:
    converted = LakeOnDisk(tmp_path, engine=engine).convert(case.files, **options_of(case))
    assert [shown(row, expected, converted) for row, expected in paired(converted.rows(), case.rows)] == case.rows
    quarantined = paired(converted.quarantined(), case.quarantined)
    assert [told(record, expected) for record, expected in quarantined] == case.quarantined
    for key, expected in case.outcomes.items():
        outcome = converted.outcome(key)
        assert {name: getattr(outcome, name) for name in expected} == expected
    for outcome in converted.report.manifest.files:
        assert outcome.read == outcome.published + outcome.quarantined


def options_of(case: Case) -> dict[str, Any]:
    meanings: dict[str, Callable[[Any], Any]] = {
        "first_date": date.fromisoformat,
        "last_date": date.fromisoformat,
        "truncated": Truncated,
    }
    return {name: meanings.get(name, lambda value: value)(value) for name, value in case.options.items()}


def paired(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    assert len(found) == len(expected), found
    return list(zip(found, expected, strict=True))


def shown(row: dict[str, Any], expected: dict[str, Any], converted: Converted) -> dict[str, Any]:
    """The part of `row` that is expected. `columns` names columns by their path where the name is not promised."""
    names = {column.path: column.name for column in converted.contract.columns}
    unlike = {
        name: row.get(name) for name in expected if name != "columns" and not alike(row.get(name), expected[name])
    }
    found = {**expected, **unlike}
    if "columns" in expected:
        found["columns"] = [[path, row[names[tuple(path)]]] for path, _ in expected["columns"]]
        safe = [name for name in names.values() if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in PROVENANCE]
        assert len(set(safe)) == len(names), names
    return found


def alike(found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(found, float) and found == expected and math.copysign(1, found) == math.copysign(1, expected)
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    return bool(found == expected)


def told(record: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The part of a quarantined record that is expected, its bytes as text."""
    assert record["detail"]
    return {name: record[name].decode() if name == "raw" else record[name] for name in expected}


def test_every_rule_in_the_docs_has_a_case_and_the_other_way_round() -> None:
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
