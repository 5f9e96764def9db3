"""`pending_files_sensor`: requests conversion runs for the pending files of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.defs.conversion.runs import INGEST_BATCH_JOB, PARTITION_JOB, PRIORITY_TAG
from lake_pipeline.defs.jobs import json_parsed_parquet_job
from lake_pipeline.defs.partitions import MODES, has_day, unknown_modes
from lake_pipeline.defs.pending.backlog_asset import backlog_observation
from lake_pipeline.defs.pending.in_flight import InFlight, in_flight
from lake_pipeline.defs.pending.run_planner import BatchSize, Plan, Work, plan_runs
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.model.files import Lane
from lake_pipeline.model.states import FileState
from lake_pipeline.settings import Settings

if TYPE_CHECKING:
    from lake_pipeline.ledger.ledger import Ledger
    from lake_pipeline.ledger.views import LakeStatus

LANE_TAG = "lake/lane"

ADD_ONLY = {"ops": {"run_conversion": {"config": {"rebuild": False}}}}
"""The run config of runs for pending files."""

MAX_PARTITIONS_READ = 1000
"""Pending partitions read in one tick; far fewer runs are requested than that."""

NOTHING_PENDING = (
    "Nothing is pending: every discovered file is published, quarantined, being converted or waiting for its next "
    "attempt. New files are registered by the schedule weekly_listing, by materializing landing_files, or by "
    "`lake discover`."
)


def pending_files_sensor(settings: Settings, batch_job: dg.JobDefinition) -> dg.SensorDefinition:
    """Requests a run per partition for files whose key promises one, and batches for all other files."""

    @dg.sensor(
        name="pending_files_sensor",
        jobs=[batch_job, json_parsed_parquet_job],
        minimum_interval_seconds=settings.dagster.sensor_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a run for each partition with pending files, and batches for the files whose "
        f"partition is known only from their records; weekly drops first. Keeps at most {settings.dagster.max_runs} "
        "runs in flight, not counting backfills (LAKE_MAX_RUNS), and reports the backlog to lake_backlog.",
    )
    def request_runs(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]) -> dg.SensorResult:
        from lake_pipeline.usecases.batches.circuit_breaker import outages_of

        # Not the store: a tick must report an outage, not wait for it.
        opened = lake.open_for_reading()
        ledger = opened.ledger
        pending, status = _pending(ledger, settings), ledger.views.status()
        if pending.outside.files:
            context.log.warning(_outside_text(pending.outside, settings))
        outages = outages_of(opened)
        runs = in_flight(context.instance)
        plan = _plan(status, pending, runs, settings, max_runs=1 if outages else settings.dagster.max_runs)
        if any(outage.is_paused for outage in outages):
            plan = Plan(skip_reason=" ".join(map(str, outages)))
        observations = [backlog_observation(status, ledger.views.throughput())]
        if not plan.partitions and not plan.batches:
            return dg.SensorResult(skip_reason=plan.skip_reason, asset_events=observations, cursor=context.cursor)
        return _result(context, plan, observations)

    return request_runs


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """Pending files: `by_partition` by the partition that their key promises, `without_partition` for batches only.

    `outside` is the part of `without_partition` whose keys promise days that Dagster has no partition for; its
    partition is an example.
    """

    by_partition: list[Work]
    without_partition: Work
    outside: Work


def _plan(status: "LakeStatus", pending: _Pending, runs: InFlight, settings: Settings, *, max_runs: int) -> Plan:
    """The runs to request, at most `max_runs` in flight: after the pause of an outage one, which probes."""
    if pending.by_partition or pending.without_partition.files:
        return plan_runs(
            [work for work in pending.by_partition if work.partition and not runs.covers(work.partition, work.lane)],
            pending.without_partition,
            size=BatchSize(files=settings.batches.batch_files, bytes=settings.batches.batch_bytes),
            max_runs=max_runs,
            in_flight=runs.runs,
            queued_batches=runs.queued_batches,
        )
    if status.files[FileState.PROCESSING] and not runs.runs and not runs.backfills:
        # Claimed, but not by a run of this instance: perhaps by a worker that was killed. A batch reclaims them.
        return Plan(batches=1)
    return Plan(skip_reason=NOTHING_PENDING)


def _pending(ledger: "Ledger", settings: Settings) -> _Pending:
    unpartitioned, by_partition, outside = ledger.views.pending_unpartitioned(), list[Work](), list[Work]()
    for backlog in ledger.views.pending_by_partition(limit=MAX_PARTITIONS_READ):
        work = Work(partition=backlog.partition, files=backlog.files, bytes=backlog.bytes, lane=backlog.lane)
        inside = has_day(settings.records.first_date, settings.records.last_date, backlog.partition.day)
        (by_partition if inside else outside).append(work)
    # No run can be requested for such a day; the batch that takes the file reports the problem.
    outside_total = _total(outside, Work(files=0, bytes=0, partition=outside[0].partition if outside else None))
    return _Pending(
        by_partition=by_partition,
        without_partition=_total(
            [outside_total], Work(files=unpartitioned.files, bytes=unpartitioned.bytes, lane=unpartitioned.lane)
        ),
        outside=outside_total,
    )


def _total(work: Sequence[Work], start: Work) -> Work:
    return replace(
        start,
        files=start.files + sum(item.files for item in work),
        bytes=start.bytes + sum(item.bytes for item in work),
        lane=min([start.lane, *(item.lane for item in work)]),
    )


def _outside_text(outside: Work, settings: Settings) -> str:
    return (
        f"The keys of {outside.files} pending files promise days without a partition, for example {outside.partition}: "
        f"partitions go from {settings.records.first_date} (LAKE_FIRST_DATE) to "
        f"{settings.records.last_date or 'tomorrow'} (LAKE_LAST_DATE). "
        "Batches take these files; records whose own day is outside are quarantined."
    )


def _result(
    context: dg.SensorEvaluationContext, plan: Plan, observations: Sequence[dg.AssetObservation]
) -> dg.SensorResult:
    # A run key names its tick: a tick that is evaluated again after a crash requests nothing twice, and the next
    # tick may request the same again. Dagster never runs the same key a second time, not even after a failure.
    tick = context.cursor or "first"
    modes = unknown_modes(context.instance, [work.partition for work in plan.partitions if work.partition])
    return dg.SensorResult(
        run_requests=[
            *(
                dg.RunRequest(
                    run_key=f"batch {number} of {tick}", job_name=INGEST_BATCH_JOB, tags=_lane_tags(plan.batch_lane)
                )
                for number in range(plan.batches)
            ),
            *(_partition_request(work, tick) for work in plan.partitions),
        ],
        dynamic_partitions_requests=[MODES.build_add_request(modes)] if modes else [],
        asset_events=observations,
        cursor=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _partition_request(work: Work, tick: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{work.partition} of {tick}",
        job_name=PARTITION_JOB,
        partition_key=str(work.partition),
        # There are new files; what is published in the partition stays as it is.
        run_config=ADD_ONLY,
        tags=_lane_tags(work.lane),
    )


def _lane_tags(lane: Lane) -> dict[str, str]:
    """Weekly drops run before the history and the runs of backfills, which have no priority.

    Of two queued runs Dagster starts the one with the higher number first.
    """
    return {LANE_TAG: lane.name.lower(), PRIORITY_TAG: "1" if lane is Lane.WEEKLY else "0"}
