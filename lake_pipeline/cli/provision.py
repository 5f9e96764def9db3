"""`lake provision`: set up bucket, queue and Glue, and write IAM policies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, print_line

if TYPE_CHECKING:
    from lake_pipeline.provision.catalog import Table
    from lake_pipeline.provision.lake import Choices
    from lake_pipeline.provision.plan import Difference
    from lake_pipeline.settings import Settings

PARTS = ("bucket", "events", "glue")


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--check", is_flag=True, help="The same; exits with 1 if something would change.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Only this part; can be repeated.")
@click.option(
    "--policies",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the IAM policies of this lake into a directory, and do nothing else.",
)
@as_json
def provision(dry_run: bool, check: bool, only: tuple[str, ...], folder: Path | None, json_: bool) -> None:
    """Set up the lake on AWS: bucket, event queue, Glue. Running it again changes nothing.

    Rules, notifications and parameters set by others are kept. With --json one object per line for each change.
    """
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    if folder is not None:
        _write_policies(settings, folder, json_=json_)
        return
    changes = 0
    for difference in _changes(settings, frozenset(only or PARTS), dry_run=dry_run or check):
        changes += 1
        print_json(asdict(difference)) if json_ else print_difference(difference, dry_run=dry_run or check)
    if check and changes:
        raise click.ClickException(f"{changes} resources are not up to date. Run `lake provision` to update them.")
    if not json_:
        _print_next(settings, changes, dry_run=dry_run or check)


def _changes(settings: Settings, parts: frozenset[str], *, dry_run: bool) -> list[Difference]:
    from lake_pipeline.composition import provisioning_choices
    from lake_pipeline.provision.lake import Part, resources
    from lake_pipeline.provision.plan import differences
    from lake_pipeline.provision.plan import provision as change

    choices = provisioning_choices(settings)
    selected = frozenset(map(Part, parts))
    # The table has the columns of the contract; everything else needs no ledger.
    table = _table(settings, choices) if Part.GLUE in selected else None
    required = resources(choices, table, selected)
    return list(differences(required) if dry_run else change(required))


def _table(settings: Settings, choices: Choices) -> Table | None:
    """The curated table; None if there is no contract or no ledger yet: AWS is often set up first."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.errors import LedgerOutdated, LedgerUnavailable
    from lake_pipeline.provision.catalog import curated_table

    try:
        with open_lake(settings, reading=True) as lake:
            table = curated_table(lake, choices.location, choices.glue_database)
    except (LedgerOutdated, LedgerUnavailable) as error:
        print_line(f"No Glue table without a ledger. {error}", err=True)
        return None
    if table is None:
        print_line(
            "No Glue table yet: the first batch defines its columns. Run this again after `lake ingest`.", err=True
        )
    return table


def print_difference(difference: Difference, *, dry_run: bool) -> None:
    """A resource and the lines that change."""
    verb = ("would be created" if difference.before is None else "would change") if dry_run else "is set up"
    print_line(f"{difference.resource} {verb}")
    for line in difference.lines():
        print_line(f"  {line}", color={"+": "green", "-": "red"}.get(line[0]))


def _print_next(settings: Settings, changes: int, *, dry_run: bool) -> None:
    if not changes:
        print_line("Everything is up to date.")
    if settings.glue.role is None:
        print_line("No Glue job: set LAKE_GLUE_ROLE to the role it should run as.")
    if not dry_run and settings.storage.events_queue_url is None and (url := _queue_url(settings)) is not None:
        print_line(f"The queue of events for new files: LAKE_EVENTS_QUEUE_URL={url}")


def _queue_url(settings: Settings) -> str | None:
    from lake_pipeline.composition import provisioning_choices
    from lake_pipeline.provision.queue import EventQueue

    return EventQueue(provisioning_choices(settings).location).url


def _write_policies(settings: Settings, folder: Path, *, json_: bool) -> None:
    from lake_pipeline.composition import provisioning_choices
    from lake_pipeline.provision.policies import policies

    folder.mkdir(parents=True, exist_ok=True)
    for name, policy in policies(provisioning_choices(settings)).items():
        path = folder / name
        path.write_text(json.dumps(policy, indent=2) + "\n", encoding="utf-8")
        print_json({"written": str(path)}) if json_ else print_line(f"Wrote {path}")
