"""`lake demo`'s Dagster runs: real runs on the real instance, in this process, so that nothing has to be started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.defs.build import build_defs
from lake_pipeline.defs.in_flight import INGEST_BATCH_JOB
from lake_pipeline.defs.instance import lake_instance
from lake_pipeline.defs.jobs import LISTING_JOB
from lake_pipeline.errors import PermanentError
from lake_pipeline.settings import Settings

if TYPE_CHECKING:
    from lake_pipeline.ledger.ledger import Ledger

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
"""The whole story is in the run's log in the UI; a command tells its own, and errors are raised."""


class RunFailed(PermanentError):
    """A Dagster run of the demo ended in failure; the message is the run's own."""


def run_discovery(settings: Settings) -> None:
    """Materialize `landing_files` in a recorded run. Raises `RunFailed`, or the `LakeError` that stopped it."""
    with lake_instance(settings) as instance:
        _execute(build_defs(settings), LISTING_JOB, instance)


def run_ingestion(settings: Settings) -> list[str]:
    """Run `ingest_batch_job` until nothing is pending; the ids of the runs. Raises as `run_discovery` does."""
    from lake_pipeline.opening import open_lake

    defs, runs = build_defs(settings), list[str]()
    with lake_instance(settings) as instance, open_lake(settings) as lake:
        before, waiting = None, _waiting(lake.ledger)
        # Even with nothing waiting one run is needed: it takes over what a killed worker left half done. And when
        # a run changes nothing another worker is at the files: going round would only make empty runs.
        while before is None or 0 < waiting < before:
            runs.append(_execute(defs, INGEST_BATCH_JOB, instance))
            before, waiting = waiting, _waiting(lake.ledger)
    return runs


def _waiting(ledger: Ledger) -> int:
    """Files that could be claimed now, counted up to many partitions."""
    placed = ledger.pending_by_partition(limit=10_000)
    return ledger.pending_unplaced().files + sum(each.files for each in placed)


def _execute(defs: dg.Definitions, job: str, instance: dg.DagsterInstance) -> str:
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, run_config={"loggers": QUIET}
    )
    if not result.success:
        raise RunFailed(f"Dagster run {result.run_id} of {job} failed: {_reason(result)}")
    return result.run_id


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """What a person should read: the failure's own description, else the innermost error."""
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            return failure.user_failure_data.description
        if error := failure.error:
            return (error.cause or error).message.strip()
    return "see its log in the UI (`lake dev`)"
