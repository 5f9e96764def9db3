"""The heartbeat that keeps a claim alive while its files are converted.

It renews from a thread of its own at a third of the lease, so that one missed beat costs nothing. It never
decides anything: a lost lease is told at the next `check`, and the ledger's fence holds in any case. Why a thread is
enough is told in docs/decisions/0011.
"""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from lake_pipeline.errors import LakeError, LeaseLost
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.claims import Claim

log = logging.getLogger(__name__)


class Heartbeat:
    """Renews `claim` until the `with` block ends."""

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self._ledger = ledger
        self._claim = claim
        self._stop = threading.Event()
        self._lost: LeaseLost | None = None
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{claim.batch_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises `LeaseLost` once a renewal found that the claim is somebody else's."""
        if self._lost:
            raise self._lost

    def _beat(self) -> None:
        pause = self._claim.lease_seconds / 3
        while not self._stop.wait(pause):
            pause = self._claim.lease_seconds / 3
            try:
                self._ledger.renew(self._claim)
            except LeaseLost as error:
                self._lost = error
                return
            except LakeError as error:
                # The database may be back before the lease runs out: a server that restarts takes seconds.
                pause = self._claim.lease_seconds / 30
                log.warning("Batch %s: the lease was not renewed: %s", self._claim.batch_id, error)
