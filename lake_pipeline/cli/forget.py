"""`lake forget`: remove the rows of a raw file, and show where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, waiting

if TYPE_CHECKING:
    from lake_pipeline.usecases.reports.lineage import Lineage

SHOWN_LINKS = 50


@click.command()
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Show the lineage only, and change nothing.")
@as_json
def forget(file: str, dry_run: bool, json_: bool) -> None:
    """Remove the rows of FILE from all partitions in one commit, and show where they were.

    FILE is the key in the landing zone, which selects all its versions, or a number from the column _file_id. The
    original is kept, and it is not ingested again.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.batches.forget import forget as forget_file
    from lake_pipeline.usecases.reports.lineage import lineage

    with open_lake(load_settings(), reading=dry_run) as lake, waiting("Removing rows"):
        if dry_run:
            before, result = lineage(lake, file), None
        else:
            result = forget_file(lake, file)
            before = result.before
    if json_:
        forgotten = (
            {"batch_id": result.batch_id, "rewritten": result.rewritten, "deleted": result.deleted} if result else None
        )
        print_json({**_lineage_json(before), "forgotten": forgotten})
        return
    _print_lineage(before)
    if result:
        print_line(
            f"Batch {result.batch_id}: {before.rows:,} rows were removed; {result.rewritten:,} Parquet files were "
            f"rewritten without them and {result.deleted:,} deleted."
        )


def _lineage_json(lineage: Lineage) -> dict[str, Any]:
    return {
        "versions": [
            {
                "file_id": version.file.file_id,
                "key": version.file.key,
                "etag": version.file.etag,
                "state": version.state.value,
                "stands_at": version.file.current_key,
                "rows": version.published,
            }
            for version in lineage.versions
        ],
        "lineage": [
            {
                "file_id": link.file_id,
                "curated_file": link.curated_key,
                "partition": str(link.partition),
                "rows": link.rows,
            }
            for link in lineage.links
        ],
        "rows": lineage.rows,
    }


def _print_lineage(lineage: Lineage) -> None:
    for version in lineage.versions:
        rows = sum(link.rows for link in lineage.links if link.file_id == version.file.file_id)
        print_line(
            f"_file_id {version.file.file_id}, {version.state}, {rows:,} rows: {version.file.key}, version "
            f"{version.file.etag}, original at {version.file.current_key}"
        )
    for link in lineage.links[:SHOWN_LINKS]:
        print_line(f"  {link.rows:,} rows of {link.file_id} in {link.curated_key}")
    if len(lineage.links) > SHOWN_LINKS:
        print_line(f"  … and {len(lineage.links) - SHOWN_LINKS:,} more files; --json prints all.")
