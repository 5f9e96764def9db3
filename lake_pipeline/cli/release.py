"""`lake release`: release files held by a dead worker."""

from __future__ import annotations

from dataclasses import asdict

import click

from lake_pipeline.cli.output import as_json, print_json, print_line


@click.command()
@click.argument("batch_or_owner")
@as_json
def release(batch_or_owner: str, json_: bool) -> None:
    """Release files held by a dead worker and return them to the queue.

    BATCH_OR_OWNER is a batch id, an owner as shown by `lake fsck`, or the host name it starts with. An expired lease
    does the same automatically; use this command if you do not want to wait. The worker can no longer publish.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.batches.retry import release as release_batches

    with open_lake(load_settings()) as lake:
        batches = release_batches(lake, batch_or_owner)
    if json_:
        print_json({"batches": [asdict(batch) for batch in batches]})
        return
    for batch in batches:
        print_line(f"Batch {batch.batch_id} of {batch.owner}: {batch.files:,} files are pending again.")
    if not batches:
        print_line("Nothing was released: the batches have ended in the meantime.")
