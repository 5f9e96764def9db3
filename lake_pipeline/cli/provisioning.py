"""`lake provision`: bucket, queue and Glue as the lake needs them, and the policies for who works with them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json

if TYPE_CHECKING:
    from lake_pipeline.provision.catalog import Table
    from lake_pipeline.provision.lake import Choices
    from lake_pipeline.provision.plan import Difference
    from lake_pipeline.settings import Settings

PARTS = ("bucket", "events", "glue")


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--check", is_flag=True, help="The same; exits with 1 where something would change.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="This part alone; may be given again.")
@click.option(
    "--policies",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the IAM policies of this lake into a folder, and do nothing else.",
)
@as_json
def provision(dry_run: bool, check: bool, only: tuple[str, ...], folder: Path | None, json_: bool) -> None:
    """Set up what the lake needs on AWS: bucket, event queue, Glue. Repeating it changes nothing.

    Rules, notifications and parameters that others have set stay. With --json one object a line for each change.
    """
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    if folder is not None:
        _write_policies(settings, folder, json_=json_)
        return
    changes = 0
    for difference in _changes(settings, frozenset(only or PARTS), look_only=dry_run or check):
        changes += 1
        print_json(asdict(difference)) if json_ else print_difference(difference, look_only=dry_run or check)
    if check and changes:
        raise click.ClickException(f"{changes} resources are not as they should be. `lake provision` sets them up.")
    if not json_:
        _print_next(settings, changes, look_only=dry_run or check)


def _changes(settings: Settings, parts: frozenset[str], *, look_only: bool) -> list[Difference]:
    from lake_pipeline.opening import provisioning_choices
    from lake_pipeline.provision.lake import Part, resources
    from lake_pipeline.provision.plan import differences
    from lake_pipeline.provision.plan import provision as change

    choices = provisioning_choices(settings)
    chosen = frozenset(map(Part, parts))
    # The table has the columns of the contract; everything else is set up without a ledger.
    table = _table(settings, choices) if Part.GLUE in chosen else None
    wanted = resources(choices, table, chosen)
    return list(differences(wanted) if look_only else change(wanted))


def _table(settings: Settings, choices: Choices) -> Table | None:
    """The curated table; None where there is no contract, or no ledger yet: AWS is often set up before it."""
    from lake_pipeline.errors import LedgerOutdated, LedgerUnavailable
    from lake_pipeline.opening import open_lake
    from lake_pipeline.provision.catalog import curated_table

    try:
        with open_lake(settings) as lake:
            table = curated_table(lake, choices.place, choices.glue_database)
    except (LedgerOutdated, LedgerUnavailable) as error:
        click.echo(f"No Glue table without a ledger. {error}", err=True)
        return None
    if table is None:
        click.echo(
            "No Glue table yet: its columns come with the first batch. Run this again after `lake ingest`.", err=True
        )
    return table


def print_difference(difference: Difference, *, look_only: bool) -> None:
    """A resource and, line by line, what is or would become different."""
    verb = ("would be made" if difference.before is None else "would change") if look_only else "is set up"
    click.echo(f"{difference.resource} {verb}")
    for line in difference.lines():
        colour = {"+": "green", "-": "red"}.get(line[0])
        click.echo("  " + (click.style(line, fg=colour) if colour else line))


def _print_next(settings: Settings, changes: int, *, look_only: bool) -> None:
    if not changes:
        click.echo("Everything is as it should be.")
    if settings.glue_role is None:
        click.echo("No Glue job: LAKE_GLUE_ROLE names the role it runs as.")
    if not look_only and settings.events_queue_url is None and (url := _queue_url(settings)) is not None:
        click.echo(f"The queue that hears of new files: LAKE_EVENTS_QUEUE_URL={url}")


def _queue_url(settings: Settings) -> str | None:
    from lake_pipeline.opening import provisioning_choices
    from lake_pipeline.provision.queue import EventQueue

    return EventQueue(provisioning_choices(settings).place).url


def _write_policies(settings: Settings, folder: Path, *, json_: bool) -> None:
    from lake_pipeline.opening import provisioning_choices
    from lake_pipeline.provision.policies import policies

    folder.mkdir(parents=True, exist_ok=True)
    for name, policy in policies(provisioning_choices(settings)).items():
        path = folder / name
        path.write_text(json.dumps(policy, indent=2) + "\n", encoding="utf-8")
        print_json({"written": str(path)}) if json_ else click.echo(f"Wrote {path}")
