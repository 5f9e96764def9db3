"""The wheel, built, installed and used: it contains everything that is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lake_pipeline_tests.support.repository import REPOSITORY

PACKAGE = REPOSITORY / "lake_pipeline"

LAKE = """
import sys
import lake_pipeline
from lake_pipeline.cli import main
print(lake_pipeline.__file__, file=sys.stderr)
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY))
    (built,) = folder.glob("lake_pipeline-*.whl")
    return built


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_wheel_contains_every_file_of_the_package(wheel: Path) -> None:
    files = {
        path.relative_to(REPOSITORY).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert files - set(archive.namelist()) == set()
        assert "lake_pipeline/dagster.yaml" in archive.namelist()


def test_the_wheel_works_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """`lake status` creates the embedded ledger, so the wheel has the migrations."""
    site = tmp_path / "site"
    pip("install", "--no-deps", "--target", str(site), str(wheel))
    done = subprocess.run(
        [sys.executable, "-c", LAKE, "status", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "LAKE_ROOT": "lake", "LAKE_HOME": "home"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(site))
    assert sum(json.loads(done.stdout)["files"].values()) == 0
