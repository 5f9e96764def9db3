"""`lake catalog …`: the curated table for Athena, as DDL and in the Glue Data Catalog."""

from __future__ import annotations

from dataclasses import asdict

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, print_lines
from lake_pipeline.cli.provision import print_difference


@click.group()
def catalog() -> None:
    """Keep the Glue Data Catalog in sync with the contract and the published partitions."""


@catalog.command()
@as_json
def ddl(json_: bool) -> None:
    """Print the CREATE TABLE statement of the curated table, for Athena."""
    from lake_pipeline.composition import open_lake, s3_location_of
    from lake_pipeline.provision.catalog import required_table
    from lake_pipeline.provision.ddl import create_table
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    location = s3_location_of(settings, "an Athena table")
    with open_lake(settings, reading=True) as lake:
        table = required_table(lake, location, settings.glue.database)
    print_json({"ddl": create_table(table)}) if json_ else print_lines(create_table(table))


@catalog.command()
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@as_json
def sync(dry_run: bool, json_: bool) -> None:
    """Update database and table. Running it again changes nothing.

    Updates columns, comments, location, and the years and modes for partition projection, so no partition is ever
    registered. Parameters set by others are kept. With --json one object per line for each change.
    """
    from lake_pipeline.composition import open_lake, s3_location_of
    from lake_pipeline.provision.catalog import catalog as catalog_resources
    from lake_pipeline.provision.catalog import required_table
    from lake_pipeline.provision.plan import differences, provision
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    location = s3_location_of(settings, "an Athena table")
    with open_lake(settings, reading=dry_run) as lake:
        resources = catalog_resources(required_table(lake, location, settings.glue.database))
        changes = list(differences(resources) if dry_run else provision(resources))
    for change in changes:
        print_json(asdict(change)) if json_ else print_difference(change, dry_run=dry_run)
    if not changes and not json_:
        print_line("The catalog is up to date.")
