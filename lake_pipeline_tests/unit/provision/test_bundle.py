"""The code of the Glue jobs: its contents, and that its parts have the same version."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from lake_pipeline import __version__
from lake_pipeline.provision.bundle import BUNDLE, LISTER, PROCESSOR, bundle, digest, modules, write_bundle
from lake_pipeline_tests.support.repository import REPOSITORY


def test_scripts_and_package_have_the_same_version() -> None:
    for name in (PROCESSOR, LISTER):
        assert re.findall(rb'^VERSION = "(.+)"$', bundle()[name], re.MULTILINE) == [__version__.encode()]


def test_jobs_install_the_tested_versions() -> None:
    tested = set((REPOSITORY / "constraints.txt").read_text().splitlines())
    assert set(modules(alone=True)) <= tested
    assert {"numba", "llvmlite", "pyarrow"} <= {module.partition("==")[0] for module in modules()}
    assert not {"psycopg2-binary", "SQLAlchemy"} & {module.partition("==")[0] for module in modules()}


def test_the_bundle_has_kernel_and_ledger_but_no_modules_for_hosts_only() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle()[BUNDLE])) as archive:
        parts = {name.split("/")[1] for name in archive.namelist()}
    assert {
        "convert",
        "storage",
        "contract",
        "model",
        "aws",
        "ledger",
        "usecases",
        "engines",
        "settings",
        "composition.py",
    } <= parts
    assert not {"defs", "cli", "consume", "provision", "demo_data", "definitions.py", "glue"} & parts


def test_the_same_code_gives_the_same_bundle(tmp_path: Path) -> None:
    """Otherwise `lake provision` would upload it again each time, under another key."""
    command = [sys.executable, "-m", "lake_pipeline.provision.bundle", str(tmp_path)]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert {Path(path).name: Path(path).read_bytes() for path in written} == bundle()
    assert len(digest()) == 16
    assert sorted(path.name for path in write_bundle(tmp_path)) == sorted(bundle())
