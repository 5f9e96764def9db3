"""The check of the outcomes of a batch: whether they are those of its files, or of a store that is not there.

One check for each batch, not for each file: it costs nothing if every file was read.
"""

from __future__ import annotations

from collections.abc import Collection

from lake_pipeline.errors import StorageUnavailable
from lake_pipeline.model.manifest import MISSING, UNAVAILABLE, UNREADABLE, FileOutcome, Outcome
from lake_pipeline.storage.outage_watch import FILES_IN_A_ROW
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake

_SUSPICIOUS = frozenset({MISSING, UNREADABLE, UNAVAILABLE})
"""Reasons that an unmounted directory, a lost right or a dead server would give to every file."""


def check_location(lake: Lake) -> None:
    """Raises `StorageUnavailable` if the root of the store can't be read now, or is not the root of this lake."""
    lake.store.probe()
    check_identity(lake)


def check_outcomes(lake: Lake, outcomes: Collection[FileOutcome]) -> None:
    """Raises `StorageUnavailable` if the store, not the files, explains the outcomes of a batch.

    That is if none of several files could be read because of an outage, or if some could not be read and the root
    can't either.
    """
    problems = [outcome for outcome in outcomes if outcome.outcome is not Outcome.CONVERTED]
    unavailable = [outcome for outcome in problems if outcome.reason == UNAVAILABLE]
    if len(unavailable) == len(outcomes) >= FILES_IN_A_ROW:
        raise StorageUnavailable(unavailable[0].error or "The store is not available.")
    if any(outcome.reason in _SUSPICIOUS for outcome in problems):
        check_location(lake)
