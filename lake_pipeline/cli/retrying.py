"""`lake retry`, `lake release`: files that the ledger gave up, and files that a worker holds for nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, print_table, progress, size

if TYPE_CHECKING:
    from lake_pipeline.ledger.operating import RefusedGroup

STATES = ("FAILED", "QUARANTINED")


@click.command()
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only files in this state.")
@click.option("--reason", help="Only files refused for this reason, e.g. too_many_broken.")
@click.option("--pattern", help="Only files whose key matches: * stands for anything, ? for one character.")
@click.option("--parser-version", help="Only files that this version of lake_pipeline refused.")
@click.option("--dry-run", is_flag=True, help="Show what would be brought back, and change nothing.")
@as_json
def retry(
    state: str | None, reason: str | None, pattern: str | None, parser_version: str | None, dry_run: bool, json_: bool
) -> None:
    """Bring failed and quarantined files back, to be tried like new ones.

    After the producer or the parser was mended. Without options it is all of them.
    """
    from lake_pipeline.ingest.bring_back import retry as bring_back
    from lake_pipeline.ledger.operating import RefusedFiles
    from lake_pipeline.model.states import FileState
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    states = (FileState(state.upper()),) if state else (FileState.FAILED, FileState.QUARANTINED)
    chosen = RefusedFiles(states=states, reason=reason, pattern=pattern, parser_version=parser_version)
    with open_lake(load_settings()) as lake:
        groups = lake.ledger.refused(chosen)
        done = 0
        if not dry_run:
            with progress("Bringing back", total=sum(group.files for group in groups)) as show:
                done = bring_back(lake, chosen, on_progress=show)
    if json_:
        print_json({"dry_run": dry_run, "files": done, "chosen": [asdict(group) for group in groups]})
        return
    _print_groups(groups)
    if not dry_run:
        click.echo(f"{done:,} files were brought back." + (" Next: lake ingest" if done else ""))


@click.command()
@click.argument("batch_or_owner")
@as_json
def release(batch_or_owner: str, json_: bool) -> None:
    """Take the files of a claimed batch from its worker, and put them back into the queue.

    BATCH_OR_OWNER is a batch's id, an owner as `lake fsck` shows it, or the host it begins with. A lease that runs
    out does the same by itself; this is for whoever does not want to wait. The worker can publish nothing any more.
    """
    from lake_pipeline.ingest.bring_back import release as give_back
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        released = give_back(lake, batch_or_owner)
    if json_:
        print_json({"batches": [asdict(batch) for batch in released]})
        return
    for batch in released:
        click.echo(f"Batch {batch.batch_id} of {batch.owner}: {batch.files:,} files wait again.")
    if not released:
        click.echo("Nothing was released: the batches came to their end meanwhile.")


def _print_groups(groups: list[RefusedGroup]) -> None:
    if not groups:
        click.echo("No failed or quarantined file is like that.")
        return
    print_table(
        "Failed and quarantined files",
        ("state", "files", "size", "error", "reason", "refused by", "one of them"),
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
