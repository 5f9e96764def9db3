"""Fixtures that start a server once per test process (PostgreSQL, Spark, a local AWS API), and fixtures of lakes."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from lake_pipeline.engines.spark import start_session
from lake_pipeline.ledger.embedded.client import embedded_url, release
from lake_pipeline.ledger.embedded.home import EmbeddedHome
from lake_pipeline.ledger.embedded.private_files import take_lock
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.lakes import ingest, lake_at, land
from local_aws.server import AwsServer, aws_server

_numbers = itertools.count(1)

Ledgers = Callable[[str | None], Ledger]
"""Makes another ledger; see the fixture `ledgers`."""

# Saves a third of a core for each JVM that a test starts.
os.environ["SPARK_CONF_DIR"] = str(Path(__file__).parent / "spark_conf")

# What a test lands is complete. Tests of files that are still being written set it.
os.environ["LAKE_MIN_AGE_SECONDS"] = "0"

SERVERS = {"postgres", "spark", "aws"}
"""Fixtures that start a server: tests that use one are marked `server`."""


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.fixture(scope="session", autouse=True)
def remove_embedded_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove data of embedded servers outside the tests' folders: 40 MB for each home, also of killed commands."""
    base = tmp_path_factory.getbasetemp()
    yield
    # A list, because the tree changes during the walk. Not `rglob`: tests make folders that are too deep for it.
    for folder in [Path(folder) for folder, _, names in os.walk(base) if "postgres.place" in names]:
        remove_embedded(folder)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database, the template of all ledgers. No connection to it stays open."""
    home = tmp_path_factory.mktemp("postgres")
    url = embedded_url(home, "template_ledger", durable=False)
    migrate(url)
    yield url
    remove_embedded(home)


@pytest.fixture
def ledger_url(postgres: str) -> Iterator[str]:
    """The URL of a fresh, migrated ledger for this test."""
    with _fresh_ledger(postgres) as url:
        yield url


@pytest.fixture
def other_ledger_url(postgres: str) -> Iterator[str]:
    """The URL of a second one."""
    with _fresh_ledger(postgres) as url:
        yield url


@pytest.fixture
def other_ledger(other_ledger_url: str) -> Iterator[Ledger]:
    """A second fresh ledger."""
    opened = Ledger(other_ledger_url)
    yield opened
    opened.close()


@contextmanager
def _fresh_ledger(postgres: str) -> Iterator[str]:
    name = f"ledger_{next(_numbers)}"
    engine = create_engine(make_url(postgres).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template_ledger STRATEGY file_copy"))
        yield make_url(postgres).set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A fresh ledger."""
    opened = Ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def ledgers(postgres: str) -> Iterator[Ledgers]:
    """Makes another ledger: an empty one, or a copy of the one at a URL, as if it was restored from a dump."""
    base = make_url(postgres)
    engine = create_engine(base.set(database="postgres"), isolation_level="AUTOCOMMIT")
    opened: dict[str, Ledger] = {}

    def new(copied: str | None) -> Ledger:
        name, template = f"ledger_{next(_numbers)}", make_url(copied).database if copied else base.database
        connection.execute(text(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY file_copy'))
        opened[name] = Ledger(base.set(database=name).render_as_string(hide_password=False))
        return opened[name]

    with engine.connect() as connection:
        yield new
        for name, ledger in opened.items():
            ledger.close()
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a lake for this test, not created yet."""
    return tmp_path / "lake"


@pytest.fixture
def empty_lake(root: Path, ledger: Ledger) -> Lake:
    """A lake in `root` with a fresh ledger."""
    return lake_at(root, ledger)


@pytest.fixture
def ingested(empty_lake: Lake, root: Path, request: pytest.FixtureRequest) -> Lake:
    """`empty_lake` after the module's `FILES` were published and archived."""
    land(root, request.module.FILES)
    ingest(empty_lake)
    return empty_lake


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two cores, which takes seconds to start. The engine uses the active session."""
    session = start_session("local[2]", tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    """A local AWS API over HTTP. Each test creates its own bucket."""
    with aws_server() as server:
        yield server


def remove_embedded(home: Path) -> None:
    """Release the server of `home`, wait until it has stopped, and remove its data."""
    release(home)
    embedded_home = EmbeddedHome(home.resolve())
    deadline = time.monotonic() + 30
    while (lock := take_lock(embedded_home.supervisor_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:
        assert time.monotonic() < deadline, f"the server of {home} does not stop:\n{embedded_home.log_tail()}"
        time.sleep(0.02)
    if embedded_home.data.parent != embedded_home.folder and embedded_home.data.parent.exists():
        shutil.rmtree(embedded_home.data.parent)
    shutil.rmtree(home, ignore_errors=True)
    assert lock
