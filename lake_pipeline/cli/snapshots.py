"""`lake snapshot …`: sets of published files that stay as they are."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_rows, size, waiting

if TYPE_CHECKING:
    from lake_pipeline.ingest.snapshots import SnapshotDifference
    from lake_pipeline.ledger.snapshots import Snapshot

day = click.DateTime(formats=["%Y-%m-%d"])

SHOWN_PARTITIONS = 50


@click.group()
def snapshot() -> None:
    """Hold sets of published files under a name: each gives the same rows, whatever came or was rebuilt since."""


@snapshot.command()
@click.argument("name")
@click.option("--from", "first", type=day, help="The first day, YYYY-MM-DD.")
@click.option("--to", "last", type=day, help="The last day, included.")
@click.option("--mode", "modes", multiple=True, help="This mode alone; may be given again.")
@click.option("--column", "columns", multiple=True, help="This column alone; may be given again.")
@as_json
def create(
    name: str,
    first: datetime | None,
    last: datetime | None,
    modes: tuple[str, ...],
    columns: tuple[str, ...],
    json_: bool,
) -> None:
    """Hold what is published now of some days, modes and columns under NAME, if every check of its partitions passes.

    The files are kept until the snapshot is dropped, also where they are rebuilt or replaced.
    """
    from lake_pipeline.ingest.snapshots import create_snapshot
    from lake_pipeline.model.selections import Selection
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    try:
        selection = Selection.of(
            first=first and first.date(), last=last and last.date(), modes=modes or None, columns=columns or None
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with open_lake(load_settings()) as lake, waiting("Checking partitions"):
        made = create_snapshot(lake, name, selection)
    print_json(snapshot_json(made)) if json_ else _print(made)


@snapshot.command("list")
@as_json
def list_(json_: bool) -> None:
    """Show every snapshot, the newest first. With --json one object a line."""
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        found = lake.ledger.snapshots()
    if json_:
        for each in found:
            print_json(snapshot_json(each))
        return
    if not found:
        click.echo("There is no snapshot. `lake snapshot create NAME` makes one.")
        return
    print_rows(
        ("name", "made", "days", "modes", "files", "rows", "size", "digest"),
        [
            (
                each.name,
                f"{each.created_at:%Y-%m-%d %H:%M}",
                _days(each),
                ", ".join(each.selection.modes or ("all",)),
                f"{each.files:,}",
                f"{each.rows:,}",
                size(each.size),
                each.digest[:12],
            )
            for each in found
        ],
    )


@snapshot.command()
@click.argument("name")
@as_json
def show(name: str, json_: bool) -> None:
    """Show a snapshot with its partitions. With --json its files too."""
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        found = lake.ledger.snapshot(name)
        files = lake.ledger.snapshot_files(found)
    if json_:
        told = [{"key": file.key, "etag": file.etag, "rows": file.rows, "bytes": file.size} for file in files]
        print_json({**snapshot_json(found), "held": told})
        return
    _print(found)
    rows: dict[str, int] = {}
    for file in files:
        rows[str(file.partition)] = rows.get(str(file.partition), 0) + file.rows
    for partition, count in list(rows.items())[:SHOWN_PARTITIONS]:
        click.echo(f"  {partition}  {count:,} rows")
    if len(rows) > SHOWN_PARTITIONS:
        click.echo(f"  … and {len(rows) - SHOWN_PARTITIONS:,} more partitions; --json tells all.")


@snapshot.command()
@click.argument("before")
@click.argument("after")
@as_json
def diff(before: str, after: str, json_: bool) -> None:
    """Show what a reader of snapshot AFTER sees that one of BEFORE does not, and the other way round."""
    from lake_pipeline.ingest.snapshots import diff_snapshots
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        found = diff_snapshots(lake, before, after)
    print_json(_diff_json(found)) if json_ else _print_diff(found)


@snapshot.command()
@click.argument("name")
@as_json
def drop(name: str, json_: bool) -> None:
    """Let go of a snapshot. Files that only it kept are deleted; what is published stays."""
    from lake_pipeline.ingest.snapshots import drop_snapshot
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        deleted = drop_snapshot(lake, name)
    if json_:
        print_json({"dropped": name, "deleted": deleted})
    else:
        click.echo(f"Snapshot {name} was dropped; {deleted:,} files that only it kept were deleted.")


def snapshot_json(found: Snapshot) -> dict[str, Any]:
    """A snapshot as `--json` tells it."""
    selection = found.selection
    return {
        "name": found.name,
        "created_at": found.created_at.isoformat(),
        "from": selection.first and selection.first.isoformat(),
        "to": selection.last and selection.last.isoformat(),
        "modes": selection.modes and list(selection.modes),
        "columns": selection.columns and list(selection.columns),
        "contract_version": found.contract_version,
        "files": found.files,
        "rows": found.rows,
        "bytes": found.size,
        "checks": found.checks,
        "digest": found.digest,
    }


def _print(found: Snapshot) -> None:
    columns = found.selection.columns
    click.echo(
        f"Snapshot {found.name}: {found.rows:,} rows in {found.files:,} files, {size(found.size)}, of {_days(found)}, "
        f"{'all modes' if found.selection.modes is None else 'modes ' + ', '.join(found.selection.modes)}, "
        f"{'all columns' if columns is None else 'columns ' + ', '.join(columns)} of contract version "
        f"{found.contract_version}."
    )
    checks = ", ".join(
        f"{name} {counts['passed']:,}" + (f" ({counts['warned']:,} warn)" if counts["warned"] else "")
        for name, counts in found.checks.items()
    )
    click.echo(f"Checks passed: {checks}")
    click.echo(f"Digest: {found.digest}")


def _days(found: Snapshot) -> str:
    first, last = found.selection.first, found.selection.last
    return "all days" if first is None and last is None else f"{first or '…'} to {last or '…'}"


def _diff_json(found: SnapshotDifference) -> dict[str, Any]:
    return {
        "before": found.before.name,
        "after": found.after.name,
        "same": found.before.digest == found.after.digest,
        "files_added": found.files_added,
        "files_removed": found.files_removed,
        "rows_before": found.before.rows,
        "rows_after": found.after.rows,
        "partitions": [
            {"partition": str(partition), "rows_before": before, "rows_after": after}
            for partition, (before, after) in found.rows.items()
        ],
        "columns_added": list(found.columns_added),
        "columns_removed": list(found.columns_removed),
    }


def _print_diff(found: SnapshotDifference) -> None:
    click.echo(
        f"{found.before.name} → {found.after.name}: {found.files_added:,} files came, {found.files_removed:,} went; "
        f"{found.before.rows:,} → {found.after.rows:,} rows."
    )
    for partition, (before, after) in list(found.rows.items())[:SHOWN_PARTITIONS]:
        click.echo(f"  {partition}  {before:,} → {after:,} rows")
    if len(found.rows) > SHOWN_PARTITIONS:
        click.echo(f"  … and {len(found.rows) - SHOWN_PARTITIONS:,} more partitions; --json tells all.")
    for sign, columns in (("+", found.columns_added), ("-", found.columns_removed)):
        if columns:
            click.echo(f"  {sign} columns {', '.join(columns)}")
