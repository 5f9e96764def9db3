"""The job `expectations_job`: repeats the checks whose results change with time alone, for example freshness."""

import logging
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_pipeline.defs.conversion.events import log_expectations
from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.resources import LakeResource

PERIOD = timedelta(days=35)
"""Five weeks: an older partition changes only in a run, which checks it."""

MAX_PARTITIONS = 5_000
"""Partitions in one run, the newest first; each adds three events."""

log = logging.getLogger(__name__)


@dg.op(
    description="Check completeness, quarantine share and freshness of the partitions of the last five weeks, and of "
    "all partitions that have pending files."
)
@clear_failures
def check_expectations(context: dg.OpExecutionContext, lake: dg.ResourceParam[LakeResource]) -> None:
    """Evaluate the checks and report them."""
    from lake_pipeline.usecases.checks.expectations import expectations

    opened = lake.open()
    since = datetime.now(UTC).date() - PERIOD
    partitions = opened.ledger.expected_rows.partitions_to_check(since=since, limit=MAX_PARTITIONS)
    verdicts = expectations(opened, opened.ledger.curated.accounts(partitions))
    reported = log_expectations(context, verdicts)
    warned = sum(any(verdict.warns for verdict in by_check.values()) for by_check in verdicts.values())
    log.info("%d partitions checked, %d of them materialized: %d warn", len(verdicts), reported, warned)


@dg.job(
    name="expectations_job",
    executor_def=dg.in_process_executor,
    description="Repeats completeness, quarantine_share and freshness for the latest partitions. A file that waits "
    "starts no run, so without this job its partition would stay fresh.",
)
def expectations_job() -> None:
    """Run `check_expectations`."""
    check_expectations()
