"""Sites: a lake on one kind of store, with what an attacker, a producer and a user of the command line can do to it."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.factories import OPTIONS
from local_aws.server import AwsServer

STORES = ("directory", "moto", "seaweedfs")
"""The kinds of stores that a scenario marked `attack` runs on; the sample runs on the first."""


@dataclass(frozen=True)
class Site(ABC):
    """A lake of an empty store. `url` is that of its ledger, which is migrated and empty, `home` its `LAKE_HOME`."""

    url: str
    home: Path

    @property
    @abstractmethod
    def root(self) -> str:
        """The value of `LAKE_ROOT`."""

    @abstractmethod
    def store(self) -> ObjectStore:
        """A new client of the store."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Put an object at `key` past the pipeline, as producers and attackers do."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove the object at `key` past the pipeline."""

    @cached_property
    def lake(self) -> Lake:
        """The open lake, with its identity."""
        store = self.store()
        lake = Lake(store=store, ledger=Ledger(self.url), engine=InProcessEngine(store), options=OPTIONS)
        check_identity(lake)
        return lake

    def land(self, files: Mapping[str, bytes]) -> None:
        """Put raw files into the landing zones."""
        for key, content in files.items():
            self.write(key, content)

    def environment(self) -> dict[str, str]:
        """The settings of the lake, as environment variables."""
        return {
            "LAKE_ROOT": self.root,
            "LAKE_HOME": str(self.home),
            "LAKE_LEDGER_URL": self.url,
            # What a scenario lands is complete.
            "LAKE_MIN_AGE_SECONDS": "0",
        }

    def run(self, *arguments: str, **environment: str) -> Result:
        """A `lake` command in this process, with the settings of this lake changed by `environment`."""
        logger = logging.getLogger("lake_pipeline")
        before = logger.handlers[:], logger.level, logger.propagate
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
                patch.delenv(name)
            for name, value in (self.environment() | environment).items():
                patch.setenv(name, value)
            try:
                return CliRunner().invoke(main, arguments)
            finally:
                logger.handlers[:], logger.level, logger.propagate = before


@dataclass(frozen=True)
class DirectorySite(Site):
    """A lake in the directory `folder`."""

    folder: Path

    @property
    def root(self) -> str:
        return str(self.folder)

    def store(self) -> ObjectStore:
        return DirectoryStore(self.folder)

    def write(self, key: str, content: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def remove(self, key: str) -> None:
        (self.folder / key).unlink()


@dataclass(frozen=True)
class BucketSite(Site):
    """A lake in a bucket of `server`, below a prefix."""

    server: AwsServer
    bucket: str

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}/lake"

    def store(self) -> ObjectStore:
        return self.server.store(self.bucket, "lake/")

    def write(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=f"lake/{key}", Body=content)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=f"lake/{key}")

    def environment(self) -> dict[str, str]:
        return super().environment() | {"LAKE_S3_ENDPOINT_URL": self.server.endpoint}

    @cached_property
    def _client(self) -> Any:
        return self.server.client()
