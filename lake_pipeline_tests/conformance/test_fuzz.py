"""Mutated inputs, the same in every run: nothing crashes or hangs, and each record is accounted for."""

from __future__ import annotations

import pytest

from lake_pipeline_tests.fuzz.__main__ import fuzz

pytestmark = pytest.mark.slow

INPUTS = 12_000


def test_mutated_inputs_are_accounted_for_and_crash_nothing() -> None:
    tally = fuzz(seed=0, seconds=120, most=INPUTS, workers=1)
    assert [(finding.seed, finding.problems[:3]) for finding in tally.findings] == []
    assert tally.count >= INPUTS
