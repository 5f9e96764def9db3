"""Attacks on secrets: what other users can read of a lake on this machine, and what SQL can read through it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lake_pipeline.ledger.embedded.home import EmbeddedHome
from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import Site
from lake_pipeline_tests.conftest import remove_embedded
from lake_pipeline_tests.support.factories import ndjson

pytestmark = pytest.mark.attack

NOBODY = 65534
SECRET = "planted-hunter2"

USE = """
import sys
from pathlib import Path
from lake_pipeline.composition import open_lake
from lake_pipeline.settings import load_settings
with open_lake(load_settings()) as lake:
    print("open", flush=True)
    sys.stdin.read()
"""

SPY = """
cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'
cat {data}/../* {home}/* {home}/postgres.locks/* 2>/dev/null
for lock in {home}/postgres.locks/postgres.users {home}/postgres.users; do
  if (exec 9<"$lock"); then echo LOCKED; fi
done 2>/dev/null
true
"""
"""What another user tries: environments, files of the home, and its locks."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_reads_no_secret_and_holds_no_lock(tmp_path: Path) -> None:
    """The spy has the account of the server, if root started it: that is the most that another user can be."""
    home = tmp_path / "home"
    settings = {"LAKE_ROOT": str(tmp_path / "lake"), "LAKE_HOME": str(home), "LAKE_ALERTS": f"https://a.b/{SECRET}"}
    environment = {**os.environ, **settings, "AWS_SECRET_ACCESS_KEY": SECRET, "GITHUB_TOKEN": SECRET}
    with subprocess.Popen(
        [sys.executable, "-c", USE], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"open\n"
        files = EmbeddedHome(home.resolve())
        password = files.password_file.read_text()
        script = SPY.format(home=shlex.quote(str(home)), data=shlex.quote(str(files.data)))
        output = subprocess.run(
            ["/bin/sh", "-c", script], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=True
        ).stdout
        user.kill()
    remove_embedded(home)
    assert b"TZ=UTC" in output, "the spy can read the environment of the server"
    for secret in (SECRET, password, "LOCKED"):
        assert secret.encode() not in output


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('{file}')",
        "FROM read_csv('/proc/self/environ')",
        "COPY (SELECT 1 AS id) TO '{file}'",
        "COPY (SELECT 1 AS id) TO '{root}/json_parsed_parquet/x.parquet'",
        "ATTACH '{file}' AS x",
        "INSTALL httpfs",
        "SELECT 1; SET enable_external_access = true",
    ],
)
def test_sql_reads_and_writes_nothing_but_the_tables(site: Site, tmp_path: Path, sql: str) -> None:
    site.land({"2026/week05/a.json": ndjson(*records(0, 3))})
    assert site.run("discover").exit_code == 0
    assert site.run("ingest").exit_code == 0
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)

    refused = site.run("query", sql.format(file=file, root=site.root))

    assert refused.exit_code == 1
    assert SECRET not in refused.output
    assert file.read_text() == SECRET
    assert "3" in site.run("query", "SELECT count(*) AS n FROM json_parsed_parquet", "--json").output
    assert_intact(site.lake, range(3))


@pytest.mark.parametrize(
    "setting",
    [
        {"LAKE_LEDGER_URL": f"postgresql://127.0.0.1:9/lake?user=lake&password={SECRET}&sslpassword={SECRET}"},
        {"LAKE_LEDGER_URL": f"postgresql://lake:{SECRET}@127.0.0.1:9/lake"},
        {"LAKE_LEDGER_URL": f"postgresql://lake:x@{SECRET}@127.0.0.1:9/lake"},
        {"LAKE_LEDGER_URL": f"mysql://lake:{SECRET}@127.0.0.1:9/lake"},
        {"LAKE_LEDGER_URI": f"postgresql://lake:{SECRET}@127.0.0.1:9/lake"},
        {"LAKE_LEDGER_SECRET": f"postgresql://lake:{SECRET}@127.0.0.1:9/lake", "LAKE_LEDGER_URL": ""},
        {"LAKE_S3_ENDPOINT_URL": f"http://key:{SECRET}@127.0.0.1:9"},
        {"LAKE_ROOT": f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/lake"},
        {"LAKE_ALERTS": f"hooks.example.com/{SECRET}"},
        {"LAKE_BATCH_BYTES": f"token={SECRET}"},
    ],
)
def test_no_command_repeats_a_secret_from_a_wrong_setting(site: Site, setting: dict[str, str]) -> None:
    for arguments in (("status",), ("-v", "discover"), ("ingest",), ("query", "SELECT 1"), ("fsck", "--json")):
        result = site.run(*arguments, **setting)

        assert result.exit_code == 1
        assert SECRET not in result.output
        assert isinstance(result.exception, SystemExit)
