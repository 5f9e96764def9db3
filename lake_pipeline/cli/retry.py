"""`lake retry`: return failed and quarantined files to the queue."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, print_table, progress, size

if TYPE_CHECKING:
    from lake_pipeline.ledger.operations import FailureGroup

STATES = ("FAILED", "QUARANTINED")


@click.command()
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only files in this state.")
@click.option("--reason", help="Only files refused for this reason, for example too_many_broken.")
@click.option("--pattern", help="Only files whose key matches: * is any text, ? one character.")
@click.option("--parser-version", help="Only files refused by this version of lake_pipeline.")
@click.option("--dry-run", is_flag=True, help="Show what would be retried, and change nothing.")
@as_json
def retry(
    state: str | None, reason: str | None, pattern: str | None, parser_version: str | None, dry_run: bool, json_: bool
) -> None:
    """Return failed and quarantined files to the queue, as if they were new.

    Use it after the producer or the parser was fixed. Without options it selects all of them.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.ledger.operations import FailureFilter
    from lake_pipeline.model.states import FileState
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.batches.retry import retry as retry_files

    states = (FileState(state.upper()),) if state else (FileState.FAILED, FileState.QUARANTINED)
    selection = FailureFilter(states=states, reason=reason, pattern=pattern, parser_version=parser_version)
    with open_lake(load_settings(), reading=dry_run) as lake:
        groups = lake.ledger.operations.failures(selection)
        files = 0
        if not dry_run:
            with progress("Returning files to the queue", total=sum(group.files for group in groups)) as show:
                files = retry_files(lake, selection, on_progress=show)
    if json_:
        print_json({"dry_run": dry_run, "files": files, "chosen": [asdict(group) for group in groups]})
        return
    _print_groups(groups)
    if not dry_run:
        print_line(f"{files:,} files were returned to the queue." + (" Next: lake ingest" if files else ""))


def _print_groups(groups: list[FailureGroup]) -> None:
    if not groups:
        print_line("No failed or quarantined files match.")
        return
    print_table(
        "Failed and quarantined files",
        ("state", "files", "size", "error", "reason", "refused by", "example"),
        [
            (
                group.state.value,
                group.files,
                size(group.bytes),
                group.error_class or "",
                group.reason or "",
                group.parser_version or "",
                group.first_key,
            )
            for group in groups
        ],
    )
