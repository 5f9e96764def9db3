"""From the sensor to the ledger with LAKE_ENGINE=glue, in a user's set-up: settings, Dagster, Glue, a bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from lake_pipeline.composition import open_lake
from lake_pipeline.model.states import FileState
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.dagster.conftest import OpenLake, Platform
from lake_pipeline_tests.glue.conftest import GlueLake, wait_for
from lake_pipeline_tests.support.dagster_instances import dagster_instance
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import is_sound

GOOD = {"event_time": "2026-02-03T10:00:00Z", "mode": "live"}


@pytest.fixture
def settings(glue_lake: GlueLake, ledger_url: str, tmp_path: Path) -> Settings:
    return load_settings(
        root=glue_lake.store.uri,
        s3_endpoint_url=glue_lake.aws.endpoint,
        home=tmp_path / "home",
        ledger_url=ledger_url,
        engine="glue",
        glue_job=glue_lake.job,
        first_date=date(2026, 1, 1),
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_lake(settings) as lake, dagster_instance() as instance:
        yield Platform(settings=settings, lake=lake, instance=instance)


def test_the_sensor_requests_a_run_that_glue_converts_and_the_ledger_records(
    platform: Platform, glue_lake: GlueLake
) -> None:
    glue_lake.land({f"2026/week06/{n}.json": ndjson(*[{**GOOD, "n": n}] * 3) for n in range(4)})
    discover(platform.lake)
    (request,) = platform.tick().run_requests
    assert request.job_name == "ingest_batch_job"
    result = (
        platform.definitions()
        .resolve_job_def(request.job_name)
        .execute_in_process(
            instance=platform.instance, run_config=request.run_config, resources={"lake": OpenLake(platform.lake)}
        )
    )
    assert result.success
    (run,) = glue_lake.runs()
    assert run["JobRunState"] == "SUCCEEDED"
    assert platform.materialized() == {"2026-02-03|live"}
    assert platform.metadata("2026-02-03|live")["rows"] == 12
    assert {passed for passed, _ in platform.checks("2026-02-03|live").values()} == {True}
    assert platform.lake.ledger.views.status().files[FileState.SUCCEEDED] == 4
    assert is_sound(platform.lake)


def test_terminating_the_dagster_run_stops_the_glue_run(
    platform: Platform, glue_lake: GlueLake, settings: Settings, ledger_url: str, tmp_path: Path
) -> None:
    """Dagster ends the process of a run with SIGINT."""
    glue_lake.land({"2026/week06/a.json": ndjson(GOOD)})
    discover(platform.lake)
    glue_lake.with_script("import time\ntime.sleep(600)\n")
    environment = {
        "LAKE_ROOT": glue_lake.store.uri,
        "LAKE_S3_ENDPOINT_URL": glue_lake.aws.endpoint,
        "LAKE_HOME": str(settings.storage.home),
        "LAKE_LEDGER_URL": ledger_url,
        "LAKE_ENGINE": "glue",
        "LAKE_GLUE_JOB": glue_lake.job,
    }
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "lake_pipeline.definitions"]
    with subprocess.Popen(
        [*command, "-j", "ingest_batch_job"],
        env={**os.environ, **environment, "DAGSTER_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as dagster:
        wait_for(lambda: any(run["JobRunState"] == "RUNNING" for run in glue_lake.runs()))
        wait_for(lambda: platform.lake.ledger.views.status().files[FileState.PROCESSING] == 1)
        dagster.send_signal(signal.SIGINT)
        output = dagster.communicate(timeout=60)[0]
    (run,) = glue_lake.runs()
    assert run["JobRunState"] == "STOPPED", output
    assert platform.lake.ledger.views.status().files[FileState.PENDING] == 1, output
