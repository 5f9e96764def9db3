"""The Dagster runs of `lake demo`: real runs on the real instance, in this process, so that no server is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.defs.build import build_defs
from lake_pipeline.defs.conversion.runs import INGEST_BATCH_JOB
from lake_pipeline.defs.instance.instance import lake_instance
from lake_pipeline.defs.jobs import landing_files_job
from lake_pipeline.errors import PermanentError
from lake_pipeline.settings import Settings

if TYPE_CHECKING:
    from lake_pipeline.ledger.ledger import Ledger

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
"""The UI shows the run's log; the command prints its own output, and errors are raised."""


class RunFailed(PermanentError):
    """A Dagster run of the demo failed; the message is that of the run."""


def run_discovery(settings: Settings) -> None:
    """Materialize `landing_files` in a recorded run. Raises `RunFailed`, or a `LakeError`."""
    with lake_instance(settings) as instance:
        _execute(build_defs(settings), landing_files_job.name, instance)


def run_ingestion(settings: Settings) -> list[str]:
    """Run `ingest_batch_job` until nothing is pending; the ids of the runs. Raises as `run_discovery` does."""
    from lake_pipeline.composition import open_lake

    defs, runs = build_defs(settings), list[str]()
    with lake_instance(settings) as instance, open_lake(settings) as lake:
        before, pending = None, _pending_files(lake.ledger)
        # One run is needed even if nothing is pending: it reclaims the files of a killed worker. If a run changes
        # nothing, another worker holds the files, and more runs would be empty.
        while before is None or 0 < pending < before:
            runs.append(_execute(defs, INGEST_BATCH_JOB, instance))
            before, pending = pending, _pending_files(lake.ledger)
    return runs


def _pending_files(ledger: Ledger) -> int:
    """Files that can be claimed now, in up to 10,000 partitions."""
    partitions = ledger.views.pending_by_partition(limit=10_000)
    return ledger.views.pending_unpartitioned().files + sum(partition.files for partition in partitions)


def _execute(defs: dg.Definitions, job: str, instance: dg.DagsterInstance) -> str:
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, run_config={"loggers": QUIET}
    )
    if not result.success:
        raise RunFailed(f"Dagster run {result.run_id} of {job} failed: {_reason(result)}")
    return result.run_id


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """The description of the failure, else the innermost error."""
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            return failure.user_failure_data.description
        if error := failure.error:
            return (error.cause or error).message.strip()
    return "see its log in the UI (`lake dev`)"
