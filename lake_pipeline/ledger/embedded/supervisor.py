"""The supervisor: runs the embedded PostgreSQL as a child process until no process uses it any more.

`python -m lake_pipeline.ledger.embedded.supervisor HOME LOCK_FD PORT durable|fast`, started by `client`, which passes
the supervisor's lock. It writes to the log only. If it is killed, the kernel signals the server to stop.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lake_pipeline.ledger.embedded.home import USER, EmbeddedHome, programs, server_account
from lake_pipeline.ledger.embedded.private_files import take_lock, write_private
from lake_pipeline.ledger.embedded.public_folders import remove_orphans

POLL_SECONDS = 0.1
"""Interval of the checks for remaining users and the server: one system call each."""

LOG_BYTES = 10 << 20

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    # The hot pages of a ledger of ten million files: the ends of its indexes and the files being claimed.
    "shared_buffers": "256MB",
    # After a checkpoint the first change of each page logs the whole page: 7 MB for a claim of 500 files, six times as
    # much as otherwise. So checkpoints are rare.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # A claim writes up to a few MB of log; with the default (1/32 of shared_buffers) workers wait for each other.
    "wal_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
"""For a laptop: small, local, quiet. Settings of durability keep their defaults."""

_FAST = {"fsync": "off", "full_page_writes": "off"}
"""For tests. A commit still survives a crash of the server, so tests may kill it."""

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All variables of the server and of initdb. Other processes of the server's account can read them."""

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Run the server of a home until its last user has ended."""
    home = EmbeddedHome(Path(arguments[0]))
    # A background job of a shell ignores SIGINT, and the server would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.set_inheritable(int(arguments[1]), False)
    os.chdir("/")
    _truncate(home.log)
    _wait_for_leftovers(home.data)
    if not (home.data / "PG_VERSION").exists():
        _create_data(home, sync=arguments[3] == "durable")
    if not home.password_file.exists():
        sys.exit(f"{home.password_file} is missing, so no login is possible. Restore it, or remove {home.data}.")
    server = _start(home, int(arguments[2]), _OPTIONS if arguments[3] == "durable" else _OPTIONS | _FAST)
    for folder in remove_orphans():
        print(f"Removed {folder}: no home uses it.", file=sys.stderr)
    _wait_for_last_user(home, server)
    return _stop(server)


def _truncate(log: Path) -> None:
    if log.stat().st_size > LOG_BYTES:
        os.truncate(log, 0)


def _wait_for_leftovers(data: Path) -> None:
    """Stop the server of an earlier supervisor, if one is left, then remove its pid file.

    The pid in that file may belong to another process by now. Processes of a server are identified by their working
    directory, which is the data directory. Two servers on one data directory would corrupt it.
    """
    deadline = time.monotonic() + 60
    while leftovers := _servers_of(data):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {leftovers[0].pid} still uses {data} and does not stop")
        pids = {process.pid for process in leftovers}
        for process in leftovers:
            with suppress(psutil.Error):  # it has ended
                if process.ppid() not in pids:
                    process.send_signal(signal.SIGINT)
        psutil.wait_procs(leftovers, timeout=2)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _servers_of(data: Path) -> list[psutil.Process]:
    folder, servers = str(data.resolve()), []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or belongs to another user
            if process.name() == "postgres" and process.cwd() == folder:
                servers.append(process)
    return servers


def _create_data(home: EmbeddedHome, *, sync: bool) -> None:
    """Create the data directory atomically."""
    draft = home.data.with_name(f"{home.data.name}.new")
    password_file = home.data.with_name(f"{home.data.name}.password")
    shutil.rmtree(draft, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    draft.mkdir(mode=0o700)
    write_private(password_file, password)
    if account := server_account():
        os.chown(draft, account.pw_uid, account.pw_gid)
        os.chown(password_file, account.pw_uid, account.pw_gid)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    login = ("-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}")
    subprocess.run(
        [programs() / "initdb", "-D", draft, *login, *locale, *([] if sync else ["--no-sync"])],
        stdin=subprocess.DEVNULL,
        check=True,
        env=_ENVIRONMENT,
        **_account(),
    )
    password_file.unlink()
    write_private(home.password_file, password)
    draft.rename(home.data)


def _start(home: EmbeddedHome, preferred_port: int, options: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the server, on `preferred_port` if that is free, and write the port file."""
    port = _free_port(preferred_port)
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    # Loaded before the fork: nothing may be loaded between fork and exec.
    die_with_parent = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def before_exec() -> None:
        if die_with_parent:
            die_with_parent(_PR_SET_PDEATHSIG, signal.SIGINT)

    server = subprocess.Popen(
        [programs() / "postgres", "-D", home.data, "-p", str(port), *settings],
        stdin=subprocess.DEVNULL,
        preexec_fn=before_exec,
        env=_ENVIRONMENT,
        **_account(),
    )
    write_private(home.port_file, str(port))
    return server


def _free_port(preferred: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return _free_port(0)
        port: int = probe.getsockname()[1]
        return port


def _account() -> dict[str, Any]:
    """Arguments of `subprocess` for the account of the server; empty if this process is not root."""
    account = server_account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _wait_for_last_user(home: EmbeddedHome, server: subprocess.Popen[bytes]) -> None:
    """Returns if the server has ended, or with the users' lock held, so that new users wait for the shutdown."""
    while server.poll() is None:
        if take_lock(home.users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB) is not None:
            return
        time.sleep(POLL_SECONDS)


def _stop(server: subprocess.Popen[bytes]) -> int:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # fast shutdown: writes everything, does not wait for clients
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)  # the next start replays the log
            server.wait()
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
