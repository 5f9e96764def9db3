"""The memory check finds invalid reads and writes of machine code, and tells them from those of other code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lake_pipeline_tests.memory import valgrind
from lake_pipeline_tests.support.repository import REPOSITORY

REPORT = """<?xml version="1.0"?>
<valgrindoutput>
<error><kind>InvalidRead</kind><what>Invalid read of size 8</what>
  <stack><frame><ip>0x1</ip><obj>/lib/ld-linux-x86-64.so.2</obj><fn>strncmp</fn></frame></stack></error>
<error><kind>InvalidRead</kind><what>Invalid read of size 32</what>
  <stack><frame><ip>0x8EC2D43</ip></frame><frame><ip>0x1</ip><obj>/lib/libffi.so.8</obj></frame></stack>
  <auxwhat>Address 0x2 is 16 bytes after a block</auxwhat>
  <stack><frame><ip>0x3</ip></frame></stack></error>
<error><kind>InvalidWrite</kind><what>Invalid write of size 1</what>
  <stack><frame><ip>0x1</ip><obj>/lib/libc.so.6</obj><fn>memcpy</fn></frame><frame><ip>0x8EC2D44</ip></frame></stack></error>
<error><kind>Leak_Lost</kind><what>leaked</what><stack><frame><ip>0x8EC2D44</ip></frame></stack></error>
"""
"""Without an end, as after a crash."""


def test_accesses_of_machine_code_are_those_without_an_object_file() -> None:
    accesses = list(valgrind.invalid_accesses(REPORT))
    assert [access.in_machine_code for access in accesses] == [False, True, True]
    assert str(accesses[1]).startswith("Invalid read of size 32 Address 0x2 is 16 bytes after a block\n")


@pytest.mark.skipif(not valgrind.is_installed(), reason="valgrind is not installed")
@pytest.mark.slow
def test_a_deliberate_error_in_a_call_of_machine_code_is_found() -> None:
    report = valgrind.run("lake_pipeline_tests.memory.faulty")
    assert report.status == 0, report.output
    kinds = {access.description[: len("Invalid write")].strip() for access in report.in_machine_code}
    assert kinds == {"Invalid read", "Invalid write"}


def test_without_valgrind_the_check_succeeds_and_says_so() -> None:
    command = [sys.executable, "-m", "lake_pipeline_tests.memory"]
    done = subprocess.run(command, cwd=REPOSITORY, env={"PATH": "/nowhere"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "valgrind is not installed"), done.stderr
