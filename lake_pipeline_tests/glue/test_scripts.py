"""The scripts as Glue runs them: by path, with arguments, with the zip; standalone, and for given objects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake_pipeline.convert.request import ConversionReport
from lake_pipeline.engines.glue.protocol import read_answer
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.states import FileState
from lake_pipeline.provision.bundle import BUNDLE, LISTER, modules, write_bundle
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline_tests.glue.conftest import GlueLake, run_to_its_end
from lake_pipeline_tests.support.factories import BATCH, LakeOnDisk, ndjson
from lake_pipeline_tests.support.lakes import is_sound
from local_aws.server import AwsServer

GOOD = {"event_time": "2026-02-03", "mode": "live"}


def secret_with(aws: AwsServer, name: str, value: str) -> str:
    aws.client("secretsmanager").create_secret(Name=name, SecretString=value)
    return name


def test_standalone_it_claims_files_in_the_ledger_and_publishes_them(glue_lake: GlueLake, ledger_url: str) -> None:
    """No Dagster, and no password in an argument: the ledger is given by its secret."""
    files = {f"2026/week06/{number}.json": ndjson(GOOD) for number in range(3)}
    glue_lake.land({**files, "2026/week06/bad.json": b"{broken\n" * 9})
    discover(glue_lake.lake)
    secret = secret_with(glue_lake.aws, glue_lake.job, ledger_url)
    arguments = {
        "--additional-python-modules": ",".join(modules(alone=True)),
        "--LAKE_ROOT": glue_lake.store.uri,
        "--LAKE_S3_ENDPOINT_URL": glue_lake.aws.endpoint,
        "--LAKE_LEDGER_SECRET": secret,
        "--LAKE_BATCH_FILES": "3",
        "--max_batches": "2",
    }
    assert run_to_its_end(glue_lake.aws, glue_lake.job, arguments) == "SUCCEEDED"
    states = glue_lake.lake.ledger.views.status().files
    assert (states[FileState.SUCCEEDED], states[FileState.QUARANTINED]) == (3, 1)
    assert is_sound(glue_lake.lake)


def test_given_objects_are_converted_without_a_ledger(glue_lake: GlueLake, tmp_path: Path) -> None:
    content = ndjson(GOOD, {**GOOD, "n": 7}) + b"{broken\n"
    glue_lake.land({"2026/week06/a.json": content})
    arguments = {
        "--lake_root": glue_lake.store.uri,
        "--s3_endpoint_url": glue_lake.aws.endpoint,
        "--input_s3_paths": f"{glue_lake.store.uri}/2026/week06/a.json",
        "--options": json.dumps({"max_bad_share": 0.5}),
        "--batch_id": BATCH,
        "--report": "glue/runs/mine/report.json",
    }
    assert run_to_its_end(glue_lake.aws, glue_lake.job, arguments) == "SUCCEEDED"
    report = read_answer(glue_lake.store, "glue/runs/mine/request.json")
    assert isinstance(report, ConversionReport)
    single = LakeOnDisk(tmp_path).convert({"2026/week06/a.json": content}, max_bad_share=0.5)
    assert report.manifest.files == single.report.manifest.files
    (part,) = report.manifest.curated
    assert glue_lake.store.stat(part.object.key) is None
    glue_lake.store.publish(part.object)
    assert glue_lake.store.stat(part.object.key) is not None


def test_the_lister_registers_new_files(glue_lake: GlueLake, ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    glue_lake.land({"2026/week06/a.json": ndjson(GOOD), "2026/week06/b.json": ndjson(GOOD)})
    write_bundle(tmp_path)
    (tmp_path / "dagster.py").write_text("raise AssertionError('Dagster is imported')")
    secret = secret_with(glue_lake.aws, f"{glue_lake.job}-lister", ledger_url)
    command = [sys.executable, str(tmp_path / LISTER), "--LAKE_ROOT", glue_lake.store.uri]
    command += ["--LAKE_S3_ENDPOINT_URL", glue_lake.aws.endpoint, "--LAKE_LEDGER_SECRET", secret]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(tmp_path / BUNDLE)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 objects seen, 2 new" in done.stdout
    assert ledger.views.status().files[FileState.PENDING] == 2


def test_scripts_of_another_version_refuse_the_package(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    script = tmp_path / LISTER
    script.write_text(script.read_text().replace('VERSION = "', 'VERSION = "9.'))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / BUNDLE)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "file_lister.py is of version 9." in done.stderr


@pytest.mark.parametrize("path", ["nowhere.json", "s3://other/a.json"])
def test_a_missing_object_is_reported(path: str, tmp_path: Path) -> None:
    """Fails before Spark is started."""
    write_bundle(tmp_path)
    command = [sys.executable, str(tmp_path / "batch_processor.py"), "--lake_root", str(tmp_path / "lake")]
    done = subprocess.run(
        [*command, "--input_s3_paths", path],
        env={**os.environ, "PYTHONPATH": str(tmp_path / BUNDLE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "nowhere.json" in done.stderr or "s3://other" in done.stderr
