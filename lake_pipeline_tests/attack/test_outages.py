"""Outages by kind, through the commands: one line, exit code 1, no attempt lost, and then all is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import BucketSite, DirectorySite, Site
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.ledger_builders import run_sql

FILES = 30


@pytest.fixture
def pending(site: Site) -> Site:
    """A site with files that are registered."""
    site.land({f"2026/week06/{number}.json": ndjson(*records(number * 2, 2)) for number in range(FILES)})
    discovered = site.run("discover")
    assert discovered.exit_code == 0, discovered.output
    return site


def assert_waits_then_is_intact(site: Site, *failing: str, **environment: str) -> None:
    """`lake ingest` in a broken `environment` ends with one line; afterwards it publishes everything."""
    failed = site.run("ingest", *failing, **environment)
    assert failed.exit_code == 1, failed.output
    assert "Traceback" not in failed.output
    assert run_sql(site.url, "SELECT DISTINCT processing_status, attempts FROM file_processing_status") == [
        ("PENDING", 0)
    ]
    healed = site.run("ingest", "--now")
    assert healed.exit_code == 0, healed.output
    assert_intact(site.lake, range(FILES * 2))


@pytest.mark.attack
def test_a_root_that_is_not_mounted_costs_no_attempt(pending: Site) -> None:
    if not isinstance(pending, DirectorySite):
        pytest.skip("a bucket is not mounted")
    away: Path = pending.folder.with_name("away")
    pending.folder.rename(away)
    failed = pending.run("ingest")
    assert failed.exit_code == 1, failed.output
    if pending.folder.exists():
        assert not any(pending.folder.rglob("*.parquet"))
        for folder in sorted(pending.folder.rglob("*"), reverse=True):
            folder.rmdir()
        pending.folder.rmdir()
    away.rename(pending.folder)
    assert run_sql(pending.url, "SELECT DISTINCT processing_status, attempts FROM file_processing_status") == [
        ("PENDING", 0)
    ]
    assert pending.run("ingest", "--now").exit_code == 0
    assert_intact(pending.lake, range(FILES * 2))


@pytest.mark.attack
def test_an_unreachable_server_costs_no_attempt_although_the_sdk_retries(pending: Site) -> None:
    if not isinstance(pending, BucketSite):
        pytest.skip("a directory has no server")
    assert_waits_then_is_intact(pending, LAKE_S3_ENDPOINT_URL="http://127.0.0.1:9")


@pytest.mark.attack
def test_spark_without_java_costs_no_attempt(pending: Site) -> None:
    assert_waits_then_is_intact(pending, LAKE_ENGINE="spark", JAVA_HOME="/nowhere")


@pytest.mark.attack
def test_a_glue_job_that_is_gone_costs_no_attempt(pending: Site) -> None:
    if not isinstance(pending, BucketSite):
        pytest.skip("Glue needs a bucket")
    assert_waits_then_is_intact(
        pending, LAKE_ENGINE="glue", LAKE_GLUE_JOB="no-such-job", AWS_ENDPOINT_URL_GLUE="http://127.0.0.1:9"
    )
