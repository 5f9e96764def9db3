"""A sample of the crash matrix with other boundaries each time; `make crash-matrix` runs all of it."""

from __future__ import annotations

import random
import subprocess
import sys


def matrix(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, because it forks."""
    command = [sys.executable, "-m", "lake_pipeline_tests.crash", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_after_any_interruption_the_lake_ends_as_after_an_undisturbed_run() -> None:
    seed = str(random.randrange(1 << 20))
    sample = matrix("--seed", seed, "--every", "900", "--twice", "1", "--crowds", "1")
    assert sample.returncode == 0, f"repeat with --seed {seed}:\n{sample.stdout}{sample.stderr}"


def test_the_same_holds_in_a_bucket_with_failing_requests() -> None:
    seed = str(random.randrange(1 << 20))
    scenarios = [word for name in ("ingest", "archive", "rebuild") for word in ("--scenario", name)]
    sample = matrix("--on", "s3", *scenarios, "--seed", seed, "--every", "400", "--twice", "1", "--crowds", "1")
    assert sample.returncode == 0, f"repeat with --on s3 --seed {seed}:\n{sample.stdout}{sample.stderr}"


def test_a_use_case_that_is_not_safe_to_kill_is_detected() -> None:
    result = matrix("--scenario", "careless", "--by", "kill", "--every", "3", "--twice", "0", "--crowds", "0")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "HALF_MOVED" in result.stdout


def test_a_trial_that_disturbs_nothing_is_reported_and_does_not_pass() -> None:
    idle = matrix("--scenario", "archive", "--by", "kill", "--at", "100000")
    assert idle.returncode == 1, idle.stdout + idle.stderr
    assert "IDLE --scenario archive --by kill --at 100000" in idle.stdout
    assert "1 trials, 0 went wrong, 1 disturbed nothing" in idle.stdout
