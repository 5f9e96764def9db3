"""`lake rebuild`: convert the originals of published partitions again."""

from __future__ import annotations

from dataclasses import asdict

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, progress


@click.command()
@click.argument("partitions", nargs=-1, required=True)
@as_json
def rebuild(partitions: tuple[str, ...], json_: bool) -> None:
    """Convert the originals of published PARTITIONS again, and replace these partitions in one commit.

    A partition is written as 2026-02-03|live (in quotes), as a path year=2026/month=02/day=03/mode=live, or as a day
    for all its modes. All of them are replaced together, or none.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.batches.rebuild import published_partitions
    from lake_pipeline.usecases.batches.rebuild import rebuild as rebuild_partitions

    with open_lake(load_settings()) as lake:
        selected = published_partitions(lake, partitions)
        total = len(lake.ledger.lineage.sources(selected))
        with progress("Rebuilding", total=total) as show:
            result = rebuild_partitions(lake, selected, on_progress=lambda files, _bytes: show(files))
    if json_:
        rebuilt = {**asdict(result), "partitions": list(map(str, result.partitions))} if result else None
        print_json({"rebuilt": rebuilt})
    elif result is None:
        print_line("Nothing is published in these partitions.")
    else:
        print_line(
            f"{len(result.partitions):,} partitions were rebuilt from {result.files:,} originals in "
            f"{result.seconds:.1f} s: {result.rows:,} rows in {result.curated_files:,} Parquet files (before: "
            f"{result.rows_before:,} in {result.replaced_files:,})."
        )
