"""The pipeline's side: discover, ingest and archive as the commands do them, each timed and its requests counted."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from bench.machine import cores
from lake_pipeline.ingest import batch, reconcile
from lake_pipeline.ingest.archive import archive_originals
from lake_pipeline.ingest.batch import ingest_all
from lake_pipeline.ingest.discover import discover
from lake_pipeline.ledger import embedded
from lake_pipeline.model.states import FileState
from lake_pipeline.opening import open_lake
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline_tests.aws.server import AwsServer
from lake_pipeline_tests.factories import LakeOnDisk, ndjson


@dataclass(kw_only=True)
class Stage:
    """One stage over `files` objects: its requests by operation, the seconds of the lake, of the bare loop, and
    of the lake without requests (`alone_seconds`).

    `written` are the bytes of each object that was published.
    """

    kind: str
    name: str
    files: int
    seconds: float
    requests: dict[str, int]
    written: list[int] = field(default_factory=list)
    bare_seconds: float = 0.0
    alone_seconds: float = 0.0

    @property
    def ratio(self) -> float:
        """The lake against its requests alone."""
        return self.seconds / self.bare_seconds

    @property
    def overhead(self) -> float:
        """The same against its requests and its other work, one after the other."""
        return self.seconds / (self.bare_seconds + self.alone_seconds)


ALL = "all"
"""The name of a stage that is the total of others."""


def total(kind: str, stages: list[Stage]) -> Stage:
    """The stages of one kind of objects together, or of all kinds."""
    parts = [stage for stage in stages if stage.name != ALL]
    requests: Counter[str] = Counter()
    for stage in parts:
        requests.update(stage.requests)
    return Stage(
        kind=kind,
        name=ALL,
        files=sum({stage.kind: stage.files for stage in parts}.values()),
        seconds=sum(stage.seconds for stage in parts),
        requests=dict(requests),
        bare_seconds=sum(stage.bare_seconds for stage in parts),
        alone_seconds=sum(stage.alone_seconds for stage in parts),
    )


def lake_stages(server: AwsServer, bucket: str, home: Path, kind: str, files: int) -> list[Stage]:
    """The three stages in a bucket."""
    settings = load_settings(root=f"s3://{bucket}", s3_endpoint_url=server.endpoint, home=home, workers=cores())
    return _stages(server, settings, kind, files)


def without_requests(server: AwsServer, root: Path, home: Path, stages: list[Stage]) -> None:
    """Tell each stage what it takes over the same files in a directory: conversion and ledger alone."""
    settings = load_settings(root=root, home=home, workers=cores())
    for stage, alone in zip(stages, _stages(server, settings, stages[0].kind, stages[0].files), strict=True):
        stage.alone_seconds = alone.seconds


def _stages(server: AwsServer, settings: Settings, kind: str, files: int) -> list[Stage]:
    """Archiving is kept out of ingesting here, so that each is seen alone."""
    with (
        open_lake(settings) as lake,
        mock.patch.object(batch, "archive_originals", return_value=0),
        mock.patch.object(reconcile, "archive_originals", return_value=0),
    ):
        # Everything that is loaded or compiled once is not the matter here.
        lake.ledger.status()
        _warm_up()
        found = _timed(server, kind, "list", files, lambda: discover(lake))
        done = _timed(server, kind, "ingest", files, lambda: list(ingest_all(lake)))
        moved = _timed(server, kind, "archive", files, lambda: archive_originals(lake))
        status = lake.ledger.status()
        assert status.files[FileState.SUCCEEDED] == status.archived == files, status
        done.written = [file.size for file in lake.ledger.curated_files()]
    embedded.release(settings.home)
    return [found, done, moved]


def _timed(server: AwsServer, kind: str, name: str, files: int, work: Callable[[], object]) -> Stage:
    with server.recorded() as calls:
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    requests: Counter[str] = Counter()
    for call in calls:
        # The source of a copy is no request of its own.
        if not call["operation"].startswith("CopySource"):
            requests[call["operation"]] += call["count"]
    return Stage(kind=kind, name=name, files=files, seconds=seconds, requests=dict(requests))


def _warm_up() -> None:
    with tempfile.TemporaryDirectory() as folder:
        LakeOnDisk(Path(folder)).convert({"a.json": ndjson({"event_time": "2026-02-03T10:00:00Z", "n": 1})})
