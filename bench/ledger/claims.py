"""Claims of 500 files by separate processes, like workers.

Paced workers pause for a second on average, as if they converted 500 files: with files of 0.5 MB that is ten times
what two cores can convert. Workers at full speed show the maximum of the server; a claim then mostly waits for a core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from bench.ledger.claimer import FILES
from bench.ledger.figures import Figure, percentile
from bench.ledger.fill import WAITING_SHARE

WORKERS = 16
PAUSE_SECONDS = 1.0
CLAIM_MS = 50.0

ROUNDS = 4
"""Rounds of each queue at full speed."""

ALONE = 4
"""A single worker makes this many times as many claims."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The time of each claim in milliseconds, and the seconds from the first to the last."""

    milliseconds: list[float]
    seconds: float

    @property
    def files_per_second(self) -> float:
        return FILES * len(self.milliseconds) / self.seconds


def claims_by(url: str, queue: str, *, workers: int, claims: int, pause: float) -> Claims:
    """Let `workers` processes claim `claims` times each from `queue`, starting together."""
    command = [sys.executable, "-m", "bench.ledger.claimer", queue, "--claims", str(claims), "--pause", str(pause)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    try:
        for process in processes:
            _send(process, url)
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a claiming process did not start; its error is above")
        started = time.perf_counter()
        for process in processes:
            _send(process, "go")
        printed = [process.communicate()[0] for process in processes]
        seconds = time.perf_counter() - started
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return Claims(milliseconds=list(chain.from_iterable(map(json.loads, printed))), seconds=seconds)


def claims_for(files: int) -> int:
    """Claims that each worker can make until no file of such a ledger is pending."""
    return int(files * WAITING_SHARE / FILES) // (ALONE + 2 * WORKERS)


def claim_latencies(url: str, claims: int) -> list[Figure]:
    """`claims` claims by one worker, then as many by each of 16 paced workers."""
    alone = claims_by(url, "ledger", workers=1, claims=ALONE * claims, pause=0.05)
    paced = claims_by(url, "ledger", workers=WORKERS, claims=claims, pause=PAUSE_SECONDS)
    return [
        *_latencies("one worker", alone),
        *_latencies(f"{WORKERS} workers", paced, target=CLAIM_MS),
    ]


def at_full_speed(urls: Mapping[str, str], claims: int) -> list[Figure]:
    """16 workers that only claim, on each queue of `urls` in alternating rounds, so that conditions are equal."""
    rounds: dict[str, list[Claims]] = {queue: [] for queue in urls}
    for _ in range(ROUNDS):
        for queue, url in urls.items():
            rounds[queue].append(claims_by(url, queue, workers=WORKERS, claims=claims // ROUNDS, pause=0))
    return [_throughput(queue, _together(measured)) for queue, measured in rounds.items()]


def _together(rounds: list[Claims]) -> Claims:
    times = list(chain.from_iterable(one.milliseconds for one in rounds))
    return Claims(milliseconds=times, seconds=sum(one.seconds for one in rounds))


def _throughput(queue: str, claims: Claims) -> Figure:
    p50, p99 = (percentile(claims.milliseconds, share) for share in (0.5, 0.99))
    return Figure(
        what=f"{WORKERS} workers at full speed, {queue}",
        value=claims.files_per_second,
        unit="files/s",
        note=f"p50 {p50:.0f} ms, p99 {p99:.0f} ms",
    )


def _latencies(workers: str, claims: Claims, target: float | None = None) -> list[Figure]:
    times = claims.milliseconds
    note = f"{len(times):,} claims, {claims.files_per_second:,.0f} files/s"
    return [
        Figure(what=f"claim of {FILES}, {workers}, p50", value=percentile(times, 0.5), unit="ms", note=note),
        Figure(what=f"claim of {FILES}, {workers}, p99", value=percentile(times, 0.99), unit="ms", target=target),
    ]


def _send(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
