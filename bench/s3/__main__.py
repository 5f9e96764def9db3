"""List, ingest, archive, and the same requests in a bare loop. Ends with 1 where a target is not met."""

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
from lake_pipeline_tests.aws.server import aws_server

TARGET = 1.3
"""How much longer the pipeline may take with all objects than a bare loop of the same requests."""


def main() -> int:
    arguments = _arguments()
    if is_busy():
        print("This machine is busy with something else: the figures will say little.", file=sys.stderr)
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
    for each in stages:
        requests = " ".join(f"{count} {name}" for name, count in sorted(each.requests.items()))
        print(
            f"| {each.files:,} {each.kind} | {each.name} | {sum(each.requests.values()):,}: {requests} "
            f"| {sum(each.requests.values()) / each.files:.2f} | {each.seconds:.1f} | {each.bare_seconds:.1f} "
            f"| {each.alone_seconds:.1f} | {each.ratio:.2f} | {each.overhead:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
