"""No credentials in logs, events, run config, errors, the ledger or the bucket: plants secrets and looks for them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster._serdes import serialize_value
from sqlalchemy import URL, create_engine, make_url, text

from lake_pipeline.defs.build import build_defs
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.s3.store import S3Store
from lake_pipeline_tests.s3.conftest import Land
from lake_pipeline_tests.support.dagster_instances import dagster_instance
from lake_pipeline_tests.support.factories import ndjson
from local_aws.server import AwsServer

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key",
    "AWS_SESSION_TOKEN": "planted-session-token",
}
PASSWORD = "planted-password"

Clean = Callable[[str], None]

COMMANDS = (
    ("discover",),
    ("ingest",),
    ("status",),
    ("query", "SELECT count(*) FROM json_parsed_parquet"),
    ("fsck",),
    ("provision", "--dry-run", "--only", "bucket"),
    ("ledger", "migrate"),
)


@pytest.fixture
def planted(aws: AwsServer, store: S3Store, ledger_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a lake whose credentials are all planted ones."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("LAKE_")},
        **SECRETS,
        "LAKE_ROOT": store.uri,
        "LAKE_S3_ENDPOINT_URL": aws.endpoint,
        "LAKE_LEDGER_URL": with_password_in_query(ledger_url),
        "LAKE_ALERTS": f"http://127.0.0.1:9/{PASSWORD}",
        "LAKE_HOME": str(tmp_path / "home"),
    }


def with_password_in_query(url: str) -> str:
    """The same database; programs that mask passwords often forget this form."""
    parts = make_url(url)
    query = {**parts.query, "password": str(parts.password)}
    moved = URL.create(parts.drivername, parts.username, None, parts.host, parts.port, parts.database, query)
    return moved.render_as_string(hide_password=False)


def outputs(environment: dict[str, str], commands: tuple[tuple[str, ...], ...], *flags: str) -> str:
    """The complete output of all commands."""
    program = (
        "import sys, json, lake_pipeline.cli as cli\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    try: cli.main(arguments)\n"
        "    except SystemExit as end: print('exit', end.code)\n"
    )
    output = json.dumps([["-v", *command, *flags] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", program, output], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


@pytest.fixture
def assert_clean(ledger_url: str) -> Clean:
    """Fails if a text contains one of the credentials."""
    real = make_url(ledger_url).password
    assert real

    def check(output: str) -> None:
        for secret in (*SECRETS.values(), PASSWORD, real):
            assert secret not in output

    return check


def test_no_command_prints_or_stores_a_secret(
    aws: AwsServer,
    store: S3Store,
    land: Land,
    planted: dict[str, str],
    assert_clean: Clean,
    ledger_url: str,
    tmp_path: Path,
) -> None:
    land({"2026/week05/a.json": ndjson({"event_time": "2026-02-03T10:00:00Z"}), "2026/week05/b.json": b"{broken"})
    output = outputs(planted, COMMANDS, "--json")
    assert output.count("exit 0") >= 5
    assert_clean(output)
    # Everything that the commands wrote.
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).all()
        assert {"file_processing_status", "batch", "file_event"} <= set(tables)
        for table in tables:
            assert_clean(str(connection.execute(text(f"SELECT * FROM {table}")).all()))
    engine.dispose()
    for info in store.objects(""):
        head = aws.client().head_object(Bucket=store.location.bucket, Key=store.location.prefix + info.key)
        assert_clean(str(head))
        with store.open(info.key) as stream:
            assert_clean(stream.read().decode("latin-1"))
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert_clean(path.read_bytes().decode("latin-1"))


@pytest.mark.parametrize(
    "broken",
    [
        {"LAKE_S3_ENDPOINT_URL": "http://127.0.0.1:9"},
        {"LAKE_ROOT": "s3://no-such-bucket"},
        {"LAKE_LEDGER_URL": f"postgresql://lake:{PASSWORD}@127.0.0.1:9/lake"},
        {"LAKE_LEDGER_URL": f"postgresql://127.0.0.1:9/lake?user=lake&password={PASSWORD}"},
        {"LAKE_LEDGER_URL": f"postgresql://lake:{PASSWORD}@127.0.0.1:x/lake"},
    ],
    ids=["no store", "no bucket", "no ledger", "no ledger, password in the query", "no ledger's address"],
)
def test_no_error_contains_a_secret(
    planted: dict[str, str], broken: dict[str, str], land: Land, assert_clean: Clean
) -> None:
    land({"2026/week05/a.json": b"{}"})
    # One attempt: eight would take half a minute.
    site = "import lake_pipeline.aws.clients as clients; clients.MAX_ATTEMPTS = 1\n"
    program = f"{site}import lake_pipeline.cli as cli\ncli.main(['-v', 'discover'])"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**planted, **broken}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip()
    assert_clean(done.stdout + done.stderr)


def test_no_dagster_run_contains_a_secret(
    aws: AwsServer,
    store: S3Store,
    land: Land,
    planted: dict[str, str],
    assert_clean: Clean,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    land({"2026/week05/a.json": ndjson({"event_time": "2026-02-03T10:00:00Z"})})
    for name, value in planted.items():
        if name.startswith("LAKE_"):
            monkeypatch.setenv(name, value)
    definitions = build_defs(load_settings())
    with caplog.at_level(logging.DEBUG, "lake_pipeline"), dagster_instance() as instance:
        for job in ("landing_files_job", "ingest_batch_job", "landing_files_job"):
            with aws.faults(**({"rate": 1.0, "kinds": ["refuse"]} if job == "ingest_batch_job" else {})):
                definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)
        runs = instance.get_runs()
        assert len(runs) == 3
        for run in runs:
            assert_clean(str(run))
            assert_clean("\n".join(serialize_value(entry) for entry in instance.all_logs(run.run_id)))
    assert_clean(caplog.text)
    assert_clean(repr(load_settings()))
