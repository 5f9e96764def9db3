"""List, ingest, archive, and the same requests in a bare loop. Exits with 1 if the target is missed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.machine import facts, is_busy
from bench.s3.bare import bare_loop
from bench.s3.lake import Stage, lake_stages, total, without_requests
from bench.s3.landing import land, land_in_directory
from local_aws.server import aws_server

TARGET = 1.3
"""The largest allowed ratio of the pipeline's time to that of a bare loop of the same requests, over all objects."""


def main() -> int:
    arguments = _arguments()
    if is_busy():
        print("This machine is busy with other work: the figures are not reliable.", file=sys.stderr)
    machine = facts()
    stages: list[Stage] = []
    with aws_server(latency_ms=arguments.latency_ms) as server, tempfile.TemporaryDirectory() as home:
        for name, files, size in (
            ("small", arguments.small, arguments.small_bytes),
            ("large", arguments.large, arguments.large_bytes),
        ):
            if files:
                bucket = server.new_bucket()
                land(server, bucket, name, files, size)
                measured = lake_stages(server, bucket, Path(home) / name, name, files)
                land_in_directory(Path(home) / f"{name}-files", name, files, size)
                without_requests(server, Path(home) / f"{name}-files", Path(home) / f"{name}-alone", measured)
                twin = server.new_bucket()
                land(server, twin, name, files, size)
                stages += bare_loop(server, twin, measured)
    together = total("small and large" if arguments.small and arguments.large else stages[0].kind, stages)
    if arguments.small and arguments.large:
        stages.append(together)
    if arguments.json:
        print(json.dumps({"machine": machine, "stages": [asdict(stage) for stage in stages]}, indent=2))
    else:
        _print(stages, machine)
    return 0 if together.ratio <= TARGET else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.s3", description=__doc__)
    parser.add_argument("--small", type=int, default=20_000, help="small objects (default: 20,000)")
    parser.add_argument("--small-bytes", type=int, default=2_000)
    parser.add_argument("--large", type=int, default=200, help="large objects (default: 200)")
    parser.add_argument("--large-bytes", type=int, default=6_000_000)
    parser.add_argument(
        "--latency-ms", type=float, default=0.0, help="what the server waits before each answer (default: nothing)"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _print(stages: list[Stage], machine: dict[str, str]) -> None:
    for name, value in machine.items():
        print(f"{name}: {value}")
    print(
        "\n| objects | stage | requests | per file | lake s | bare s | alone s | lake / bare | lake / (bare + alone) |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for stage in stages:
        requests = " ".join(f"{count} {name}" for name, count in sorted(stage.requests.items()))
        print(
            f"| {stage.files:,} {stage.kind} | {stage.name} | {sum(stage.requests.values()):,}: {requests} "
            f"| {sum(stage.requests.values()) / stage.files:.2f} | {stage.seconds:.1f} | {stage.bare_seconds:.1f} "
            f"| {stage.alone_seconds:.1f} | {stage.ratio:.2f} | {stage.overhead:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
