"""How the free runs are shared between partitions and batches."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from lake_pipeline.defs.backlog import BatchSize, Plan, Work, plan_runs
from lake_pipeline.model.partitions import PartitionKey

SIZE = BatchSize(files=10, bytes=1000)
NONE = Work(files=0, bytes=0)


def _placed(count: int, files: int = 1) -> list[Work]:
    days = (date(2026, 1, 1) + timedelta(days=number) for number in range(count))
    return [Work(partition=PartitionKey(day, "live"), files=files, bytes=files) for day in days]


def _shape(plan: Plan) -> tuple[int, int]:
    return len(plan.partitions), plan.batches


@pytest.mark.parametrize(("files", "size", "batches"), [(0, 0, 0), (1, 1, 1), (10, 1000, 1), (11, 1, 2), (1, 2001, 3)])
def test_batches_are_as_many_as_files_or_bytes_need(files: int, size: int, batches: int) -> None:
    assert SIZE.batches([Work(files=files, bytes=size)]) == batches


def test_each_partition_gets_a_run_of_its_own_while_there_are_runs() -> None:
    assert _shape(plan_runs(_placed(3), NONE, size=SIZE, max_runs=5)) == (3, 0)


def test_partitions_beyond_the_free_runs_wait_for_the_next_tick() -> None:
    assert _shape(plan_runs(_placed(5), NONE, size=SIZE, max_runs=2)) == (2, 0)


def test_a_batch_is_never_starved_by_partitions() -> None:
    assert _shape(plan_runs(_placed(5), Work(files=1, bytes=1), size=SIZE, max_runs=2)) == (1, 1)


def test_runs_left_over_by_partitions_go_to_batches() -> None:
    assert _shape(plan_runs(_placed(1), Work(files=100, bytes=1), size=SIZE, max_runs=4)) == (1, 3)


def test_a_crowd_of_partitions_is_taken_along_by_batches() -> None:
    assert _shape(plan_runs(_placed(1000), NONE, size=SIZE, max_runs=2)) == (0, 2)
    assert _shape(plan_runs(_placed(7), NONE, size=SIZE, max_runs=2)) == (1, 1)


def test_nothing_is_requested_above_the_limit_and_people_are_told_why() -> None:
    plan = plan_runs(_placed(1), Work(files=1, bytes=1), size=SIZE, max_runs=2, in_flight=7)
    assert _shape(plan) == (0, 0)
    assert "LAKE_MAX_RUNS" in plan.why_nothing


def test_what_a_queued_batch_will_take_is_not_requested_again() -> None:
    unplaced = Work(files=15, bytes=1)
    assert _shape(plan_runs([], unplaced, size=SIZE, max_runs=9, in_flight=1, queued_batches=1)) == (0, 1)
    plan = plan_runs([], unplaced, size=SIZE, max_runs=9, in_flight=2, queued_batches=2)
    assert _shape(plan) == (0, 0)
    assert "queued or running" in plan.why_nothing
