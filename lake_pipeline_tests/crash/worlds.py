"""Worlds: a lake and its ledger, created once for a scenario and copied for each trial.

A copy is a database cloned by the server, and either a folder copied with its modification times (they are in the
ETags) or a bucket copied by its server.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import psycopg2
import psycopg2.extensions
from sqlalchemy.engine import make_url

from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.crash.boundaries import Boundaries, Crossed
from lake_pipeline_tests.support.factories import OPTIONS
from lake_pipeline_tests.support.lakes import downloaded, land
from lake_pipeline_tests.support.ledger_builders import run_sql
from local_aws.server import AwsServer

FAULT_RATE = 0.03
"""The ratio of requests to a bucket that fail while a trial runs."""


@dataclass(frozen=True, kw_only=True)
class World(ABC):
    """A lake, and the database of its ledger on the embedded server of `home`."""

    url: str
    home: Path

    @abstractmethod
    def store(self) -> ObjectStore:
        """The store of the lake."""

    @abstractmethod
    def watched(self, boundaries: Boundaries, crossed: Crossed) -> ObjectStore:
        """The store with boundaries, which are armed now."""

    @abstractmethod
    def land(self, files: Mapping[str, bytes]) -> None:
        """Put raw files into the landing zones, as producers do."""

    @abstractmethod
    def visible(self) -> AbstractContextManager[Path]:
        """A folder with every visible object."""

    @abstractmethod
    def start_faults(self, seed: int) -> None:
        """From now on some requests to the store fail, if this kind of store can."""

    @abstractmethod
    def stop_faults(self) -> int:
        """No request fails any more; returns how many did."""

    def lose_ledger(self, lake: Lake) -> None:
        """Replace the ledger by an empty one."""
        lake.ledger.close()
        run_sql(self.url, "DROP SCHEMA public CASCADE")
        run_sql(self.url, "CREATE SCHEMA public")
        migrate(self.url)

    def lake(self, store: ObjectStore | None = None, *, lease_seconds: int = 600) -> Lake:
        """Open the lake; each process opens its own."""
        store = store or self.store()
        engine = InProcessEngine(store)
        return Lake(store=store, ledger=Ledger(self.url), engine=engine, options=OPTIONS, lease_seconds=lease_seconds)


@dataclass(frozen=True, kw_only=True)
class FolderWorld(World):
    """A lake in the folder `root`."""

    root: Path

    def store(self) -> ObjectStore:
        return DirectoryStore(self.root)

    def watched(self, boundaries: Boundaries, crossed: Crossed) -> ObjectStore:
        boundaries.arm(crossed, folder=str(self.root))
        return boundaries.numbered(self.store())

    def land(self, files: Mapping[str, bytes]) -> None:
        land(self.root, dict(files))

    def visible(self) -> AbstractContextManager[Path]:
        return nullcontext(self.root)

    def start_faults(self, seed: int) -> None:
        """Calls on a folder fail only at the boundary of a trial."""

    def stop_faults(self) -> int:
        return 0


@dataclass(frozen=True, kw_only=True)
class BucketWorld(World):
    """A lake in a bucket of `server`."""

    server: AwsServer
    bucket: str

    def store(self) -> S3Store:
        return self.server.store(self.bucket, "lake/")

    def watched(self, boundaries: Boundaries, crossed: Crossed) -> ObjectStore:
        store = self.store()
        boundaries.arm(crossed)
        boundaries.number_requests(store)
        return store

    def land(self, files: Mapping[str, bytes]) -> None:
        client = self.server.client()
        for key, content in files.items():
            client.put_object(Bucket=self.bucket, Key=f"lake/{key}", Body=content)

    @contextmanager
    def visible(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield downloaded(self.store(), Path(folder))

    def start_faults(self, seed: int) -> None:
        self.server.configure_faults(rate=FAULT_RATE, seed=seed, stall_seconds=0.2)

    def stop_faults(self) -> int:
        made = self.server.injected_faults().total()
        self.server.configure_faults()
        return made


class Worlds:
    """Creates worlds in `folder`, or in buckets of `server`.

    Their ledgers are on the server of `home`; the database of `url` there is migrated and empty.
    """

    def __init__(self, folder: Path, url: str, home: Path, server: AwsServer | None = None) -> None:
        self._folder = folder
        self._home = home
        self._server = server
        self._template = make_url(url).database
        self._url = make_url(url)
        self._name = f"world_{home.name}"
        self._numbers = count(1)
        self._admin: psycopg2.extensions.connection | None = None

    @contextmanager
    def empty(self) -> Iterator[World]:
        """An empty world."""
        with self._database(self._template) as (name, url):
            if self._server is None:
                root = self._folder / name
                root.mkdir()
                yield FolderWorld(root=root, url=url, home=self._home)
                shutil.rmtree(root)
            else:
                bucket = self._server.new_bucket()
                yield BucketWorld(server=self._server, bucket=bucket, url=url, home=self._home)
                self._server.drop_bucket(bucket)

    @contextmanager
    def copy(self, world: World) -> Iterator[World]:
        """A copy of `world`, to which no process may be connected."""
        with self._database(make_url(world.url).database) as (name, url):
            if isinstance(world, BucketWorld):
                bucket = f"copy-{name.replace('_', '-')}"
                world.server.copy_bucket(world.bucket, bucket)
                yield replace(world, bucket=bucket, url=url)
                world.server.drop_bucket(bucket)
            elif isinstance(world, FolderWorld):
                root = self._folder / name
                shutil.copytree(world.root, root)
                yield replace(world, root=root, url=url)
                shutil.rmtree(root)

    @contextmanager
    def _database(self, template: str | None) -> Iterator[tuple[str, str]]:
        name = f"{self._name}_{next(self._numbers)}"
        # With a checkpoint after each trial there is little to write: 15 ms; WAL_LOG takes 70 ms.
        self._execute(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY file_copy')
        try:
            yield name, self._url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, sql: str) -> None:
        """Uses one connection, because connecting takes 15 ms; children inherit it, and neither use nor close it."""
        try:
            self._connected().cursor().execute(sql)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # A trial has restarted the server.
            self._admin = None
            self._connected().cursor().execute(sql)

    def _connected(self) -> psycopg2.extensions.connection:
        if self._admin is None:
            url = self._url.set(drivername="postgresql", database="postgres")
            self._admin = psycopg2.connect(url.render_as_string(hide_password=False))
            self._admin.autocommit = True
        return self._admin
