"""Every command in every unusable environment: one line with the next step, exit code 1, and no traceback."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy.engine import make_url

from lake_pipeline_tests.attack.intact import assert_intact, records
from lake_pipeline_tests.attack.sites import DirectorySite, Site
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest

RAW = "2026/week06/a.json"
PARTITION = "2026-02-03|live"

READING = (
    ("status",),
    ("plan",),
    ("query", "SELECT count(*) FROM json_parsed_parquet"),
    ("fsck",),
    ("forget", RAW, "--dry-run"),
    ("snapshot", "list"),
    ("snapshot", "show", "kept"),
    ("contract", "show"),
    ("contract", "diff"),
)

WRITING = (
    ("discover",),
    ("ingest",),
    ("retry",),
    ("release", "00000000-0000-0000-0000-000000000000"),
    ("rebuild", PARTITION),
    ("forget", RAW),
    ("snapshot", "create", "again"),
    ("snapshot", "drop", "kept"),
    ("contract", "widen", "id"),
    ("ledger", "migrate"),
)

DAGSTER = (("demo",), ("dev", "--port", "3999"))
"""Commands that load Dagster, which takes seconds."""

NEXT_STEP = re.compile(
    r"`[a-z]|docs/|\b(LAKE_\w+|TMPDIR)\b|\b(Check|Run|Set|Restore|Free|Raise|Lower|Choose|Use|Give|Create|Install|Mount)\b"
)


def assert_clear(result: Result, command: tuple[str, ...]) -> None:
    """One line with what is wrong and what to do, and exit code 1."""
    assert result.exit_code == 1, (command, result.exit_code, result.output)
    assert not isinstance(result.exception, Exception), (command, result.exception)
    assert_clear_text(result.stderr, command)


def assert_clear_text(stderr: str, command: tuple[str, ...]) -> None:
    assert "Traceback" not in stderr, (command, stderr)
    last = stderr.splitlines()[-1]
    assert last.startswith("Error: "), (command, stderr)
    assert "Unexpected" not in last, (command, stderr)
    assert NEXT_STEP.search(last), (command, stderr)


@pytest.fixture
def used(site: Site) -> Site:
    """A lake with published files and a pending one."""
    site.land({RAW: ndjson(*records(0, 3))})
    ingest(site.lake)
    assert site.run("snapshot", "create", "kept").exit_code == 0
    site.land({"2026/week06/b.json": ndjson(*records(3, 1))})
    return site


def assert_unharmed(site: Site) -> None:
    """The lake can be used as before, without waiting for the end of a pause."""
    assert site.run("discover").exit_code == 0
    ingested = site.run("ingest", "--now")
    assert ingested.exit_code == 0, ingested.output
    assert_intact(site.lake, range(4))


def test_without_a_ledger_every_command_says_so(used: Site) -> None:
    unreachable = {"LAKE_LEDGER_URL": "postgresql://lake:hunter2@127.0.0.1:1/lake"}
    for command in (*READING, *WRITING):
        result = used.run(*command, **unreachable)
        assert_clear(result, command)
        assert "hunter2" not in result.output
    assert_unharmed(used)


@pytest.mark.attack
@pytest.mark.parametrize("name", ["LAKE_LEDGER_URL", "LAKE_DAGSTER_URL"])
def test_a_command_that_loads_dagster_names_the_database_that_is_unreachable(site: Site, name: str) -> None:
    if not isinstance(site, DirectorySite):
        pytest.skip("the demo needs a directory")
    unreachable = {name: "postgresql://lake:hunter2@127.0.0.1:1/lake"}
    for command in DAGSTER:
        result = site.run(*command, **({"LAKE_DAGSTER_URL": site.url} | unreachable))
        assert_clear(result, command)
        assert name in result.stderr, (command, result.stderr)
        assert "hunter2" not in result.output


def test_a_root_that_is_not_there_stops_every_command_that_writes(used: Site) -> None:
    for command in WRITING[:-1]:
        assert_clear(used.run(*command, LAKE_ROOT="/proc/lake"), command)
    assert_unharmed(used)


def test_on_a_standby_reading_commands_work_and_the_others_say_so(used: Site) -> None:
    url = make_url(used.url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    read_only = {"LAKE_LEDGER_URL": url.render_as_string(hide_password=False)}
    for command in READING:
        result = used.run(*command, **read_only)
        assert result.exit_code == 0, (command, result.output)
    for command in WRITING[:-1]:
        result = used.run(*command, **read_only)
        if command[0] == "release":
            assert result.exit_code in (0, 1), "there is no such batch"
            continue
        assert_clear(result, command)
        assert "read-only" in result.stderr, (command, result.stderr)
    assert_unharmed(used)


@pytest.mark.parametrize(
    "change",
    [
        {"LAKE_ROOT": "/dev/null/lake"},
        {"LAKE_LEDGER_URL": "mysql://127.0.0.1/lake"},
        {"LAKE_LEDGER_URL": "", "LAKE_HOME": "/dev/null/home"},
        {"LAKE_LEDGER_URL": "", "LAKE_HOME": "/proc/home"},
        {"LAKE_CONTRACT_FILE": "/nowhere/contract.toml"},
    ],
    ids=lambda change: " ".join(f"{name}={value}" for name, value in change.items()),
)
def test_with_an_unusable_setting_every_command_says_so(used: Site, change: Mapping[str, str]) -> None:
    for command in (*READING, *WRITING[:-1]):
        assert_clear(used.run(*command, **change), command)
    assert_unharmed(used)


FAILURES: dict[str, Callable[[], Exception]] = {
    "full disk": lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/lake/.pending/part"),
    "file size limit": lambda: OSError(errno.EFBIG, os.strerror(errno.EFBIG)),
    "read-only file system": lambda: OSError(errno.EROFS, os.strerror(errno.EROFS), "/lake"),
    "too many files": lambda: OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    "no memory": MemoryError,
    "no threads": lambda: RuntimeError("can't start new thread"),
    "no temporary folder": lambda: FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_of_the_machine_is_one_line_in_every_command(
    site: Site, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FAILURES[failure]()

    monkeypatch.setattr("lake_pipeline.composition.location_of", fail)
    for command in (*READING, *WRITING[:-1]):
        assert_clear(site.run(*command), command)


def test_a_fault_of_the_program_shows_its_place_only_if_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("column")

    monkeypatch.setattr("lake_pipeline.composition.location_of", fail)

    plain, verbose = site.run("status"), site.run("-v", "status")

    assert (plain.exit_code, plain.stderr.count("\n")) == (1, 1)
    assert "KeyError" in plain.stderr
    assert "in fail" in verbose.stderr


def test_without_a_temporary_folder_a_query_says_so(used: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    assert_clear(used.run("query", "SELECT 1 FROM json_parsed_parquet"), ("query",))


def test_a_full_disk_costs_no_file_an_attempt(used: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that write fail as they do on a full disk."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "part")

    used.run("discover")
    with monkeypatch.context() as patch:
        patch.setattr("lake_pipeline.storage.directory.DirectoryWriter.write", full)
        result = used.run("ingest")
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert "No space left" in result.output
    used.run("retry")
    assert_unharmed(used)


def child(
    site: Site, command: tuple[str, ...], *, prepare: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, after `prepare`."""
    variables = {name: value for name, value in os.environ.items() if not name.upper().startswith("LAKE_")}
    script = f"import os, resource, sys\n{prepare}\nfrom lake_pipeline.cli import main\nmain({list(command)!r})"
    return subprocess.run(
        [sys.executable, "-c", script],
        env=variables | site.environment() | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.attack
def test_a_closed_stdout_ends_a_command_without_a_message(used: Site) -> None:
    closed = "r, w = os.pipe(); os.close(r); os.dup2(w, 1)"
    for command in (("status",), ("snapshot", "list", "--json")):
        ended = child(used, command, prepare=closed)
        assert (ended.returncode, ended.stderr) == (1, ""), command


@pytest.mark.attack
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_a_name_or_home_can_do_everything(used: Site, tmp_path: Path) -> None:
    if not isinstance(used, DirectorySite):
        pytest.skip("the store does not matter")
    os.chmod(tmp_path, 0o777)
    for path in (tmp_path, *tmp_path.parents):
        if not path.stat().st_mode & 0o001:
            pytest.skip(f"{path} is closed to other users")
    subprocess.run(["chown", "-R", "54321:54321", str(used.folder)], check=True)
    become = "os.setgid(54321); os.setuid(54321)"
    for command in (("discover",), ("ingest",), ("status",), ("query", "SELECT count(*) FROM json_parsed_parquet")):
        ended = child(used, command, prepare=become, HOME="/")
        assert ended.returncode == 0, (command, ended.stderr)
    embedded = child(used, ("status",), prepare=become, HOME="/", LAKE_LEDGER_URL="", LAKE_HOME=str(tmp_path / "other"))
    assert embedded.returncode == 1
    assert_clear_text(embedded.stderr, ("status",))
    assert "54321" in embedded.stderr
    assert_intact(used.lake, range(4))


@pytest.mark.attack
@pytest.mark.parametrize("megabytes", [300, 600, 900, 1500])
def test_a_small_address_space_is_reported_in_one_line(used: Site, megabytes: int) -> None:
    limit = f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes} << 20,) * 2)"
    for command in (("discover",), ("ingest",)):
        ended = child(used, command, prepare=limit)
        assert "Traceback" not in ended.stderr, (command, ended.stderr)
        assert ended.returncode == 0 or ended.stderr.strip(), (command, ended.returncode)
    used.run("retry")
    assert_unharmed(used)


