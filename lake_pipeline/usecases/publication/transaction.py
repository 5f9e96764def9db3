"""The publication transaction: one batch from its claim to its published files.

    with PublicationTransaction(lake, claim) as transaction:
        …                                           # convert or rewrite; everything written is a pending object
        transaction.record(manifest, contract)      # the point of no return
        transaction.roll_forward()

It renews the lease until the block ends. If the block raises before the manifest is recorded, it ends the claim:

| error | claim | pending objects |
|---|---|---|
| `OutcomeUnknown` | left: the manifest may be recorded | left |
| `LeaseLost` | left: another worker may have the batch and its engine run | swept if the ledger allows it |
| `VersionsMoved` | released; the attempt does not count | aborted |
| an `Outage` or a wrong setting, if the claim has raw files | released; the attempt does not count | aborted |
| `DataFileLost`, if the claim has raw files | released; later versions of files wait, no attempt counts | aborted |
| `WorkersLost`, if the claim has raw files | released; the loss counts, the attempt does not | aborted |
| any other `Exception` | failed; the attempt counts | aborted |
| Ctrl-C and other `BaseException` | released; the attempt does not count | aborted |

An error after the manifest is recorded changes nothing: the next worker rolls the batch forward. What is converted,
rewritten and recorded is up to the use case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import (
    DataFileLost,
    LakeError,
    LeaseLost,
    OutcomeUnknown,
    VersionsMoved,
    WorkersLost,
    is_outage,
)
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.files import NewVersion
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.usecases.identity.check import check_identity
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.engine_run import convert, detach_run
from lake_pipeline.usecases.publication.lease import Heartbeat
from lake_pipeline.usecases.publication.publish import abort, roll_forward
from lake_pipeline.usecases.publication.reconnect import recorded_once, retried
from lake_pipeline.usecases.publication.sweep import sweep_if_possible

log = logging.getLogger(__name__)

T = TypeVar("T")


class PublicationTransaction:
    """`run_id` is the engine run of an adopted claim. `failure` is the error that the batch failed with, if any."""

    def __init__(self, lake: Lake, claim: Claim, run_id: str | None = None) -> None:
        self.lake = lake
        self.claim = claim
        self.failure: Exception | None = None
        self._run_id = run_id
        self._heartbeat = Heartbeat(lake.ledger, claim)
        self._converted: Manifest | None = None
        self._recorded: Manifest | None = None
        self._discards: list[Callable[[], None]] = [self._discard_converted]

    def __enter__(self) -> Self:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self._recorded is None:
                self._roll_back(error)
        finally:
            self._heartbeat.stop()

    @property
    def manifest(self) -> Manifest:
        """The recorded manifest."""
        assert self._recorded is not None, "nothing is recorded yet"
        return self._recorded

    def check_lease(self) -> None:
        """Raises `LeaseLost` if the last renewal failed because another worker holds the claim."""
        self._heartbeat.check()

    def repeated(self, call: Callable[[], T]) -> T:
        """The result of an idempotent `call`, repeated until the end of the lease while the ledger is away."""
        return retried(call, self._heartbeat.seconds_left)

    def on_discard(self, discard: Callable[[], None]) -> None:
        """`discard` aborts pending objects. It is called after the claim has ended, and may be called again."""
        self._discards.append(discard)

    def convert(self, request: ConversionRequest, on_progress: Progress | None) -> ConversionReport:
        """Convert on the lake's engine, or wait for the adopted run."""
        report = convert(self.lake, self.claim, request, on_progress, self._run_id)
        self._converted = report.manifest
        return report

    def discard_pending(self) -> None:
        """Abort everything that was written, before a restart. Raises `LeaseLost`."""
        # First, so that no worker attaches to a run whose parts are gone.
        detach_run(self.lake, self.claim)
        self._run_id = None
        self._discard()

    def record(
        self,
        manifest: Manifest,
        contract: Contract,
        evidence: Evidence | None = None,
        *,
        new_version: NewVersion = NewVersion.APPEND,
    ) -> int:
        """Pass the point of no return; returns the contract version in force.

        See `ledger.publication.record_manifest`. Raises `LakeNotThere` or `LakeMismatch` if the root is not the lake's.
        """
        self.check_lease()
        # The conversion may have taken an hour: meanwhile a volume may be unmounted, or another ledger adopt the root.
        self.repeated(partial(check_identity, self.lake))
        record = partial(
            self.lake.ledger.publication.record_manifest,
            self.claim,
            manifest,
            contract,
            evidence,
            new_version=new_version,
        )
        version = recorded_once(self.lake.ledger, self.claim, record, self._heartbeat.seconds_left)
        self._recorded = manifest
        return version

    def roll_forward(self) -> None:
        """Make the recorded manifest visible. Raises `StorageUnavailable` or `LedgerUnavailable`."""
        self.repeated(partial(roll_forward, self.lake, self.claim.batch_id, self.manifest))

    def _roll_back(self, error: BaseException) -> None:
        if isinstance(error, OutcomeUnknown):
            return
        if not isinstance(error, Exception):
            self._heartbeat.give_up()
        if isinstance(error, LeaseLost):
            sweep_if_possible(self.lake)
            return
        try:
            self._end_claim(error)
        except LakeError as refusal:
            # `LeaseLost` here also means that the manifest is recorded: Ctrl-C came right after the commit.
            log.warning("Batch %s was not released: %s", self.claim.batch_id, refusal)
            if isinstance(error, LakeError):
                raise
            return
        # Only after the ledger has confirmed that no worker will publish them.
        self._discard()
        # A full disk, for example, may have kept the conversion from removing its parts.
        sweep_if_possible(self.lake)

    def _end_claim(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            self.lake.ledger.claims.release(self.claim, reason="interrupted")
            return
        if isinstance(error, VersionsMoved):
            self.lake.ledger.claims.release(self.claim, reason=str(error))
            return
        if self.claim.files and is_outage(error):
            self.lake.ledger.claims.release(self.claim, reason=f"{type(error).__name__}: {error}")
        elif self.claim.files and isinstance(error, WorkersLost):
            self.lake.ledger.claims.lose(self.claim, error, max_lost=self.lake.max_attempts)
        elif self.claim.files and isinstance(error, DataFileLost):
            self.lake.ledger.claims.wait_for_repair(self.claim, error)
        else:
            self.lake.ledger.claims.fail(self.claim, error, max_attempts=self.lake.max_attempts)
        self.failure = error

    def _discard(self) -> None:
        for discard in self._discards:
            discard()

    def _discard_converted(self) -> None:
        if self._converted is not None:
            abort(self.lake.store, self._converted.objects)
            self._converted = None
