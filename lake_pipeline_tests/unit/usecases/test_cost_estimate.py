"""What a backlog will take: the arithmetic of docs/scale.md, which shows the example computed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake_pipeline.cli import main
from lake_pipeline.engines.sharding.shards import FILE_OVERHEAD_BYTES
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.reports.cost_estimate import CORE_BYTES_A_SECOND, START_SECONDS, Workers, plan
from lake_pipeline_tests.support.lakes import lake_at, land
from lake_pipeline_tests.support.repository import REPOSITORY

PAGE = REPOSITORY / "docs/scale.md"
TEN = Workers(runs=2, workers=10, cores=4)
BATCH = {"batch_files": 100_000, "batch_bytes": 200_000_000_000}


def test_time_is_work_by_cores_and_the_start_of_each_run() -> None:
    size = CORE_BYTES_A_SECOND * TEN.converting * 3600
    estimate = plan(1000, size, TEN, **BATCH)
    assert estimate.batches == -(-size // BATCH["batch_bytes"])
    starts = estimate.batches * START_SECONDS / 3600
    assert estimate.core_hours == pytest.approx(36)
    assert estimate.worker_hours == pytest.approx((1 + starts) * 10)
    assert estimate.hours == pytest.approx((1 + starts) / 2)


def test_many_small_files_cost_as_if_they_were_larger() -> None:
    small, large = (plan(1_000_000, size, TEN, **BATCH) for size in (1_000_000_000, 1_000_000 * FILE_OVERHEAD_BYTES))
    assert small.core_hours == large.core_hours
    assert small.requests >= 5_000_000


def test_compressed_files_are_planned_by_what_they_become() -> None:
    packed = plan(1000, 10**12, TEN, **BATCH, unpacked=8)
    assert packed.unpacked == 8 * 10**12
    assert packed.core_hours == pytest.approx(8 * plan(1000, 10**12, TEN, **BATCH).core_hours)
    assert packed.batches == 5


def test_nothing_takes_nothing() -> None:
    estimate = plan(0, 0, TEN, **BATCH)
    assert (estimate.batches, estimate.hours, estimate.requests, estimate.dollars, estimate.starting_share) == (
        0,
        0,
        0,
        0,
        0,
    )


def test_the_page_shows_what_is_computed() -> None:
    estimate = plan(9_000_000, 9 * 10**12, Workers(runs=2, workers=50, cores=4), **BATCH)
    page = PAGE.read_text()
    for text in (
        f"{estimate.hours:.1f} hours",
        f"{estimate.worker_hours:,.0f} worker hours",
        f"{estimate.requests:,} requests",
    ):
        assert text in page
    assert f"{CORE_BYTES_A_SECOND / 1e6:.0f} MB/s" in page


def test_the_command_plans_the_real_backlog(
    ledger: Ledger, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path))
    assert "Nothing is pending" in CliRunner().invoke(main, ["plan"]).output
    land(tmp_path, {f"2026/week06/{number}.json": b"{}\n" for number in range(3)})
    discover(lake_at(tmp_path, ledger))
    text = CliRunner().invoke(main, ["plan", "--unpacked", "8", "--workers", "5"]).output
    assert re.search(r"^3 files \(9 B, 72 B of JSON\) in 1 batches, each a Glue run with 5 workers", text)
    assert "18 requests to S3" in text
