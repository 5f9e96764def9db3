"""A process that claims repeatedly and prints the time of each claim. Started by `bench.ledger.claims`.

The claims stay open, like those of workers that convert; each has 500 files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable

from lake_pipeline.ledger.ledger import Ledger

FILES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("queue", choices=("ledger", "pgqueuer"))
    parser.add_argument("--claims", type=int, required=True)
    parser.add_argument("--pause", type=float, required=True, help="mean seconds between two claims")
    arguments = parser.parse_args()
    url = sys.stdin.readline().strip()  # has a password, so it is not passed as an argument
    work = _on_ledger if arguments.queue == "ledger" else _on_pgqueuer
    milliseconds = asyncio.run(work(url, arguments.claims, arguments.pause))
    print(json.dumps(milliseconds))


async def _on_ledger(url: str, claims: int, pause: float) -> list[float]:
    ledger = Ledger(url)
    ledger.views.pending_unpartitioned()  # connects before the measurement

    async def claim() -> int:
        claim = ledger.claims.take(
            owner="bench", max_files=FILES, max_bytes=1 << 50, lease_seconds=3600, engine="in_process"
        )
        return len(claim.files) if claim else 0

    return await _measure(claim, claims, pause)


async def _on_pgqueuer(url: str, claims: int, pause: float) -> list[float]:
    from bench.ledger.pgqueuer import dequeuer

    async with dequeuer(url, FILES) as dequeue:
        return await _measure(dequeue, claims, pause)


async def _measure(claim: Callable[[], Awaitable[int]], claims: int, pause: float) -> list[float]:
    _wait_for_the_others()
    times = []
    for _ in range(claims):
        time.sleep(random.uniform(0, 2 * pause))
        started = time.perf_counter()
        files = await claim()
        times.append((time.perf_counter() - started) * 1000)
        if files != FILES:
            raise RuntimeError(f"{files} files were claimed instead of {FILES}: too few are waiting")
    return times


def _wait_for_the_others() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
