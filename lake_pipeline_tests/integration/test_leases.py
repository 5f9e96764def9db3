"""Leases: a busy worker keeps its files; one that does not renew loses them and publishes nothing."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.errors import LeaseLost, LedgerUnavailable
from lake_pipeline.ledger.claims import Claims
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.claims import Claim
from lake_pipeline.usecases.batches.ingest import ingest_batch
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.fsck.audit import Audit
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.lease import Heartbeat
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import lake_at, land, published

SECOND_WORKER = """
import sys
from pathlib import Path
from lake_pipeline.usecases.batches.ingest import ingest_all
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline_tests.support.lakes import lake_at

lake = lake_at(Path(sys.argv[1]), Ledger(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
done = []
while not done:
    done = list(ingest_all(lake))
print(sum(batch.rows_published for batch in done))
"""


class Sleeping:
    """An engine that converts and then stays in a native call."""

    name = "in_process"

    def __init__(self, inner: InProcessEngine, sleep: Callable[[], Any]) -> None:
        self._inner = inner
        self._sleep = sleep

    def convert(self, request: ConversionRequest, *, on_progress: Progress | None = None) -> ConversionReport:
        report = self._inner.convert(request, on_progress=on_progress)
        self._sleep()
        return report


@pytest.fixture
def lake(root: Path, ledger: Ledger) -> Lake:
    land(
        root, {"2026/week06/a.json": ndjson(*[{"event_time": "2026-02-03", "mode": "live", "n": n} for n in range(5)])}
    )
    lake = lake_at(root, ledger, lease_seconds=1)
    discover(lake)
    return lake


def with_sleep(lake: Lake, sleep: Callable[[], Any]) -> Lake:
    engine = lake.engine
    assert isinstance(engine, InProcessEngine)
    return replace(lake, engine=Sleeping(engine, sleep))


def test_a_native_call_longer_than_the_lease_keeps_it(lake: Lake, root: Path) -> None:
    """As pyarrow, zlib and the fast parser do: they release the interpreter lock."""
    taken: list[int] = []

    def looks_on() -> None:
        while not stop.wait(0.05):
            taken.append(lake.ledger.recovery.reclaim(owner_is_dead=lambda _: False, max_lost=5).batches)

    stop = threading.Event()
    other = threading.Thread(target=looks_on)
    other.start()
    result = ingest_batch(with_sleep(lake, lambda: ctypes.CDLL(None).usleep(2_500_000)))
    stop.set()
    other.join()
    assert result is not None
    assert (result.succeeded, sum(taken)) == (1, 0)
    assert len(published(root)) == 5


def test_a_native_call_that_holds_the_interpreter_lock_loses_the_lease_and_publishes_nothing(
    lake: Lake, root: Path, ledger_url: str
) -> None:
    """No known call holds the lock for seconds; if one did, no record would be published twice."""
    other = subprocess.Popen(
        [sys.executable, "-c", SECOND_WORKER, str(root), ledger_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"

    def hold() -> None:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        # Until the other one has done all of it. PyDLL keeps the interpreter's lock, as no library should.
        ctypes.PyDLL(None).waitpid(other.pid, None, 0)

    with pytest.raises(LeaseLost):
        ingest_batch(with_sleep(lake, hold))
    assert other.stdout.read() == "5\n"
    other.returncode = 0
    assert len(published(root)) == 5
    assert list(Audit(lake=lake).findings()) == []


def test_a_lease_is_renewed_soon_after_the_server_is_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = lake.ledger.claims.take(owner="me", max_files=1, max_bytes=1 << 20, lease_seconds=3, engine="in_process")
    assert claim is not None
    renewed = threading.Event()
    failures = iter([True, True, True, True])
    real = Claims.renew

    def sometimes(self: Claims, claim: Claim) -> None:
        if next(failures, False):
            raise LedgerUnavailable("the server restarts")
        real(self, claim)
        renewed.set()

    monkeypatch.setattr(Claims, "renew", sometimes)
    with Heartbeat(lake.ledger, claim) as heartbeat:
        assert renewed.wait(2.5), "after the first third of the lease it is tried at every thirtieth"
        heartbeat.check()
