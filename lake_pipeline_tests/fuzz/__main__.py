"""Check mutated inputs until the time is over: `python -m lake_pipeline_tests.fuzz --seconds 600 --seed 7`."""

from __future__ import annotations

import argparse
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count

from lake_pipeline_tests.fuzz.minimize import shrunk
from lake_pipeline_tests.fuzz.mutations import inputs
from lake_pipeline_tests.fuzz.workers import Verdict, Worker


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A round with problems."""

    seed: int
    problems: list[str]


@dataclass(kw_only=True)
class Tally:
    """How many inputs were checked, in how many seconds, and the findings."""

    count: int
    seconds: float
    findings: list[Finding]


def fuzz(*, seed: int, seconds: float, most: int, workers: int, findings: int = 3) -> Tally:
    """Check rounds from `seed` on until `seconds` are over, `most` inputs are checked, or `findings` findings are
    made.
    """
    started = time.monotonic()
    tally = Tally(count=0, seconds=0, findings=[])
    lock = threading.Lock()
    seeds = count(seed)

    def work() -> None:
        worker = Worker()
        while tally.count < most and len(tally.findings) < findings and time.monotonic() - started < seconds:
            with lock:
                mine = next(seeds)
            verdict = worker.judge(mine)
            with lock:
                tally.count += verdict.count
                tally.seconds = time.monotonic() - started
                if verdict.problems:
                    tally.findings.append(Finding(seed=mine, problems=verdict.problems))
        worker.close()

    with ThreadPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(work) for _ in range(workers)]):
            future.result()
    return tally


def explained(finding: Finding) -> Iterator[str]:
    """Lines that report what failed, and the smallest input that reproduces it."""
    yield f"seed {finding.seed}: {len(finding.problems)} problems. The first:\n{finding.problems[0]}"
    worker = Worker()
    files = shrunk(inputs(finding.seed).files, lambda some: bool(worker.judge(some).problems))
    verdict: Verdict = worker.judge(files)
    worker.close()
    yield f"as small as it could be made: {files!r:.4000}\n{''.join(verdict.problems[:1])}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lake_pipeline_tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="the most inputs (default: no bound)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="where to begin (default: anywhere)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    tally = fuzz(seed=asked.seed, seconds=asked.seconds, most=asked.inputs, workers=asked.workers)
    print(f"{tally.count:,} inputs in {tally.seconds:.0f} s, {len(tally.findings)} findings", flush=True)
    for finding in tally.findings:
        print(*explained(finding), sep="\n", flush=True)
    return min(len(tally.findings), 1)


if __name__ == "__main__":
    sys.exit(main())
