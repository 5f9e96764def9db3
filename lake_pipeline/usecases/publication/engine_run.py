"""Convert on the lake's engine, in this process or as a run elsewhere.

The id of a run that outlives this process is stored in the ledger before this process waits for it, so that the next
worker can attach to it. What is converted and published is up to the caller.
"""

from __future__ import annotations

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress, RemoteEngine
from lake_pipeline.errors import LakeError
from lake_pipeline.model.claims import Claim
from lake_pipeline.usecases.lake import Lake


def convert(
    lake: Lake, claim: Claim, request: ConversionRequest, on_progress: Progress | None, run_id: str | None
) -> ConversionReport:
    """Convert on the lake's engine; with `run_id`, wait for the run that an earlier worker started.

    Raises `TransientError` if the whole batch should be retried, and `LeaseLost` if the run could not be stored.
    """
    engine = lake.engine
    if not isinstance(engine, RemoteEngine):
        return engine.convert(request, on_progress=on_progress)
    run_id = run_id or _start(lake, engine, claim, request)
    try:
        return engine.attach(run_id, on_progress=on_progress)
    except BaseException as error:
        if not isinstance(error, Exception):
            # Interrupted by a person: the files are released, and no worker will attach to this run.
            engine.stop(run_id)
        raise


def _start(lake: Lake, engine: RemoteEngine, claim: Claim, request: ConversionRequest) -> str:
    run_id = engine.start(request)
    try:
        lake.ledger.claims.record_engine_run(claim, run_id)
    except LakeError:
        engine.stop(run_id)
        raise
    return run_id


def detach_run(lake: Lake, claim: Claim) -> None:
    """Before parts of a run are aborted: no worker may attach to it any more. Raises `LeaseLost`."""
    if isinstance(lake.engine, RemoteEngine):
        lake.ledger.claims.record_engine_run(claim, None)
