"""The keeper: runs the embedded PostgreSQL as its child until nobody uses it any more.

`python -m lake_pipeline.ledger.embedded_keeper HOME LOCK_FD PORT durable|fast`, started by `embedded` with the keeper's
lock in hand. It writes to the log only. If it is killed itself, the kernel tells the server to stop.
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

from lake_pipeline.ledger.embedded_home import USER, EmbeddedHome, programs, server_account, take_lock

LOOK_SECONDS = 0.1
"""How often it looks whether users or server are gone: a system call each, and no wait that could miss the other."""

LOG_BYTES = 10 << 20

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    # The hot pages of a ledger of ten million files: the ends of its indexes and what is being claimed.
    "shared_buffers": "256MB",
    # After each checkpoint the first change of a page puts the whole page into the log: 7 MB for a claim of 500 files,
    # six times as much as otherwise. So checkpoints are rare.
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
"""For a laptop: small, local, quiet. What makes it durable is left as it is."""

_FAST = {"fsync": "off", "full_page_writes": "off"}
"""For tests. A commit still survives the death of the server, so that tests may kill it."""

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Run the server of a home until its last user has gone."""
    home = EmbeddedHome(Path(arguments[0]))
    # A shell's background job inherits SIGINT ignored, and the server would inherit it from here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.set_inheritable(int(arguments[1]), False)
    os.chdir("/")
    _shorten(home.log)
    _wait_for_leftovers(home.data)
    if not (home.data / "PG_VERSION").exists():
        _make_data(home, sync=arguments[3] == "durable")
    if not home.password_file.exists():
        sys.exit(f"{home.password_file} is missing, so nobody can log in. Put it back, or remove {home.data}.")
    server = _start(home, int(arguments[2]), _OPTIONS if arguments[3] == "durable" else _OPTIONS | _FAST)
    _wait_for_last_user(home, server)
    return _stop(server)


def _shorten(log: Path) -> None:
    if log.stat().st_size > LOG_BYTES:
        os.truncate(log, 0)


def _wait_for_leftovers(data: Path) -> None:
    """Stop what an earlier keeper may have left, then remove its pid file.

    The pid in that file may belong to anybody by now, so processes are known by their working directory, which
    is the data directory for every process of a server. Two servers on one directory would ruin it.
    """
    deadline = time.monotonic() + 60
    while leftovers := _servers_of(data):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {leftovers[0].pid} still uses {data} and does not stop")
        pids = {process.pid for process in leftovers}
        for process in leftovers:
            with suppress(psutil.Error):  # it ended meanwhile
                if process.ppid() not in pids:
                    process.send_signal(signal.SIGINT)
        psutil.wait_procs(leftovers, timeout=2)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _servers_of(data: Path) -> list[psutil.Process]:
    folder, found = str(data.resolve()), []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended meanwhile, or it is not ours to look at
            if process.name() == "postgres" and process.cwd() == folder:
                found.append(process)
    return found


def _make_data(home: EmbeddedHome, *, sync: bool) -> None:
    """Make the data directory, whole or not at all."""
    draft = home.data.with_name(f"{home.data.name}.new")
    password_file = home.data.with_name(f"{home.data.name}.password")
    shutil.rmtree(draft, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    draft.mkdir(mode=0o700)
    _write_private(password_file, password)
    if account := server_account():
        os.chown(draft, account.pw_uid, account.pw_gid)
        os.chown(password_file, account.pw_uid, account.pw_gid)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    login = ("-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}")
    subprocess.run(
        [programs() / "initdb", "-D", draft, *login, *locale, *([] if sync else ["--no-sync"])],
        stdin=subprocess.DEVNULL,
        check=True,
        **_account(),
    )
    password_file.unlink()
    _write_private(home.password_file, password)
    draft.rename(home.data)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)


def _start(home: EmbeddedHome, wanted_port: int, options: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the server, on `wanted_port` if that is free, and write the port down."""
    port = _free_port(wanted_port)
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    # Before the fork: nothing may be loaded between fork and exec.
    die_with_parent = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def before_exec() -> None:
        if die_with_parent:
            die_with_parent(_PR_SET_PDEATHSIG, signal.SIGINT)

    server = subprocess.Popen(
        [programs() / "postgres", "-D", home.data, "-p", str(port), *settings],
        stdin=subprocess.DEVNULL,
        preexec_fn=before_exec,
        **_account(),
    )
    draft = home.port_file.with_suffix(".new")
    draft.write_text(str(port), encoding="ascii")
    draft.replace(home.port_file)
    return server


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _free_port(0)
        port: int = probe.getsockname()[1]
        return port


def _account() -> dict[str, Any]:
    """How to become the server's account; nothing when this process is not root."""
    account = server_account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _wait_for_last_user(home: EmbeddedHome, server: subprocess.Popen[bytes]) -> None:
    """Returns with the users' lock held, so that a new user waits until everything is over; or without a server."""
    while server.poll() is None:
        if take_lock(home.users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB) is not None:
            return
        time.sleep(LOOK_SECONDS)


def _stop(server: subprocess.Popen[bytes]) -> int:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # a fast shutdown: everything is written, nobody is waited for
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)  # the log is replayed at the next start
            server.wait()
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
