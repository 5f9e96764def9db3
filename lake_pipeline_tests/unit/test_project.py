"""Promises about the files of the repository."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

from lake_pipeline_tests.support.repository import REPOSITORY

PAGES = sorted(
    path for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")] if not path.name.startswith(".")
)
_LINK = re.compile(r"\[[^]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_FOLDER = re.compile(r"`((?:lake_pipeline|lake_pipeline_tests|local_aws|bench|docs|examples)/[\w./-]*)`")
_FILE = re.compile(r"`([\w./-]+/[\w-]+\.(?:py|sql))`")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def test_constraints_are_versions_and_nothing_else() -> None:
    """No host, path or option: they must work with any package index."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    assert len(lines) == len({line.partition("==")[0].lower() for line in lines})


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["dev"], *extras["spark"]]
    names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in requirements} - {project["name"]}
    pinned = {line.partition("==")[0].lower() for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    assert {name.replace("_", "-") for name in names} <= {name.replace("_", "-") for name in pinned}


def test_pyproject_leaves_dagster_to_workspace_yaml() -> None:
    """A [tool.dagster] or [tool.dg] block makes `dagster dev` ignore workspace.yaml."""
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    assert not tools.keys() & {"dagster", "dg"}


def test_only_tests_import_the_tests() -> None:
    """The product, the local AWS and the benchmarks work without `lake_pipeline_tests`."""
    folders = ("lake_pipeline", "local_aws", "bench", "glue")
    imports = re.compile(r"^\s*(?:from|import) lake_pipeline_tests\b", re.MULTILINE)
    modules = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(modules) > 100
    assert [str(path) for path in modules if imports.search(path.read_text())] == []


def test_the_make_targets_are_described() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    described = set(re.findall(r"^([a-z0-9-]+):.*##", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert targets == described == set(phony[1].replace("\\", " ").split())
    assert {"install", "demo", "dev", "test", "test-fast", "check", "bench", "clean", "clean-lake"} <= targets


def test_pages_name_only_targets_of_make_that_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {(page.name, target) for page in PAGES for target in _targets_of_make(page.read_text())}
    assert {(page, target) for page, target in named if target not in targets} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_and_paths_of_a_page_exist(page: Path) -> None:
    text = _FENCE.sub("", page.read_text())
    links = [link for link in _LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [path for path in _FOLDER.findall(text) if not (REPOSITORY / path).exists()] == []
    # A page may shorten the path of a module.
    sources = [f"/{path.relative_to(REPOSITORY).as_posix()}" for path in _sources()]
    missing = [path for path in _FILE.findall(text) if not any(source.endswith(f"/{path}") for source in sources)]
    assert missing == []


def test_every_decision_is_listed() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    files = sorted(path.name for path in folder.glob("0*.md"))
    assert re.findall(r"^\| \[\d+\]\((.*?)\) \| ", (folder / "README.md").read_text(), re.MULTILINE) == files
    # A page may be merged before one with a lower number.
    assert len({int(name[:4]) for name in files}) == len(files)
    headings = {name: (folder / name).read_text().splitlines()[0] for name in files}
    assert {name for name, heading in headings.items() if not heading.startswith(f"# {int(name[:4])}. ")} == set()


def test_comments_refer_to_decisions_that_exist() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    numbers = {path.name[:4] for path in (REPOSITORY / "docs" / "decisions").glob("0*.md")}
    referred = {
        (name, number)
        for name in tracked.splitlines()
        if name.endswith((".py", ".sql", ".toml", ".md")) and (REPOSITORY / name).is_file()
        for number in re.findall(r"decisions/(0\d{3})", (REPOSITORY / name).read_text())
    }
    assert {(name, number) for name, number in referred if number not in numbers} == set()


def test_unit_tests_are_in_the_folder_of_their_package() -> None:
    tests = REPOSITORY / "lake_pipeline_tests"
    packages = {path.parent.name for path in (REPOSITORY / "lake_pipeline").glob("*/__init__.py")} | {"bench"}
    folders = {path.name for path in (tests / "unit").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= packages
    assert {path.name for path in tests.glob("*.py")} == {"__init__.py", "conftest.py"}


@cache
def _sources() -> list[Path]:
    folders = ("lake_pipeline", "lake_pipeline_tests", "local_aws", "bench", "glue", "docs", "examples")
    return [
        path for folder in folders for ending in ("py", "sql") for path in (REPOSITORY / folder).rglob(f"*.{ending}")
    ]


def _targets_of_make(text: str) -> list[str]:
    """In backticks, and at the beginning of lines of code."""
    code = "\n".join(_FENCE.findall(text))
    return [*re.findall(r"`make ([a-z][a-z0-9-]*)", text), *re.findall(r"^make ([a-z][a-z0-9-]*)", code, re.MULTILINE)]
