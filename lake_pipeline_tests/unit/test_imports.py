"""Promises about imports that import-linter cannot check: it sees no submodules of other packages and no attributes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_pipeline_tests.support.repository import REPOSITORY

PACKAGE = REPOSITORY / "lake_pipeline"

PRIVATE_DAGSTER = PACKAGE / "defs" / "instance"
"""The only place that may use private modules and attributes of Dagster (docs/decisions/0022)."""


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if PRIVATE_DAGSTER not in path.parents:
            yield path.relative_to(REPOSITORY), ast.parse(path.read_text())


def _private_dagster_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            if package.startswith("dagster") and any(part.startswith("_") for part in parts):
                yield name


def _private_attributes(tree: ast.Module) -> Iterator[str]:
    """Uses of `x._name`, except on `self` and `cls`. `_replace` is public for named tuples."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and node.attr != "_replace":
                yield f"{ast.unparse(node)} in line {node.lineno}"


def test_private_modules_of_dagster_are_imported_in_defs_instance_only() -> None:
    assert [f"{path}: {name}" for path, tree in _sources() for name in _private_dagster_imports(tree)] == []


def test_private_attributes_of_dagster_objects_are_used_in_defs_instance_only() -> None:
    users = [(path, tree) for path, tree in _sources() if path.parts[1] in ("defs", "definitions.py")]
    assert [f"{path}: {use}" for path, tree in users for use in _private_attributes(tree)] == []


def test_every_private_name_of_dagster_has_a_line_in_its_decision() -> None:
    decision = (REPOSITORY / "docs/decisions/0022-private-dagster-modules.md").read_text()
    trees = [ast.parse(path.read_text()) for path in PRIVATE_DAGSTER.glob("*.py")]
    imports = {name.rpartition(".")[2] for tree in trees for name in _private_dagster_imports(tree)}
    assert sorted(name for name in imports if f"`{name}`" not in decision) == []


@pytest.mark.parametrize(
    "source",
    [
        "import dagster._core.events",
        "from dagster._utils import interrupts",
        "from dagster import _check",
        "def run():\n    from dagster._core.storage.tags import SENSOR_NAME_TAG",
    ],
)
def test_each_way_to_import_a_private_module_is_detected(source: str) -> None:
    assert list(_private_dagster_imports(ast.parse(source)))


def test_setting_a_private_attribute_is_detected() -> None:
    assert list(_private_attributes(ast.parse("instance._get_event_batch_size = 500")))
    assert not list(_private_attributes(ast.parse("self._lock = 1")))


def test_a_command_that_converts_nothing_loads_no_kernel() -> None:
    """What `lake status` imports. Arrow, the kernel and Alembic would take half of its time."""
    code = "import sys, lake_pipeline.composition, lake_pipeline.cli.status; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "lake_pipeline.ledger.ledger" in modules
    slow = {"alembic", "boto3", "botocore", "dagster", "duckdb", "llvmlite", "numba", "numpy", "pyarrow", "pyspark"}
    assert slow.isdisjoint(modules)
