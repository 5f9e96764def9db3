"""Lakes in a bucket: the store over HTTP and a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.support.factories import OPTIONS
from local_aws.server import AwsServer


@pytest.fixture
def store(aws: AwsServer) -> S3Store:
    """A store in a new bucket, below a prefix."""
    return aws.store(aws.new_bucket(), "lake/")


@pytest.fixture
def lake(store: S3Store, ledger: Ledger) -> Lake:
    """A lake in it."""
    return Lake(store=store, ledger=ledger, engine=InProcessEngine(store), options=OPTIONS)


Land = Callable[[Mapping[str, bytes]], None]


@pytest.fixture
def land(aws: AwsServer, store: S3Store) -> Land:
    """Puts raw files into the lake with plain uploads, like senders."""
    client: Any = aws.client()

    def put(files: Mapping[str, bytes]) -> None:
        for key, content in files.items():
            client.put_object(Bucket=store.location.bucket, Key=store.location.prefix + key, Body=content)

    return put
