"""Sensors: they look and request. They never claim or convert; what a file needs is for runs to find out.

Requests may be late, double or lost without harm, because the ledger is the queue: a run that finds nothing to
claim says so and ends. One sensor writes: it registers what the event queue tells, because a run for each message
would take seconds and a row would not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

from lake_pipeline.defs.backlog import BatchSize, Plan, Work, plan_runs
from lake_pipeline.defs.backlog_asset import backlog_observation
from lake_pipeline.defs.in_flight import INGEST_BATCH_JOB, PARTITION_JOB, InFlight, in_flight
from lake_pipeline.defs.partitions import MODES, has_day, unknown_modes
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.model.files import Lane
from lake_pipeline.model.states import FileState
from lake_pipeline.settings import Settings

if TYPE_CHECKING:
    from lake_pipeline.ledger.ledger import Ledger
    from lake_pipeline.ledger.views import LakeStatus

LANE_TAG = "lake/lane"
PRIORITY_TAG = "dagster/priority"
"""Of two queued runs Dagster starts the one with the higher number first."""

ADD_ONLY = {"ops": {"run_conversion": {"config": {"rebuild": False}}}}
"""The run config of runs for pending files."""

LOOKED_AT = 1000
"""Partitions read in one tick; whatever their number, far fewer runs are requested."""

EVENTS_SECONDS = 30
LONGEST_POLL = 10
"""Seconds that a tick waits for a message. SQS allows 20, and an empty poll costs as much as one that brings ten."""

EVENTS_TICK_SECONDS = 30
"""A tick that took 60 would be ended by Dagster."""

NOTHING_PENDING = (
    "Nothing is pending: every file that was discovered is published, in quarantine, being converted or waiting "
    "for its next attempt. New files are found by the schedule weekly_listing, by materializing landing_files, "
    "or by `lake discover`."
)


def pending_files_sensor(
    settings: Settings, *, batch_job: dg.JobDefinition, partition_job: AssetJob
) -> dg.SensorDefinition:
    """Requests runs for files that wait in the ledger: by partition where the key tells it, else as batches."""

    @dg.sensor(
        name="pending_files_sensor",
        jobs=[batch_job, partition_job],
        minimum_interval_seconds=settings.sensor_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a run for each partition with pending files, and batches for the files whose "
        f"partition is known only from their records; weekly drops first. Keeps at most {settings.max_runs} runs in "
        "flight beside those of backfills (LAKE_MAX_RUNS), and tells lake_backlog what waits.",
    )
    def look(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]) -> dg.SensorResult:
        ledger = lake.open().ledger
        pending, status = _pending(ledger, settings), ledger.status()
        if pending.outside.files:
            context.log.warning(_outside_text(pending.outside, settings))
        plan = _plan(status, pending, in_flight(context.instance), settings)
        seen = [backlog_observation(status, ledger.pulse())]
        if not plan.partitions and not plan.batches:
            return dg.SensorResult(skip_reason=plan.why_nothing, asset_events=seen, cursor=context.cursor)
        return _result(context, plan, seen)

    return look


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """What waits: `placed` has the partition that its key promises, `unplaced` can be taken by batches only.

    `outside` is the part of `unplaced` whose keys promise days that Dagster has no partition for; its partition is one
    of them.
    """

    placed: list[Work]
    unplaced: Work
    outside: Work


def _plan(status: "LakeStatus", pending: _Pending, under_way: InFlight, settings: Settings) -> Plan:
    if pending.placed or pending.unplaced.files:
        return plan_runs(
            [work for work in pending.placed if work.partition and not under_way.covers(work.partition, work.lane)],
            pending.unplaced,
            size=BatchSize(files=settings.batch_files, bytes=settings.batch_bytes),
            max_runs=settings.max_runs,
            in_flight=under_way.runs,
            queued_batches=under_way.queued_batches,
        )
    if status.files[FileState.PROCESSING] and not under_way.runs and not under_way.backfills:
        # Claimed, but by no run of ours: perhaps by a worker that was killed. A batch looks and takes over.
        return Plan(batches=1)
    return Plan(why_nothing=NOTHING_PENDING)


def _pending(ledger: "Ledger", settings: Settings) -> _Pending:
    strays, placed, outside = ledger.pending_unplaced(), list[Work](), list[Work]()
    for each in ledger.pending_by_partition(limit=LOOKED_AT):
        work = Work(partition=each.partition, files=each.files, bytes=each.bytes, lane=each.lane)
        inside = has_day(settings.first_date, settings.last_date, each.partition.day)
        (placed if inside else outside).append(work)
    # No run can be asked for such a day; the batch that takes the file says what is wrong with it.
    beyond = _sum(outside, Work(files=0, bytes=0, partition=outside[0].partition if outside else None))
    return _Pending(
        placed=placed,
        unplaced=_sum([beyond], Work(files=strays.files, bytes=strays.bytes, lane=strays.lane)),
        outside=beyond,
    )


def _sum(more: Sequence[Work], to: Work) -> Work:
    return replace(
        to,
        files=to.files + sum(each.files for each in more),
        bytes=to.bytes + sum(each.bytes for each in more),
        lane=min([to.lane, *(each.lane for each in more)]),
    )


def _outside_text(outside: Work, settings: Settings) -> str:
    return (
        f"The keys of {outside.files} pending files promise days without a partition, like {outside.partition}: "
        f"partitions go from {settings.first_date} (LAKE_FIRST_DATE) to {settings.last_date or 'tomorrow'} "
        "(LAKE_LAST_DATE). Batches take these files; records whose own day lies outside are quarantined."
    )


def _result(context: dg.SensorEvaluationContext, plan: Plan, seen: Sequence[dg.AssetObservation]) -> dg.SensorResult:
    # A run key names its tick: a tick that is evaluated again after a crash requests nothing twice, and the next
    # tick is free to ask again. Dagster never runs the same key a second time, not even after a failure.
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
        asset_events=seen,
        cursor=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _partition_request(work: Work, tick: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{work.partition} of {tick}",
        job_name=PARTITION_JOB,
        partition_key=str(work.partition),
        # New files came; what is published of the partition stays as it is.
        run_config=ADD_ONLY,
        tags=_lane_tags(work.lane),
    )


def _lane_tags(lane: Lane) -> dict[str, str]:
    """Weekly drops go ahead of the history and of the runs of backfills, which have no priority."""
    return {LANE_TAG: lane.name.lower(), PRIORITY_TAG: "1" if lane is Lane.WEEKLY else "0"}


def landing_events_sensor(settings: Settings) -> dg.SensorDefinition:
    """Registers files as S3 tells that they have landed; pending_files_sensor then has them converted."""

    @dg.sensor(
        name="landing_events_sensor",
        minimum_interval_seconds=EVENTS_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Waits at the SQS queue of LAKE_EVENTS_QUEUE_URL, registers what has landed, then deletes the "
        "messages. The schedule weekly_listing finds whatever no message told of.",
    )
    def listen(lake: dg.ResourceParam[LakeResource]) -> dg.SkipReason:
        from lake_pipeline.ingest.arrivals import register_arrivals
        from lake_pipeline.opening import event_queue

        found = register_arrivals(
            lake.open(), event_queue(settings), wait_seconds=LONGEST_POLL, most_seconds=EVENTS_TICK_SECONDS
        )
        return dg.SkipReason(f"{found.messages} messages told of {found.seen} files, {found.new} of them new.")

    return listen
