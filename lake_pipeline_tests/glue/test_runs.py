"""The engine on Glue, with real runs: different ways to start them, and all ways in which they end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lake_pipeline.aws.clients import make_client
from lake_pipeline.convert.request import ConversionRequest, RemoteEngine
from lake_pipeline.engines.glue.engine import GlueBusy, GlueEngine, GlueRunFailed, GlueUnavailable
from lake_pipeline.errors import SettingsError, TransientError
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.glue.conftest import GlueLake, engine_over, wait_for
from lake_pipeline_tests.support.factories import BATCH, OPTIONS, ndjson
from lake_pipeline_tests.support.lakes import is_sound
from lake_pipeline_tests.support.ledger_builders import run_sql
from local_aws.server import REGION, AwsServer

RECORDS = [{"event_time": "2026-02-03", "mode": "live", "n": number} for number in range(5)]


def test_a_batch_is_converted_by_a_run_and_published_here(
    glue_lake: GlueLake, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Needed if a command of an earlier test has silenced this logger.
    caplog.set_level(logging.INFO, logger="lake_pipeline")
    glue_lake.land({"2026/week06/a.json": ndjson(*RECORDS), "2026/week06/b.json": b"{broken\n"})
    discover(glue_lake.lake)
    (result,) = ingest_all(glue_lake.lake)
    assert (result.error, result.rows_published, result.rows_quarantined) == (None, 5, 1)
    assert is_sound(glue_lake.lake)
    (run,) = glue_lake.runs()
    assert run["JobRunState"] == "SUCCEEDED"
    assert run_sql(ledger_url, "SELECT DISTINCT glue_job_run_id FROM file_processing_status") == [(run["Id"],)]
    assert glue_lake.engine.url(run["Id"]) in caplog.text
    assert "Glue: INFO Batch" in caplog.text


def test_it_is_an_engine_whose_runs_outlive_the_process(glue_lake: GlueLake) -> None:
    assert isinstance(glue_lake.engine, RemoteEngine)


SLEEPS = "import time\nprint('asleep', flush=True)\ntime.sleep(600)\n"


def request_of(glue_lake: GlueLake) -> ConversionRequest:
    """A request for scripts that ignore it."""
    return ConversionRequest(batch_id=BATCH, files=(), contract=None, options=OPTIONS)


def state_of(glue_lake: GlueLake, run_id: str) -> str:
    return next(str(run["JobRunState"]) for run in glue_lake.runs() if run["Id"] == run_id)


def test_a_failed_run_reports_its_reason_and_its_url(glue_lake: GlueLake) -> None:
    glue_lake.with_script("raise SystemExit('the disk is full')")
    run_id = glue_lake.engine.start(request_of(glue_lake))
    with pytest.raises(GlueRunFailed, match="ended as FAILED: it failed: the disk is full") as failed:
        glue_lake.engine.attach(run_id)
    assert failed.value.reason == "glue_failed"
    assert failed.value.url == (
        f"https://{REGION}.console.aws.amazon.com/gluestudio/home?region={REGION}#/job/{glue_lake.job}/run/{run_id}"
    )
    assert failed.value.url in str(failed.value)
    assert not glue_lake.engine.is_alive(run_id)


def test_a_run_that_takes_too_long_is_ended_and_the_error_names_the_settings(
    glue_lake: GlueLake, aws: AwsServer
) -> None:
    glue_lake.with_script(SLEEPS, Timeout=1)
    with aws.glue(minute_seconds=0.3), pytest.raises(GlueRunFailed, match="LAKE_BATCH_BYTES") as failed:
        glue_lake.engine.convert(request_of(glue_lake))
    assert failed.value.reason == "glue_timeout"


@pytest.mark.parametrize(
    ("state", "explanation"), [("EXPIRED", "no workers"), ("ERROR", "could not run it"), ("STOPPED", "it was stopped")]
)
def test_a_run_ended_by_aws_is_a_transient_error(
    state: str, explanation: str, glue_lake: GlueLake, aws: AwsServer
) -> None:
    with aws.glue(workers=False):
        run_id = glue_lake.engine.start(request_of(glue_lake))
    assert glue_lake.engine.is_alive(run_id)
    aws.end_glue_run(run_id, state, "as the test wants it")
    with pytest.raises(GlueRunFailed, match=explanation) as failed:
        glue_lake.engine.attach(run_id)
    assert isinstance(failed.value, TransientError)
    assert failed.value.reason == f"glue_{state.lower()}"


def test_an_unknown_run_is_not_alive_and_not_waited_for(glue_lake: GlueLake) -> None:
    assert not glue_lake.engine.is_alive("jr_never")
    with pytest.raises(GlueRunFailed, match="does not know run jr_never"):
        glue_lake.engine.attach("jr_never")


@pytest.mark.parametrize("code", ["ConcurrentRunsExceededException", "ThrottlingException"])
def test_a_start_is_retried_while_too_many_runs_are_active(code: str, glue_lake: GlueLake, aws: AwsServer) -> None:
    glue_lake.with_script("")
    with aws.glue(refusals=[code]):
        glue_lake.engine.start(request_of(glue_lake))
    assert len(glue_lake.runs()) == 1


def test_starting_is_given_up_if_the_job_stays_busy(glue_lake: GlueLake, aws: AwsServer) -> None:
    engine = engine_over(aws, glue_lake.store, start_seconds=0.1)
    refusals = ["ConcurrentRunsExceededException"] * 9
    with aws.glue(refusals=refusals), pytest.raises(GlueBusy, match="LAKE_MAX_RUNS"):
        engine.start(request_of(glue_lake))


def test_a_start_whose_answer_is_lost_is_found_and_not_repeated(glue_lake: GlueLake, aws: AwsServer) -> None:
    glue_lake.with_script("")
    with aws.glue(lost_starts=1):
        run_id = glue_lake.engine.start(request_of(glue_lake))
    assert [run["Id"] for run in glue_lake.runs()] == [run_id]
    assert glue_lake.engine.find(BATCH) == run_id
    assert glue_lake.engine.find(BATCH.replace("6", "7")) is None


def test_a_start_that_fails_without_a_run_is_an_error(glue_lake: GlueLake, aws: AwsServer) -> None:
    with aws.glue(refusals=["InternalServiceException"]), pytest.raises(GlueUnavailable):
        glue_lake.engine.start(request_of(glue_lake))
    assert glue_lake.runs() == []


def test_a_missing_job_is_a_settings_error(glue_lake: GlueLake, aws: AwsServer) -> None:
    engine = GlueEngine(glue_lake.store, job="missing-job", access=aws.access())
    with pytest.raises(SettingsError, match=r"LAKE_GLUE_JOB.*lake provision"):
        engine.start(request_of(glue_lake))


def test_a_run_is_stopped_with_everything_it_started(glue_lake: GlueLake) -> None:
    glue_lake.with_script(SLEEPS)
    run_id = glue_lake.engine.start(request_of(glue_lake))
    wait_for(lambda: state_of(glue_lake, run_id) == "RUNNING")
    glue_lake.engine.stop(run_id)
    assert state_of(glue_lake, run_id) == "STOPPED"
    glue_lake.engine.stop(run_id)


def test_short_outages_of_glue_are_tolerated(glue_lake: GlueLake, aws: AwsServer) -> None:
    glue_lake.with_script("import time; time.sleep(2); raise SystemExit('the end')")
    run_id = glue_lake.engine.start(request_of(glue_lake))
    impatient = engine_over(aws, glue_lake.store)
    # The client's own retries take longer than this test.
    impatient.__dict__["_glue"] = make_client("glue", aws.access(), attempts=1)
    with (
        aws.faults(rate=0.5, kinds=["reset"], services=["other"], most=6) as made,
        pytest.raises(GlueRunFailed, match="the end"),
    ):
        impatient.attach(run_id)
    assert made["reset"]


def test_a_run_sees_only_what_its_job_installs(glue_lake: GlueLake) -> None:
    """Proves that the runs of the other tests need nothing else."""
    looks = "for name in ('dagster', 'psycopg2', 'sqlalchemy', 'click', 'numba'):\n"
    looks += "    try: __import__(name); print('has', name)\n    except ModuleNotFoundError: print('lacks', name)\n"
    glue_lake.with_script(looks, DefaultArguments={"--additional-python-modules": "numba==1,llvmlite==1,numpy==1"})
    run_id = glue_lake.engine.start(request_of(glue_lake))
    wait_for(lambda: state_of(glue_lake, run_id) == "SUCCEEDED")
    lacks = "".join(f"lacks {name}\n" for name in ("dagster", "psycopg2", "sqlalchemy", "click"))
    assert glue_lake.log(run_id) == lacks + "has numba"


def test_code_of_another_version_refuses_to_run(glue_lake: GlueLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_pipeline.engines.glue.engine.__version__", "9.9.9")
    with pytest.raises(GlueRunFailed, match=r"of version 0\.1\.0.*by version 9\.9\.9.*lake provision"):
        glue_lake.engine.convert(request_of(glue_lake))


def killed_while_its_run_lives(glue_lake: GlueLake, ledger_url: str, how: signal.Signals) -> str:
    """A worker that gets a signal after its run is recorded and active; returns the id of the run."""
    settings = {
        "LAKE_ROOT": glue_lake.store.uri,
        "LAKE_S3_ENDPOINT_URL": glue_lake.aws.endpoint,
        "LAKE_LEDGER_URL": ledger_url,
        "LAKE_ENGINE": "glue",
        "LAKE_GLUE_JOB": glue_lake.job,
    }
    command = [str(Path(sys.executable).parent / "lake"), "ingest"]
    with subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE) as worker:
        wait_for(lambda: run_sql(ledger_url, "SELECT FROM batch WHERE external_run_id IS NOT NULL"))
        (run,) = glue_lake.runs()
        wait_for(lambda: state_of(glue_lake, run["Id"]) == "RUNNING")
        worker.send_signal(how)
    return str(run["Id"])


def test_a_run_whose_worker_was_killed_is_adopted_by_its_id(glue_lake: GlueLake, ledger_url: str) -> None:
    glue_lake.land({"2026/week06/a.json": ndjson(*RECORDS)})
    discover(glue_lake.lake)
    run_id = killed_while_its_run_lives(glue_lake, ledger_url, signal.SIGKILL)
    (result,) = ingest_all(glue_lake.lake)
    assert (result.error, result.rows_published) == (None, 5)
    assert [run["Id"] for run in glue_lake.runs()] == [run_id]
    assert is_sound(glue_lake.lake)


def test_ending_a_worker_by_hand_stops_its_run(glue_lake: GlueLake, ledger_url: str) -> None:
    glue_lake.land({"2026/week06/a.json": ndjson(*RECORDS)})
    discover(glue_lake.lake)
    glue_lake.with_script(SLEEPS)
    run_id = killed_while_its_run_lives(glue_lake, ledger_url, signal.SIGINT)
    assert state_of(glue_lake, run_id) == "STOPPED"
    assert glue_lake.lake.ledger.views.status().files[FileState.PENDING] == 1
