"""`lake catalog …`: the table that Athena reads, as DDL and in the Glue Data Catalog."""

from __future__ import annotations

from dataclasses import asdict

import click

from lake_pipeline.cli.output import as_json, print_json
from lake_pipeline.cli.provisioning import print_difference


@click.group()
def catalog() -> None:
    """Keep the table in the Glue Data Catalog in step with the contract and with what is published."""


@catalog.command()
@as_json
def ddl(json_: bool) -> None:
    """Print the CREATE TABLE statement of the curated table, as Athena takes it."""
    from lake_pipeline.opening import open_lake, s3_place_of
    from lake_pipeline.provision.catalog import required_table
    from lake_pipeline.provision.ddl import create_table
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    place = s3_place_of(settings, "a table of Athena")
    with open_lake(settings) as lake:
        table = required_table(lake, place, settings.glue_database)
    print_json({"ddl": create_table(table)}) if json_ else click.echo(create_table(table))


@catalog.command()
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@as_json
def sync(dry_run: bool, json_: bool) -> None:
    """Bring database and table up to date. Repeating it changes nothing.

    Columns, comments, location, and the years and modes of which Athena makes the partitions: none is ever registered
    by hand. Parameters that others have set stay. With --json one object a line for each change.
    """
    from lake_pipeline.opening import open_lake, s3_place_of
    from lake_pipeline.provision.catalog import catalog as resources_of
    from lake_pipeline.provision.catalog import required_table
    from lake_pipeline.provision.plan import differences, provision
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    place = s3_place_of(settings, "a table of Athena")
    with open_lake(settings) as lake:
        resources = resources_of(required_table(lake, place, settings.glue_database))
        changes = list(differences(resources) if dry_run else provision(resources))
    for change in changes:
        print_json(asdict(change)) if json_ else print_difference(change, look_only=dry_run)
    if not changes and not json_:
        click.echo("The catalog is up to date.")