def test_every_command_in_a_tiny_address_space_is_refused_in_one_line(
    used: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake_pipeline.consume.address_space.address_space", lambda: 300 << 20)
    for command in (*READING, *WRITING):
        result = used.run(*command)
        assert_clear(result, command)
        assert "ulimit -v" in result.stderr
    monkeypatch.undo()
    assert_unharmed(used)


@pytest.mark.parametrize("megabytes", [900, 1500])
def test_a_query_in_a_small_address_space_is_refused_in_one_line(used: Site, megabytes: int) -> None:
    """DuckDB and Arrow would wait without end for a thread that could not be started."""
    limit = f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes} << 20,) * 2)"
    command = ("query", "SELECT mode, count(*) FROM json_parsed_parquet GROUP BY mode")
    ended = child(used, command, prepare=limit)
    assert ended.returncode == 1, ended.stderr
    assert_clear_text(ended.stderr, command)
    assert "ulimit -v" in ended.stderr


def test_a_query_in_a_sufficient_address_space_succeeds(used: Site) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_AS, (3 << 30,) * 2)"
    ended = child(used, ("query", "--json", "SELECT count(*) AS n FROM json_parsed_parquet"), prepare=limit)
    assert (ended.returncode, ended.stdout) == (0, '{"n":3}\n'), ended.stderr


@pytest.mark.attack
@pytest.mark.parametrize("size", [0, 1000])
def test_a_limit_for_the_size_of_files_is_reported_in_one_line(used: Site, size: int) -> None:
    if not isinstance(used, DirectorySite):
        pytest.skip("a bucket has no such limit")
    used.run("discover")
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size},) * 2)"
    ended = child(used, ("ingest",), prepare=limit)
    assert ended.returncode == 1, ended.stderr
    assert_clear_text(ended.stderr, ("ingest",))
    used.run("retry")
    assert_unharmed(used)
