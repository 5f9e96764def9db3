"""Outages of a bucket and of AWS: wrong credentials, no bucket, no server, throttling, no Glue job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.retries.quota import RetryQuota

from lake_pipeline.aws import clients
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Engine, Progress
from lake_pipeline.engines.glue.engine import GlueEngine
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.errors import LakePaused, ObjectUnreadable, StorageRefused, StorageUnavailable
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import is_sound
from lake_pipeline_tests.support.ledger_builders import end_backoffs, run_sql
from local_aws.server import AwsServer

FILES = {
    f"2026/week06/{number}.json": ndjson({"event_time": "2026-02-03", "mode": "live", "n": number})
    for number in range(40)
}


@pytest.fixture
def pending_lake(lake: Lake, land: Land) -> Lake:
    land(FILES)
    discover(lake)
    return lake


class BrokenFirst:
    """An engine that calls `breaks` before it converts: the outage begins after the claim."""

    name = "in_process"

    def __init__(self, inner: Engine, breaks: Callable[[], object]) -> None:
        self._inner = inner
        self._breaks = breaks

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        self._breaks()
        return self._inner.convert(request, on_progress=on_progress)


def converting_from(lake: Lake, store: S3Store) -> Lake:
    """The same lake, whose engine reads from another store."""
    return replace(lake, engine=InProcessEngine(store))


def on(lake: Lake, store: S3Store) -> Lake:
    """The same lake on another store."""
    return replace(lake, store=store, engine=InProcessEngine(store))


def given_back(url: str) -> bool:
    """Whether every file is pending and has no attempt."""
    rows = run_sql(url, "SELECT DISTINCT processing_status, attempts FROM file_processing_status")
    return rows == [("PENDING", 0)]


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "ExpiredToken", "AccessDenied"])
def test_refused_credentials_cost_no_attempt(pending_lake: Lake, ledger_url: str, aws: AwsServer, code: str) -> None:
    def refuse() -> None:
        aws.configure_faults(rate=1.0, kinds=["refuse"], refusal=("403 Forbidden", code))

    try:
        [result] = ingest_all(replace(pending_lake, engine=BrokenFirst(pending_lake.engine, refuse)))
        assert result.outage is not None
        with pytest.raises(LakePaused):
            ingest_batch(pending_lake, probe_now=True)
    finally:
        aws.configure_faults()
    assert given_back(ledger_url)
    end_backoffs(ledger_url)
    assert sum(batch.succeeded for batch in ingest_all(pending_lake)) == 40
    assert pending_lake.ledger.outages.list() == []
    assert is_sound(pending_lake)


def test_an_outage_before_the_claim_pauses_all_workers_too(pending_lake: Lake, ledger_url: str, aws: AwsServer) -> None:
    with aws.faults(rate=1.0, kinds=["refuse"]), pytest.raises(LakePaused, match=r"access .*denied.*Paused until"):
        ingest_batch(pending_lake)
    with pytest.raises(LakePaused, match="Paused until"):
        ingest_batch(pending_lake)
    assert run_sql(ledger_url, "SELECT FROM batch") == []


def test_a_missing_bucket_costs_no_attempt(pending_lake: Lake, ledger_url: str, aws: AwsServer) -> None:
    missing = aws.store("no-such-bucket", "lake/")
    [result] = ingest_all(converting_from(pending_lake, missing))
    assert result.outage is not None
    assert "the bucket does not exist" in result.outage
    with pytest.raises(LakePaused, match="the bucket does not exist"):
        ingest_batch(on(pending_lake, missing))
    assert given_back(ledger_url)


def test_an_unreachable_server_costs_no_attempt(
    pending_lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "MAX_ATTEMPTS", 1)
    access = AwsAccess(region="us-east-1", endpoint_url="http://127.0.0.1:9")
    unreachable = S3Store(S3Location(bucket="lake", prefix="lake/", access=access))
    [result] = ingest_all(converting_from(pending_lake, unreachable))
    assert result.outage is not None
    assert "no answer" in result.outage
    assert given_back(ledger_url)


def test_access_to_one_object_only_is_a_property_of_that_file(
    pending_lake: Lake, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = S3Store.open

    def denied(store: S3Store, key: str, **options: Any) -> Any:
        if key.endswith("/3.json"):
            raise ObjectUnreadable(key, "access to it is denied (AccessDenied)")
        return real(store, key, **options)

    monkeypatch.setattr(S3Store, "open", denied)
    [result] = ingest_all(pending_lake)
    assert (result.succeeded, result.failed, result.outage) == (39, 1, None)
    assert run_sql(
        ledger_url, "SELECT attempts, error_reason FROM file_processing_status WHERE processing_status = 'FAILED'"
    ) == [(1, "unreadable")]


def test_a_denied_read_is_an_error_of_the_object_until_the_probe_is_denied_too(aws: AwsServer, store: S3Store) -> None:
    store.probe()
    with aws.faults(rate=1.0, kinds=["refuse"]):
        with pytest.raises(ObjectUnreadable, match="access is denied"):
            store.open("2026/week06/a.json")
        with pytest.raises(StorageRefused, match="access is denied"):
            store.probe()


def test_retries_go_on_after_the_quota_of_the_sdk_is_used_up(
    aws: AwsServer, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many threads that are throttled at once use up its hundred retries within seconds."""
    monkeypatch.setattr(RetryQuota, "acquire", lambda *_: False)
    with aws.faults(rate=1.0, kinds=["slow"], most=2) as made:
        store.probe()
    assert made["slow"] == 2


def test_a_throttled_call_has_its_own_attempts(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MAX_ATTEMPTS", 2)
    store = aws.store(aws.new_bucket())
    with aws.faults(rate=1.0, kinds=["slow"]) as made, pytest.raises(StorageUnavailable, match="throttling"):
        store.probe()
    assert made["slow"] == 2


def test_a_glue_job_that_is_gone_is_an_outage_of_the_engine(
    pending_lake: Lake, ledger_url: str, aws: AwsServer
) -> None:
    engine = GlueEngine(pending_lake.store, job="no-such-job", access=aws.access())
    lake = replace(pending_lake, engine=engine)
    [result] = ingest_all(lake)
    assert result.outage is not None
    assert "engine glue" in result.outage
    assert "run `lake provision` to create it" in result.outage
    with pytest.raises(LakePaused, match="no Glue job"):
        ingest_batch(lake, probe_now=True)
    assert given_back(ledger_url)


def test_glue_that_refuses_a_start_is_an_outage_of_the_engine(
    pending_lake: Lake, ledger_url: str, aws: AwsServer
) -> None:
    lake = replace(pending_lake, engine=GlueEngine(pending_lake.store, job="lake", access=aws.access()))
    with aws.faults(rate=1.0, kinds=["refuse"], services=["other"]):
        [result] = ingest_all(lake)
    assert result.outage is not None
    assert "engine glue" in result.outage
    assert "access is denied" in result.outage
    assert given_back(ledger_url)
