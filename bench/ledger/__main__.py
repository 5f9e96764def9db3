"""`make bench-ledger`: fill, measure, print. Exits with 1 if a target is not met."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import create_engine, text

from bench.ledger.claims import WORKERS, at_full_speed, claim_latencies, claims_for
from bench.ledger.figures import Figure, figures_table
from bench.ledger.fill import fill
from bench.ledger.queries import query_times, register
from bench.machine import facts, is_busy
from bench.report import as_text
from lake_pipeline.ledger.embedded.client import embedded_url
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.ledger.migrate import migrate

SMALL = 1_000_000
"""Claims must be as fast in the full ledger as in one of this size."""

FLAT = 1.5
"""A claim in the full ledger may take this many times as long as in the small one."""


def main() -> int:
    arguments = _arguments()
    if is_busy():
        print("This machine is busy: the figures are not reliable.", file=sys.stderr)
    machine = facts()
    figures = [figure for size in _sizes(arguments.files) for figure in _measure(arguments, size)]
    figures += [*_flatness(figures), *_at_full_speed(arguments)]
    if arguments.json:
        rows = [asdict(figure) | {"met": figure.met} for figure in figures]
        print(json.dumps({"machine": machine, "figures": rows}, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in machine.items()))
        print(f"\n{as_text(figures_table(figures))}")
    return 1 if any(figure.met is False for figure in figures) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000_000, help="files in the ledger (default: 10 million)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys to register (default: 1 million)")
    parser.add_argument("--claims", type=int, default=50, help="claims of each worker, at most (default: 50)")
    parser.add_argument("--no-peer", action="store_true", help="skip pgqueuer")
    parser.add_argument("--keep", action="store_true", help="reuse the ledgers of an earlier run, if they exist")
    parser.add_argument("--folder", type=Path, default=Path(".bench/ledger"), help="folder for the data of the server")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


def _sizes(files: int) -> list[int]:
    return [SMALL, files] if files > SMALL else [files]


def _measure(arguments: argparse.Namespace, files: int) -> list[Figure]:
    url, is_new = _database(arguments, f"ledger_{files}", keep=arguments.keep)
    ledger = Ledger(url)
    if is_new:
        migrate(url)
        _say(f"filling a ledger with {files:,} files")
        fill(ledger.database, files)
    _say(f"measuring with {files:,} files")
    claims = min(arguments.claims, claims_for(files))
    figures = query_times(ledger) + claim_latencies(url, claims)
    figures += [register(ledger, arguments.keys, tag=f"{time.time_ns():x}"), *query_times(ledger)[:1]]
    ledger.close()
    return [Figure(**{**asdict(figure), "what": f"{files / 1e6:g} M: {figure.what}"}) for figure in figures]


def _at_full_speed(arguments: argparse.Namespace) -> list[Figure]:
    """The full ledger compared with pgqueuer."""
    urls = {"ledger": _database(arguments, f"ledger_{arguments.files}", keep=True)[0]}
    claims = min(arguments.claims, claims_for(arguments.files))
    if not arguments.no_peer:
        from bench.ledger.pgqueuer import fill as fill_queue

        urls["pgqueuer"], _ = _database(arguments, "pgqueuer", keep=False)
        jobs = 500 * WORKERS * claims
        _say(f"filling pgqueuer with {jobs:,} jobs")
        asyncio.run(fill_queue(urls["pgqueuer"], jobs))
    _say(f"claiming at full speed from {' and '.join(urls)}")
    return at_full_speed(urls, claims)


def _flatness(figures: list[Figure]) -> list[Figure]:
    """The ratio of a claim by 16 workers between both sizes."""
    medians = [figure for figure in figures if f"{WORKERS} workers, p50" in figure.what]
    if len(medians) < 2:
        return []
    small, full = medians
    return [
        Figure(
            what="claim, full ledger relative to small one, p50", value=full.value / small.value, unit="×", target=FLAT
        )
    ]


def _database(arguments: argparse.Namespace, name: str, *, keep: bool) -> tuple[str, bool]:
    """The URL of a database on the server of the bench, and whether it is new."""
    admin = create_engine(embedded_url(arguments.folder, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        exists = connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": name})
        if exists and not keep:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            exists = 0
    admin.dispose()
    return embedded_url(arguments.folder, name), not exists


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
