"""`lake ledger …`: the care of the ledger's database."""

from __future__ import annotations

import click

from lake_pipeline.cli.output import as_json, print_json


@click.group()
def ledger() -> None:
    """Look after the ledger's database."""


@ledger.command()
@as_json
def migrate(json_: bool) -> None:
    """Bring the ledger's schema to this version.

    Only needed with LAKE_LEDGER_URL: the embedded ledger is brought there by every command.
    """
    from lake_pipeline.ledger.migrate import migrate as migrate_schema
    from lake_pipeline.opening import ledger_entrance, ledger_url
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    before, after = migrate_schema(ledger_url(settings), ledger_entrance(settings))
    if json_:
        print_json({"before": before, "after": after})
    elif before == after:
        click.echo(f"The ledger is up to date, at revision {after}.")
    else:
        click.echo(f"The ledger is now at revision {after} (before: {before or 'no ledger'}).")
