"""`lake rebuild`, `lake forget`: published rows that are made again, or taken out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, progress, waiting

if TYPE_CHECKING:
    from lake_pipeline.ingest.forget import Lineage

SHOWN_LINKS = 50


@click.command()
@click.argument("partitions", nargs=-1, required=True)
@as_json
def rebuild(partitions: tuple[str, ...], json_: bool) -> None:
    """Convert the originals of published PARTITIONS again, and replace exactly these in one publish.

    A partition is written as 2026-02-03|live (in quotes), as a path year=2026/month=02/day=03/mode=live, or as a day
    for all its modes. All of them are replaced together, or none.
    """
    from lake_pipeline.ingest.rebuild import published_partitions
    from lake_pipeline.ingest.rebuild import rebuild as rebuild_partitions
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        chosen = published_partitions(lake, partitions)
        total = len(lake.ledger.sources_of(chosen))
        with progress("Rebuilding", total=total) as show:
            done = rebuild_partitions(lake, chosen, on_progress=lambda files, _bytes: show(files))
    if json_:
        told = {**asdict(done), "partitions": list(map(str, done.partitions))} if done else None
        print_json({"rebuilt": told})
    elif done is None:
        click.echo("Nothing is published in these partitions.")
    else:
        click.echo(
            f"{len(done.partitions):,} partitions were rebuilt from {done.files:,} originals in {done.seconds:.1f} s: "
            f"{done.rows:,} rows in {done.curated_files:,} Parquet files (before: {done.rows_before:,} in "
            f"{done.replaced_files:,})."
        )


@click.command()
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Show the lineage only, and change nothing.")
@as_json
def forget(file: str, dry_run: bool, json_: bool) -> None:
    """Take the rows of FILE out of the lake everywhere, in one publish, and show where they were.

    FILE is the key under which it landed, which means all its versions, or a number as in the column _file_id. The
    original stays where it is, and no listing brings it back.
    """
    from lake_pipeline.ingest.forget import forget as forget_file
    from lake_pipeline.ingest.forget import lineage
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake, waiting("Taking rows out"):
        if dry_run:
            before, done = lineage(lake, file), None
        else:
            done = forget_file(lake, file)
            before = done.before
    if json_:
        told = {"batch_id": done.batch_id, "rewritten": done.rewritten, "deleted": done.deleted} if done else None
        print_json({**_lineage_json(before), "forgotten": told})
        return
    _print_lineage(before)
    if done:
        click.echo(
            f"Batch {done.batch_id}: {before.rows:,} rows were taken out; {done.rewritten:,} Parquet files were "
            f"written again without them and {done.deleted:,} deleted."
        )


def _lineage_json(found: Lineage) -> dict[str, Any]:
    return {
        "versions": [
            {
                "file_id": version.file.file_id,
                "key": version.file.key,
                "etag": version.file.etag,
                "state": version.state.value,
                "stands_at": version.file.place,
                "rows": version.published,
            }
            for version in found.versions
        ],
        "lineage": [
            {
                "file_id": link.file_id,
                "curated_file": link.curated_key,
                "partition": str(link.partition),
                "rows": link.rows,
            }
            for link in found.links
        ],
        "rows": found.rows,
    }


def _print_lineage(found: Lineage) -> None:
    for version in found.versions:
        rows = sum(link.rows for link in found.links if link.file_id == version.file.file_id)
        click.echo(
            f"_file_id {version.file.file_id}, {version.state}, {rows:,} rows: {version.file.key}, version "
            f"{version.file.etag}, original at {version.file.place}"
        )
    for link in found.links[:SHOWN_LINKS]:
        click.echo(f"  {link.rows:,} rows of {link.file_id} in {link.curated_key}")
    if len(found.links) > SHOWN_LINKS:
        click.echo(f"  … and {len(found.links) - SHOWN_LINKS:,} more files; --json tells all.")
