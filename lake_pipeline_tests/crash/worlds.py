"""Worlds: a lake and its ledger, made once for a scenario and copied for each trial.

A copy is a database cloned by the server and a folder copied with its times, which are in the ETags.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from lake_pipeline_tests.factories import OPTIONS


@dataclass(frozen=True, kw_only=True)
class World:
    """A folder with a lake, and the database of its ledger on the embedded server of `home`."""

    root: Path
    url: str
    home: Path

    def store(self) -> ObjectStore:
        return DirectoryStore(self.root)

    def lake(self, store: ObjectStore | None = None, *, lease_seconds: int = 600) -> Lake:
        """The lake, opened. Of every process its own."""
        used = store or self.store()
        engine = InProcessEngine(used)
        return Lake(store=used, ledger=Ledger(self.url), engine=engine, options=OPTIONS, lease_seconds=lease_seconds)


class Worlds:
    """Makes worlds in `folder` and on the server of `home`, where the database of `url` is a migrated, empty ledger."""

    def __init__(self, folder: Path, url: str, home: Path) -> None:
        self._folder = folder
        self._home = home
        self._template = make_url(url).database
        self._url = make_url(url)
        self._name = f"world_{home.name}"
        self._numbers = count(1)
        self._admin: psycopg2.extensions.connection | None = None

    @contextmanager
    def empty(self) -> Iterator[World]:
        """A world with nothing in it."""
        with self._database(self._template) as (name, url):
            root = self._folder / name
            root.mkdir()
            yield World(root=root, url=url, home=self._home)
            shutil.rmtree(root)

    @contextmanager
    def copy(self, world: World) -> Iterator[World]:
        """A copy of `world`, to which nobody may be connected."""
        with self._database(make_url(world.url).database) as (name, url):
            root = self._folder / name
            shutil.copytree(world.root, root)
            yield World(root=root, url=url, home=self._home)
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
