"""Worlds: a lake and its ledger, made once for a scenario and copied for each trial.

A copy is a database cloned by the server, and a folder copied with its times, which are in the ETags, or a bucket that
its server copies.
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

from lake_pipeline.convert.in_process import InProcessEngine
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.s3 import S3Store
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.crash.boundaries import Boundaries, Crossed
from lake_pipeline_tests.factories import OPTIONS
from lake_pipeline_tests.lakes import downloaded, land

FAULT_RATE = 0.03
"""The share of requests to a bucket that a fault is made of while a trial runs."""


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
        """The same, with boundaries that are armed from now on."""

    @abstractmethod
    def land(self, files: Mapping[str, bytes]) -> None:
        """Put raw files into the landing zones, as senders do."""

    @abstractmethod
    def seen(self) -> AbstractContextManager[Path]:
        """A folder with every object that a reader sees."""

    @abstractmethod
    def trouble(self, seed: int) -> None:
        """From now on the store fails now and then, where it can."""

    @abstractmethod
    def calm(self) -> int:
        """It does not any more; how often it did."""

    def lake(self, store: ObjectStore | None = None, *, lease_seconds: int = 600) -> Lake:
        """The lake, opened. Of every process its own."""
        used = store or self.store()
        engine = InProcessEngine(used)
        return Lake(store=used, ledger=Ledger(self.url), engine=engine, options=OPTIONS, lease_seconds=lease_seconds)


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

    def seen(self) -> AbstractContextManager[Path]:
        return nullcontext(self.root)

    def trouble(self, seed: int) -> None:
        """A folder fails where a trial lets it."""

    def calm(self) -> int:
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
    def seen(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield downloaded(self.store(), Path(folder))

    def trouble(self, seed: int) -> None:
        self.server.make_faults(rate=FAULT_RATE, seed=seed, stall_seconds=0.2)

    def calm(self) -> int:
        made = self.server.faults_made().total()
        self.server.make_faults()
        return made


class Worlds:
    """Makes worlds in `folder`, or in buckets of `server`.

    Their ledgers are on the server of `home`, where the database of `url` is a migrated, empty one.
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
        """A world with nothing in it."""
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
        """A copy of `world`, to which nobody may be connected."""
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
        # With a checkpoint after each trial there is little to write: 15 ms instead of the 70 ms of WAL_LOG.
        self._execute(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY file_copy')
        try:
            yield name, self._url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, sql: str) -> None:
        """On one connection, because signing in takes 15 ms; children have it too, and neither use nor close it."""
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
