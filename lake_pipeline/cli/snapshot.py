"""`lake snapshot …`: named sets of published files that never change."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, print_rows, size, waiting

if TYPE_CHECKING:
    from lake_pipeline.ledger.snapshots import Snapshot
    from lake_pipeline.usecases.snapshots.diff import SnapshotDifference

day = click.DateTime(formats=["%Y-%m-%d"])

SHOWN_PARTITIONS = 50


@click.group()
def snapshot() -> None:
    """Keep named sets of published files: a snapshot always returns the same rows, even after a rebuild."""


@snapshot.command()
@click.argument("name")
@click.option("--from", "first", type=day, help="The first day, YYYY-MM-DD.")
@click.option("--to", "last", type=day, help="The last day, inclusive.")
@click.option("--mode", "modes", multiple=True, help="Only this mode; can be repeated.")
@click.option("--column", "columns", multiple=True, help="Only this column; can be repeated.")
@as_json
def create(
    name: str,
    first: datetime | None,
    last: datetime | None,
    modes: tuple[str, ...],
    columns: tuple[str, ...],
    json_: bool,
) -> None:
    """Create the snapshot NAME of some days, modes and columns, if every check of their partitions passes.

    The files are retained until the snapshot is dropped, even if they are rebuilt or replaced.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.model.selections import Selection
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.snapshots.create import create_snapshot

    try:
        selection = Selection.of(
            first=first and first.date(), last=last and last.date(), modes=modes or None, columns=columns or None
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with open_lake(load_settings()) as lake, waiting("Checking partitions"):
        snapshot = create_snapshot(lake, name, selection)
    print_json(snapshot_json(snapshot)) if json_ else _print(snapshot)


@snapshot.command("list")
@as_json
def list_(json_: bool) -> None:
    """Show every snapshot, newest first. With --json one object per line."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings(), reading=True) as lake:
        snapshots = lake.ledger.snapshots.all()
    if json_:
        for snapshot in snapshots:
            print_json(snapshot_json(snapshot))
        return
    if not snapshots:
        print_line("There are no snapshots. Create one with `lake snapshot create NAME`.")
        return
    print_rows(
        ("name", "created", "days", "modes", "files", "rows", "size", "digest"),
        [
            (
                snapshot.name,
                f"{snapshot.created_at:%Y-%m-%d %H:%M}",
                _days(snapshot),
                ", ".join(snapshot.selection.modes or ("all",)),
                f"{snapshot.files:,}",
                f"{snapshot.rows:,}",
                size(snapshot.size),
                snapshot.digest[:12],
            )
            for snapshot in snapshots
        ],
    )


@snapshot.command()
@click.argument("name")
@as_json
def show(name: str, json_: bool) -> None:
    """Show a snapshot with its partitions; with --json also its files."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings(), reading=True) as lake:
        snapshot = lake.ledger.snapshots.get(name)
        files = lake.ledger.snapshots.files(snapshot)
    if json_:
        retained = [{"key": file.key, "etag": file.etag, "rows": file.rows, "bytes": file.size} for file in files]
        print_json({**snapshot_json(snapshot), "held": retained})
        return
    _print(snapshot)
    rows: dict[str, int] = {}
    for file in files:
        rows[str(file.partition)] = rows.get(str(file.partition), 0) + file.rows
    for partition, count in list(rows.items())[:SHOWN_PARTITIONS]:
        print_line(f"  {partition}  {count:,} rows")
    if len(rows) > SHOWN_PARTITIONS:
        print_line(f"  … and {len(rows) - SHOWN_PARTITIONS:,} more partitions; --json prints all.")


@snapshot.command()
@click.argument("before")
@click.argument("after")
@as_json
def diff(before: str, after: str, json_: bool) -> None:
    """Show the differences between the snapshots BEFORE and AFTER."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.snapshots.diff import diff_snapshots

    with open_lake(load_settings(), reading=True) as lake:
        difference = diff_snapshots(lake, before, after)
    print_json(_diff_json(difference)) if json_ else _print_diff(difference)


@snapshot.command()
@click.argument("name")
@as_json
def drop(name: str, json_: bool) -> None:
    """Drop a snapshot. Files retained only for it are deleted; published files stay."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.snapshots.drop import drop_snapshot

    with open_lake(load_settings()) as lake:
        deleted = drop_snapshot(lake, name)
    if json_:
        print_json({"dropped": name, "deleted": deleted})
    else:
        print_line(f"Snapshot {name} was dropped; {deleted:,} files that only it retained were deleted.")


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot in the format of `--json`."""
    selection = snapshot.selection
    return {
        "name": snapshot.name,
        "created_at": snapshot.created_at.isoformat(),
        "from": selection.first and selection.first.isoformat(),
        "to": selection.last and selection.last.isoformat(),
        "modes": selection.modes and list(selection.modes),
        "columns": selection.columns and list(selection.columns),
        "contract_version": snapshot.contract_version,
        "files": snapshot.files,
        "rows": snapshot.rows,
        "bytes": snapshot.size,
        "checks": snapshot.checks,
        "digest": snapshot.digest,
    }


def _print(snapshot: Snapshot) -> None:
    columns = snapshot.selection.columns
    print_line(
        f"Snapshot {snapshot.name}: {snapshot.rows:,} rows in {snapshot.files:,} files, {size(snapshot.size)}, "
        f"of {_days(snapshot)}, "
        f"{'all modes' if snapshot.selection.modes is None else 'modes ' + ', '.join(snapshot.selection.modes)}, "
        f"{'all columns' if columns is None else 'columns ' + ', '.join(columns)} of contract version "
        f"{snapshot.contract_version}."
    )
    checks = ", ".join(
        f"{name} {counts['passed']:,}" + (f" ({counts['warned']:,} warn)" if counts["warned"] else "")
        for name, counts in snapshot.checks.items()
    )
    print_line(f"Checks passed: {checks}")
    print_line(f"Digest: {snapshot.digest}")


def _days(snapshot: Snapshot) -> str:
    first, last = snapshot.selection.first, snapshot.selection.last
    return "all days" if first is None and last is None else f"{first or '…'} to {last or '…'}"


def _diff_json(difference: SnapshotDifference) -> dict[str, Any]:
    return {
        "before": difference.before.name,
        "after": difference.after.name,
        "same": difference.before.digest == difference.after.digest,
        "files_added": difference.files_added,
        "files_removed": difference.files_removed,
        "rows_before": difference.before.rows,
        "rows_after": difference.after.rows,
        "partitions": [
            {"partition": str(partition), "rows_before": before, "rows_after": after}
            for partition, (before, after) in difference.rows.items()
        ],
        "columns_added": list(difference.columns_added),
        "columns_removed": list(difference.columns_removed),
    }


def _print_diff(difference: SnapshotDifference) -> None:
    print_line(
        f"{difference.before.name} → {difference.after.name}: {difference.files_added:,} files added, "
        f"{difference.files_removed:,} removed; {difference.before.rows:,} → {difference.after.rows:,} rows."
    )
    for partition, (before, after) in list(difference.rows.items())[:SHOWN_PARTITIONS]:
        print_line(f"  {partition}  {before:,} → {after:,} rows")
    if len(difference.rows) > SHOWN_PARTITIONS:
        print_line(f"  … and {len(difference.rows) - SHOWN_PARTITIONS:,} more partitions; --json prints all.")
    for sign, columns in (("+", difference.columns_added), ("-", difference.columns_removed)):
        if columns:
            print_line(f"  {sign} columns {', '.join(columns)}")
