"""The heartbeat that renews the lease of a claim while its files are converted.

It renews from its own thread at a third of the lease, so that one missed beat does no harm. It decides nothing: the
next `check` reports a lost lease, and the ledger's fence holds in any case. docs/decisions/0011 says why a thread is
enough.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
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
        self._ends = 0.0
        self._patience = ExitStack()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{claim.batch_id}", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Renew from now on, and let the ledger wait for its server until the lease is over."""
        self._ends = time.monotonic() + self._claim.lease_seconds
        self._patience.enter_context(self._ledger.database.patience(self.seconds_left))
        self._thread.start()

    def seconds_left(self) -> float:
        """The rest of the lease by the clock of this machine: 0 or less if it is over, lost or no longer needed."""
        return 0 if self._lost or self._stop.is_set() else self._ends - time.monotonic()

    def give_up(self) -> None:
        """Do not wait for an unreachable ledger any more: a person interrupts this process."""
        self._patience.close()

    def stop(self) -> None:
        """Renew no more."""
        self._stop.set()
        self._thread.join()
        self._patience.close()

    def check(self) -> None:
        """Raises `LeaseLost` if a renewal failed because another worker holds the claim."""
        if self._lost:
            raise self._lost

    def _beat(self) -> None:
        pause = self._claim.lease_seconds / 3
        while not self._stop.wait(pause):
            pause = self._claim.lease_seconds / 3
            renewed = time.monotonic()
            try:
                self._ledger.claims.renew(self._claim)
                self._ends = renewed + self._claim.lease_seconds
            except LeaseLost as error:
                self._lost = error
                return
            except LakeError as error:
                # The database may be back before the lease runs out: a restart takes seconds.
                pause = self._claim.lease_seconds / 30
                log.warning("Batch %s: the lease was not renewed: %s", self._claim.batch_id, error)
