"""The environment has one reader, `lake_pipeline.settings`, and no writer. Import contracts cannot see `os.environ`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_pipeline_tests.support.repository import REPOSITORY

READING = {"environ", "environb", "getenv", "getenvb"}
WRITING = {"putenv", "unsetenv"}
CHANGING_METHODS = {"setdefault", "update", "pop", "popitem", "clear", "__setitem__", "__delitem__"}

OWNER = "lake_pipeline/settings/"

MAY_READ = {"lake_pipeline/convert/native/environment.py"}
"""Machine code is loaded and compiled on Glue and Spark workers too, which have no settings."""


def test_only_settings_reads_the_environment() -> None:
    assert [line for path in _modules() if path not in MAY_READ for line in _uses(path)] == []


def test_no_module_writes_to_the_environment() -> None:
    assert [line for path in _modules(OWNER) for line in _writes(path)] == []


def test_each_exception_is_needed() -> None:
    assert [path for path in MAY_READ if not _uses(path)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os as system\nsystem.getenv('A')",
        "from os import environ",
        "from os import getenv as get",
        "import os\nos.putenv('A', 'b')",
        "import os\nprint({**os.environ})",
    ],
)
def test_each_way_to_read_the_environment_is_detected(source: str) -> None:
    assert list(_environment_nodes(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A'] = 'b'",
        "import os\nos.environ |= {'A': 'b'}",
        "import os\ndel os.environ['A']",
        "import os\nos.environ.setdefault('A', 'b')",
        "import os\nos.unsetenv('A')",
    ],
)
def test_each_way_to_write_to_the_environment_is_detected(source: str) -> None:
    assert list(_writing_nodes(ast.parse(source)))


def _modules(*more: str) -> Iterator[str]:
    """Paths of the package's modules. Those of `OWNER` only if it is in `more`."""
    for path in sorted((REPOSITORY / "lake_pipeline").rglob("*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        if not name.startswith(OWNER) or OWNER in more:
            yield name


def _uses(path: str) -> list[str]:
    return [f"{path}:{node.lineno}" for node in _environment_nodes(_tree(path))]


def _writes(path: str) -> list[str]:
    return [f"{path}:{node.lineno}" for node in _writing_nodes(_tree(path))]


def _tree(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / Path(path)).read_text(encoding="utf-8"))


def _environment_nodes(tree: ast.Module) -> Iterator[ast.stmt | ast.expr]:
    names = {"os"} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os" and alias.asname
    }
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="os", names=aliases):
                if {alias.name for alias in aliases} & (READING | WRITING):
                    yield node
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                if name in names and attribute in READING | WRITING:
                    yield node
            case _:
                pass


def _writing_nodes(tree: ast.Module) -> Iterator[ast.stmt | ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                if any(_is_environ(target) for target in targets):
                    yield node
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                if _is_environ(target):
                    yield node
            case ast.Call(func=ast.Attribute(attr=name, value=value)):
                if name in WRITING or (name in CHANGING_METHODS and _is_environ(value)):
                    yield node
            case _:
                pass


def _is_environ(node: ast.expr) -> bool:
    """`os.environ`, `environ` or an item of it."""
    if isinstance(node, ast.Subscript):
        node = node.value
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("environ", "environb")
