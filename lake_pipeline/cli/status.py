"""`lake status`: the ledger's counts."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, print_table, size
from lake_pipeline.usecases.reports.widening import why_narrow

if TYPE_CHECKING:
    from lake_pipeline.ledger.skipped import RecordedSkip
    from lake_pipeline.model.outages import OutageRecord
    from lake_pipeline.usecases.lake import Lake

SHOWN_ENTRIES = 20
"""Entries of the landing zones that can't be read and are listed one by one."""


@click.command()
@as_json
def status(json_: bool) -> None:
    """Show files by state, row counts and published partitions, and where the lake is."""
    from lake_pipeline.composition import ledger_data, open_lake
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    with open_lake(settings, reading=True) as lake:
        counts = status_json(lake)
        places = {"root": lake.store.uri, "home": str(settings.storage.home), "ledger": lake.ledger.location}
        data = ledger_data(settings)
    if json_:
        print_json({**counts, **places, "ledger_data": str(data) if data else None})
        return
    print_status(counts)
    print_line(f"Root: {places['root']}")
    print_line(f"Home: {places['home']} ({settings.storage.home_origin})")
    print_line(f"Ledger: {places['ledger']}{f', data in {data}' if data else ''}")


def status_json(lake: Lake) -> dict[str, Any]:
    """The ledger's counts in the format of `lake status --json`. Every state is included, zero or not."""
    from lake_pipeline.usecases.batches.circuit_breaker import shown_outages

    current = lake.ledger.views.status()
    skipped, unreadable = lake.ledger.skipped.entries(limit=SHOWN_ENTRIES)
    return {
        "files": {state.value: count for state, count in current.files.items()},
        "bytes": {state.value: count for state, count in current.bytes.items()},
        "rows": {
            "read": current.rows_read,
            "published": current.rows_published,
            "quarantined": current.rows_quarantined,
            "rescued": current.rows_rescued,
        },
        "partitions": current.partitions,
        "curated_files": current.curated_files,
        "contract_version": current.contract_version,
        "archived": current.archived,
        "wanted_widenings": list(current.wanted_widenings),
        "lossy_widenings": sorted(current.lossy_widenings),
        "unreadable": unreadable,
        "unreadable_entries": [_skip_json(skip) for skip in skipped],
        "outages": [_outage_json(outage) for outage in shown_outages(lake)],
    }


def _outage_json(outage: OutageRecord) -> dict[str, Any]:
    return {
        "subject": outage.subject,
        "reason": outage.reason,
        "since": f"{outage.since.isoformat(timespec='seconds')}Z",
        "failures": outage.failures,
        "paused_until": f"{outage.paused_until.isoformat(timespec='seconds')}Z",
        "text": str(outage),
    }


def _skip_json(skip: RecordedSkip) -> dict[str, str]:
    return {
        "entry": skip.skipped.entry,
        "reason": skip.skipped.reason.value,
        "detail": skip.skipped.detail or skip.skipped.reason.text,
        "first_seen": f"{skip.first_seen.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "last_seen": f"{skip.last_seen.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def print_status(counts: dict[str, Any]) -> None:
    """The same as a table and sentences."""
    rows, files = counts["rows"], counts["files"]
    _print_unreadable(counts)
    if not any(files.values()):
        print_line("The ledger is empty: run `lake discover`.")
        return
    print_table(
        "Files by state",
        ("state", "files", "size"),
        [(state, count, size(counts["bytes"][state])) for state, count in files.items() if count],
    )
    print_line(
        f"{rows['read']:,} records read = {rows['published']:,} published + {rows['quarantined']:,} quarantined "
        f"({rows['rescued']:,} rows with a rescued value)"
    )
    print_line(
        f"{counts['partitions']:,} partitions in {counts['curated_files']:,} Parquet files, contract version "
        f"{counts['contract_version'] or 0}; {counts['archived']:,} originals archived"
    )
    for outage in counts["outages"]:
        print_line(outage["text"])
    for path in counts["wanted_widenings"]:
        print_line(why_narrow(path, is_lossy=path in counts["lossy_widenings"]))


def _print_unreadable(counts: dict[str, Any]) -> None:
    """What the last listing could not read."""
    if not counts["unreadable"]:
        return
    print_table(
        "Not read in the landing zones (until `lake discover` no longer meets it)",
        ("entry", "why", "since"),
        [(entry["entry"], entry["detail"], entry["first_seen"]) for entry in counts["unreadable_entries"]],
    )
    if (more := counts["unreadable"] - len(counts["unreadable_entries"])) > 0:
        print_line(f"{more:,} more entries can't be read.")
