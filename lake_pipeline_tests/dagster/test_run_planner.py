"""How free runs are divided between partitions and batches."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from lake_pipeline.defs.pending.run_planner import BatchSize, Plan, Work, plan_runs
from lake_pipeline.model.partitions import PartitionKey

SIZE = BatchSize(files=10, bytes=1000)
NONE = Work(files=0, bytes=0)


def _partitions(count: int, files: int = 1) -> list[Work]:
    days = (date(2026, 1, 1) + timedelta(days=number) for number in range(count))
    return [Work(partition=PartitionKey(day, "live"), files=files, bytes=files) for day in days]


def _shape(plan: Plan) -> tuple[int, int]:
    return len(plan.partitions), plan.batches


@pytest.mark.parametrize(("files", "size", "batches"), [(0, 0, 0), (1, 1, 1), (10, 1000, 1), (11, 1, 2), (1, 2001, 3)])
def test_the_number_of_batches_follows_files_and_bytes(files: int, size: int, batches: int) -> None:
    assert SIZE.batches([Work(files=files, bytes=size)]) == batches


def test_each_partition_gets_its_own_run_if_enough_runs_are_free() -> None:
    assert _shape(plan_runs(_partitions(3), NONE, size=SIZE, max_runs=5)) == (3, 0)


def test_partitions_beyond_the_free_runs_wait_for_the_next_tick() -> None:
    assert _shape(plan_runs(_partitions(5), NONE, size=SIZE, max_runs=2)) == (2, 0)


def test_a_batch_is_never_starved_by_partitions() -> None:
    assert _shape(plan_runs(_partitions(5), Work(files=1, bytes=1), size=SIZE, max_runs=2)) == (1, 1)


def test_runs_that_partitions_do_not_need_go_to_batches() -> None:
    assert _shape(plan_runs(_partitions(1), Work(files=100, bytes=1), size=SIZE, max_runs=4)) == (1, 3)


def test_many_partitions_are_converted_by_batches() -> None:
    assert _shape(plan_runs(_partitions(1000), NONE, size=SIZE, max_runs=2)) == (0, 2)
    assert _shape(plan_runs(_partitions(7), NONE, size=SIZE, max_runs=2)) == (1, 1)


def test_nothing_is_requested_above_the_limit_and_the_reason_is_given() -> None:
    plan = plan_runs(_partitions(1), Work(files=1, bytes=1), size=SIZE, max_runs=2, in_flight=7)
    assert _shape(plan) == (0, 0)
    assert "LAKE_MAX_RUNS" in plan.skip_reason


def test_files_that_a_queued_batch_will_take_are_not_requested_again() -> None:
    unpartitioned = Work(files=15, bytes=1)
    assert _shape(plan_runs([], unpartitioned, size=SIZE, max_runs=9, in_flight=1, queued_batches=1)) == (0, 1)
    plan = plan_runs([], unpartitioned, size=SIZE, max_runs=9, in_flight=2, queued_batches=2)
    assert _shape(plan) == (0, 0)
    assert "queued or running" in plan.skip_reason
