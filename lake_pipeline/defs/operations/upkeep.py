"""The job `lake_upkeep_job`: reclaims the files of lost workers, archives leftover originals, and sweeps."""

import logging

import dagster as dg

from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.resources import LakeResource

log = logging.getLogger(__name__)


@dg.op(
    description="Reclaim the files of lost workers, finish their batches, archive leftover originals, and delete "
    "pending objects that will never be published."
)
@clear_failures
def sweep(lake: dg.ResourceParam[LakeResource]) -> None:
    """Everything that a batch does at its start."""
    from lake_pipeline.usecases.publication.sweep import sweep_pending
    from lake_pipeline.usecases.recovery.reconcile import recover

    opened = lake.open()
    recover(opened)
    log.info("%d objects of finished batches were swept", sweep_pending(opened))


@dg.job(
    name="lake_upkeep_job",
    executor_def=dg.in_process_executor,
    description="Cleans up if nothing is ingested for a while. Each batch does the same at its start.",
)
def lake_upkeep_job() -> None:
    """Run `sweep`."""
    sweep()
