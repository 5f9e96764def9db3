"""Promises about the project's own files."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_constraints_are_versions_and_nothing_else() -> None:
    """No host, no path, no option: they must work with whatever package index a person uses."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    assert len(lines) == len({line.partition("==")[0].lower() for line in lines})


def test_every_direct_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["spark"]]
    names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in wanted} - {project["name"]}
    pinned = {line.partition("==")[0].lower() for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    assert {name.replace("_", "-") for name in names} <= {name.replace("_", "-") for name in pinned}


def test_pyproject_leaves_dagster_to_workspace_yaml() -> None:
    """A [tool.dagster] or [tool.dg] block makes `dagster dev` ignore workspace.yaml."""
    import tomllib

    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    assert not tools.keys() & {"dagster", "dg"}


def test_the_make_targets_are_described() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert targets == described
    assert {"install", "demo", "dev", "test", "check", "bench", "clean", "clean-lake"} <= targets
