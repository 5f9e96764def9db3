"""Fixtures that start something, once for each test process: the embedded PostgreSQL, Spark, what stands in for AWS."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from lake_pipeline.convert.spark import start_session
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.embedded import embedded_url, release
from lake_pipeline.ledger.embedded_home import EmbeddedHome, take_lock
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline_tests.aws.server import AwsServer, aws_server
from lake_pipeline_tests.lakes import ingest, lake_at, land

_numbers = itertools.count(1)

# A third less of a core for each JVM that a test or a process of it starts.
os.environ["SPARK_CONF_DIR"] = str(Path(__file__).parent / "spark_conf")


@pytest.fixture(scope="session", autouse=True)
def no_data_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Data of embedded servers that stands outside of the tests' folders goes with them: 40 MB for each home that a
    command of a test made, also of one that was killed."""
    yield
    # A list, because what is walked through is taken away.
    for place in list(tmp_path_factory.getbasetemp().rglob("postgres.place")):
        remove_embedded(place.parent)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database that ledgers are cloned from. Nobody stays connected to it."""
    home = tmp_path_factory.mktemp("postgres")
    url = embedded_url(home, "template_ledger", durable=False)
    migrate(url)
    yield url
    remove_embedded(home)


@pytest.fixture
def ledger_url(postgres: str) -> Iterator[str]:
    """The URL of a fresh, migrated ledger of this test's own."""
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
def root(tmp_path: Path) -> Path:
    """The folder of a lake of this test's own; nothing is there yet."""
    return tmp_path / "lake"


@pytest.fixture
def empty_lake(root: Path, ledger: Ledger) -> Lake:
    """A lake in it with a fresh ledger."""
    return lake_at(root, ledger)


@pytest.fixture
def ingested(empty_lake: Lake, root: Path, request: pytest.FixtureRequest) -> Lake:
    """The same, in which the module's `FILES` are published and archived."""
    land(root, request.module.FILES)
    ingest(empty_lake)
    return empty_lake


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two cores of this machine, which takes seconds to start. The engine uses the one that is active."""
    session = start_session("local[2]", tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    """What stands in for AWS, over HTTP. Tests take a bucket of their own from it."""
    with aws_server() as server:
        yield server


def remove_embedded(home: Path) -> None:
    """Let go of the server of `home`, wait until it has stopped, and remove its data wherever that stands."""
    release(home)
    place = EmbeddedHome(home.resolve())
    deadline = time.monotonic() + 30
    while (lock := take_lock(place.keeper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:
        assert time.monotonic() < deadline, f"the server of {home} does not stop:\n{place.log_tail()}"
        time.sleep(0.02)
    if place.data.parent != place.folder and place.data.parent.exists():
        shutil.rmtree(place.data.parent)
    shutil.rmtree(home, ignore_errors=True)
    assert lock
