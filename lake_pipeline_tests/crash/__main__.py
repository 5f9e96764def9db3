"""`python -m lake_pipeline_tests.crash`: run the matrix or a part of it, and print every trial that went wrong.

It is a separate process, because it must have no threads when it forks.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from botocore.retries import standard

from lake_pipeline.ledger.embedded.client import embedded_url
from lake_pipeline.ledger.migrate import migrate
from lake_pipeline_tests.conftest import remove_embedded
from lake_pipeline_tests.crash.boundaries import Boundaries
from lake_pipeline_tests.crash.disturbances import Disturbance
from lake_pipeline_tests.crash.forks import Child
from lake_pipeline_tests.crash.scenarios import CARELESS, SCENARIOS, Scenario
from lake_pipeline_tests.crash.trials import Matrix, Say, Trial, matrix_of
from lake_pipeline_tests.crash.worlds import Worlds
from lake_pipeline_tests.support.factories import LakeOnDisk, ndjson
from local_aws.server import AwsServer, aws_server

IDLE_RATIO = 0.05
"""The ratio of trials that may disturb nothing: with threads, a run may cross fewer boundaries than the one before."""

RETRY_SECONDS = 0.01
"""Between two attempts of the SDK, in a bucket with faults."""

CROWDS = 4
"""Crowds that are tried until a worker is killed: four workers divide the work, and in one of nine crowds none of them
reaches its boundary."""


def main() -> int:
    arguments = _arguments()
    # The log of refused files is the same in every trial.
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    homes = [folder / f"home_{number}" for number in range(arguments.jobs)]
    started = time.monotonic()
    try:
        with ExitStack() as stack:
            # Each job has its own servers: trials restart the one, and configure the faults of the other.
            servers = [stack.enter_context(aws_server()) if arguments.on == "s3" else None for _ in homes]
            worlds = [_worlds(folder, home, server) for home, server in zip(homes, servers, strict=True)]
            boundaries = Boundaries()
            _warm_up(folder / "warm", servers[0])
            workers = [
                Child(partial(_work, arguments, boundaries, own, number), patience=0)
                for number, own in enumerate(worlds)
            ]
            endings = [worker.wait() for worker in workers]
    finally:
        for home in homes:
            remove_embedded(home)
        shutil.rmtree(folder)
    for ending in endings:
        if ending.error or ending.signal:
            print(ending.error or f"a worker ended by signal {ending.signal}")
            return 2
    print(f"seed {arguments.seed}")
    counts = sum((ending.value for ending in endings), Counter[str]())
    trials, wrong, idle = counts["trials"], counts["wrong"], counts["idle"]
    print(f"{trials} trials, {wrong} went wrong, {idle} disturbed nothing, {time.monotonic() - started:.0f} s")
    if arguments.on == "s3":
        print(f"{counts['faults']} requests to the store failed on the way")
    if idle > IDLE_RATIO * trials:
        print(f"More than {IDLE_RATIO:.0%} of the trials disturbed nothing, so this run proves too little.")
    return 1 if wrong or idle > IDLE_RATIO * trials else 0


def _worlds(folder: Path, home: Path, server: AwsServer | None) -> Worlds:
    url = embedded_url(home, "template_ledger", durable=False)
    migrate(url)
    return Worlds(folder, url, home, server)


def _warm_up(folder: Path, server: AwsServer | None) -> None:
    """Load what the first conversion of a process loads, which takes 0.7 s; no thread remains."""
    if server:
        server.client()
        # Retry failed requests at once.
        standard.ExponentialBackoff.delay_amount = lambda *_: RETRY_SECONDS
    LakeOnDisk(folder).convert({"2026/week05/a.json": ndjson({"event_time": "2026-02-03", "mode": "live"})}, workers=1)
    assert threading.active_count() == 1, "a process with threads must not fork"
    # Children share the loaded memory: a garbage collection in one of them would write to all of it, and so copy it.
    gc.collect()
    gc.freeze()


def _work(
    arguments: argparse.Namespace, boundaries: Boundaries, worlds: Worlds, number: int, _say: Say
) -> Counter[str]:
    """Every `jobs`-th trial of every scenario; returns how many there were, went wrong and disturbed nothing."""
    counts: Counter[str] = Counter()
    for scenario in arguments.scenario:
        with matrix_of(boundaries, scenario, worlds) as matrix:
            part, parts = arguments.part
            chosen = list(_chosen(arguments, scenario, matrix))[part - 1 :: parts]
            if number == 0:
                _print(f"{scenario.name}: {len(matrix.undisturbed.boundaries)} boundaries, {len(chosen)} trials")
            for run in chosen[number :: arguments.jobs]:
                trial = run()
                counts.update(trials=1, wrong=bool(trial.problems), idle=trial.idle, faults=trial.faults)
                if trial.problems or trial.idle:
                    _report(trial)
    return counts


def _chosen(arguments: argparse.Namespace, scenario: Scenario, matrix: Matrix) -> Iterator[Callable[[], Trial]]:
    names = matrix.undisturbed.boundaries
    last = len(names)
    if arguments.at:
        yield partial(matrix.at, arguments.by[0], *arguments.at)
    if arguments.four is not None:
        yield partial(matrix.four, arguments.four)
    if arguments.at or arguments.four is not None:
        return
    generator = random.Random(f"{arguments.seed} {scenario.name}")
    for how in arguments.by:
        matching = [number for number, name in enumerate(names, start=1) if how.applies_to(name)]
        for number in matching[generator.randrange(arguments.every) :: arguments.every]:
            yield partial(matrix.at, how, number)
    for _ in range(arguments.twice):
        yield partial(matrix.at, Disturbance.KILL, generator.randint(1, last), generator.randint(1, last))
    for _ in range(arguments.crowds):
        yield partial(_crowd, matrix, [generator.randrange(1 << 30) for _ in range(CROWDS)])


def _crowd(matrix: Matrix, seeds: list[int]) -> Trial:
    """A crowd in which a worker was killed; the last one if none was."""
    for seed in seeds:
        trial = matrix.four(seed)
        if trial.problems or not trial.idle:
            break
    return trial


def _report(trial: Trial) -> None:
    _print(f"{'WRONG' if trial.problems else 'IDLE'} {trial.name}  struck {list(trial.struck)}")
    for problem in trial.problems:
        _print("    " + problem.replace("\n", "\n    "))


def _print(line: str) -> None:
    """One write for a line, because several processes write here."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lake_pipeline_tests.crash", description=__doc__)
    parser.add_argument(
        "--scenario",
        action="append",
        choices=[*SCENARIOS, CARELESS.name],
        help="a use case; default: all",
    )
    parser.add_argument(
        "--by", action="append", type=Disturbance, choices=list(Disturbance), help="what happens; default: everything"
    )
    parser.add_argument("--on", choices=("directory", "s3"), default="directory", help="where the lake is")
    parser.add_argument("--every", type=int, default=1, help="only every n-th boundary")
    parser.add_argument(
        "--part", type=int, nargs=2, default=(1, 1), metavar=("N", "OF"), help="run one of several parts"
    )
    parser.add_argument(
        "--twice", type=int, default=40, help="trials for each scenario in which the next run is killed, too"
    )
    parser.add_argument("--crowds", type=int, default=40, help="trials for each scenario with four workers at once")
    parser.add_argument("--seed", type=int, default=1, help="chooses the boundaries if not all are tried")
    parser.add_argument(
        "--at", type=int, nargs="+", help="one trial: at this boundary (several: the next run at the next one)"
    )
    parser.add_argument("--four", type=int, help="one trial: four workers at once with this seed")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    arguments = parser.parse_args()
    arguments.by = arguments.by or [how for how in Disturbance if how is not Disturbance.FULL or arguments.on != "s3"]
    arguments.scenario = [({**SCENARIOS, CARELESS.name: CARELESS})[name] for name in arguments.scenario or SCENARIOS]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
