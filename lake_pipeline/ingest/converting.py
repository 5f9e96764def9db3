"""Converting: the lake's engine does what a batch asks for, here or as a run somewhere else.

A run that lives on without this process is noted in the ledger before anybody waits for it, so that whoever takes the
batch over attaches to it. What is converted, and what becomes of it, is the caller's business.
"""

from __future__ import annotations

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress, RemoteEngine
from lake_pipeline.errors import LakeError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.model.claims import Claim


def convert(
    lake: Lake, claim: Claim, request: ConversionRequest, on_progress: Progress | None, run_id: str | None
) -> ConversionReport:
    """Convert on the lake's engine; with `run_id`, wait for the run that a worker before this one started.

    Raises `TransientError` when the whole batch should be tried again, `LeaseLost` where the run could not be noted.
    """
    engine = lake.engine
    if not isinstance(engine, RemoteEngine):
        return engine.convert(request, on_progress=on_progress)
    run_id = run_id or _start(lake, engine, claim, request)
    try:
        return engine.attach(run_id, on_progress=on_progress)
    except BaseException as error:
        if not isinstance(error, Exception):
            # Stopped by a person: the files go back, and nobody will ask for this run.
            engine.stop(run_id)
        raise


def _start(lake: Lake, engine: RemoteEngine, claim: Claim, request: ConversionRequest) -> str:
    run_id = engine.start(request)
    try:
        lake.ledger.record_engine_run(claim, run_id)
    except LakeError:
        engine.stop(run_id)
        raise
    return run_id


def forget_run(lake: Lake, claim: Claim) -> None:
    """Before parts of a run are thrown away: nobody may attach to it any more. Raises `LeaseLost`."""
    if isinstance(lake.engine, RemoteEngine):
        lake.ledger.record_engine_run(claim, None)
