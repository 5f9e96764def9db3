"""Owners: only a killed process of this machine is recognized as dead."""

from __future__ import annotations

import signal
import subprocess
import sys

from lake_pipeline.ledger.owner import owner_is_dead, this_owner

TELL = "from lake_pipeline.ledger.owner import this_owner; print(this_owner(), flush=True); input()"


def test_this_process_is_alive() -> None:
    assert this_owner() == this_owner()
    assert not owner_is_dead(this_owner())


def test_a_killed_process_is_dead_even_before_its_parent_waits_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().decode().strip()
        assert not owner_is_dead(owner)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()  # ends when the process has
        while not owner_is_dead(owner):  # a zombie until now, at the latest gone after the wait
            process.wait()
    assert owner_is_dead(owner)


def test_a_reused_pid_does_not_keep_its_first_owner_alive() -> None:
    process, _, _ = this_owner().rpartition("/")
    assert owner_is_dead(f"{process}/12345")


def test_a_process_of_another_machine_is_never_considered_dead() -> None:
    assert not owner_is_dead("other-host/boot/1/pid/999999/1")
    assert not owner_is_dead("somebody")
